"""The corpora that configurations name, where they are there."""

import json
from collections import Counter

import pytest
from allennlp.common import Params
from allennlp.data import DatasetReader

from structkd_allennlp.registrables import MultilingualReader
from tests.training_configs_test import CONFIGS, named, needs_data, params_of


def corpora():
    """One configuration for each set of files that configurations read."""
    found = {}
    for config in CONFIGS:
        params = params_of(config)
        keys = ("train_data_path", "validation_data_path")
        files = [params["dataset_reader"]["languages"], *(params[key] for key in keys)]
        found.setdefault(json.dumps(files), config)
    return list(found.values())


@needs_data
@pytest.mark.parametrize("config", corpora(), ids=named)
def test_its_corpora_can_be_read(config):
    """The first sentences of each language, of training, development and unlabelled data."""
    params = params_of(config)
    params["dataset_reader"]["reader"]["max_instances"] = 3
    params["dataset_reader"]["unlabelled_reader"] = {"type": "unlabelled_text", "max_instances": 3}
    languages = params["dataset_reader"]["languages"]
    reader = DatasetReader.from_params(Params(params["dataset_reader"]))
    assert isinstance(reader, MultilingualReader)
    for key in ("train_data_path", "validation_data_path"):
        instances = list(reader.read(params[key]))
        assert all(len(x["tags"]) == len(x["tokens"]) > 0 for x in instances)
        found = Counter(
            x["metadata"]["language"] for x in instances if "tags" in x["metadata"].metadata
        )
        assert found == dict.fromkeys(languages, 3)
        unlabelled = {
            x["metadata"]["language"] for x in instances if "tags" not in x["metadata"].metadata
        }
        assert bool(unlabelled) == isinstance(params[key], list)
        # Each with a teacher, or nothing could be learned from it.
        assert unlabelled <= set(params["model"].get("teachers", ()))
