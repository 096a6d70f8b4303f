"""What a run of a suite leaves: counts by sentence, and how training went."""

import copy
from pathlib import Path

import numpy as np
import pytest
from allennlp.common import Params

from structkd_allennlp.common.files import write_json
from structkd_allennlp.data.overlap import digest_of
from structkd_allennlp.suite import environment, worker
from structkd_allennlp.suite.jobs import Entry, TrainJob
from structkd_allennlp.suite.training_set import training_set
from structkd_allennlp.suite.worker import evaluate
from structkd_allennlp.training.probability_record import UNIT
from tests.distillation.taggers import LABELS, READER, archived


def files(directory, **texts):
    for name, text in texts.items():
        (directory / name).write_text(text)
    return {name: str(directory / name) for name in texts}


def job(config, learned_from=()):
    entry = Entry("student", "", "", None)
    return TrainJob(entry, "", config, {}, "f1-measure", "", [], list(learned_from))


def test_what_a_run_has_seen(tmp_path):
    more = "".join(f"\nw{i} O\n" for i in range(10))
    en = f"a O\nb O\n\nb O\n\nb O\n{more}"
    paths = files(tmp_path, en=en, es=f"c O\n{more}", text="d e\na b\n", es_text="c O\n")
    reader = {"type": "multilingual", "languages": ["en", "es"], "reader": "structkd_conll"}
    labelled = {"en": paths["en"], "es": paths["es"]}
    both = [labelled, {"unlabelled": {"en": paths["text"], "es": paths["es_text"]}}]
    own = {"dataset_reader": reader, "train_data_path": labelled}
    folds = [
        {
            "dataset_reader": reader,
            "train_data_path": {x: f"{p}#{kind}" for x, p in labelled.items()},
        }
        for kind in ("fold=1of2", "not-fold=1of2")
    ]
    alone = {"dataset_reader": {"type": "structkd_conll"}, "train_data_path": paths["en"]}
    known = {"labelled_sentences": 24, "labelled_tokens": 25}
    for learned_from, sentences, tokens in (
        ([], 0, 0),
        # What several have seen counts once, but as often as it is there.
        ([own], 24, 25),
        ([own, folds[0]], 24, 25),
        (folds, 24, 25),
    ):
        seen = training_set(job({**own, "train_data_path": both}, learned_from))
        assert seen.data == {
            **known,
            "unlabelled_sentences": 3,
            "unlabelled_tokens": 6,
            "teachers_labelled_sentences": sentences,
            "teachers_labelled_tokens": tokens,
        }
    other = {"dataset_reader": {"type": "conll2003"}, "train_data_path": paths["en"]}
    assert training_set(job(own, [other, alone])).data["teachers_labelled_sentences"] is None
    assert training_set(job(other)) is None
    # Test sentences are repeated whatever their language is called.
    tests = {"en": ["c", "x", "a b"], "pt": ["d e", "b"]}
    digests = {x: [digest_of(words.split()) for words in own] for x, own in tests.items()}
    assert seen.repeated(digests) == {
        "labelled": {"en": [0, 2], "pt": [1]},
        "unlabelled": {"en": [2], "pt": [0]},
    }


def test_the_revisions_of_a_recovered_run(tmp_path, monkeypatch):
    """The code may be another one when training goes on."""
    directory = tmp_path / "seed1"
    config = {"model": {"type": "x"}, "trainer": {}}

    def trained_at(revision, config=config):
        def train_model(params, serialization_dir, **kwargs):
            write_json(Path(serialization_dir, "config.json"), params.as_dict(quiet=True))

        monkeypatch.setattr(worker, "train_model", train_model)
        monkeypatch.setattr(environment, "revision", lambda: revision)
        worker.train(Params(copy.deepcopy(config)), directory)
        return worker._revisions(directory)

    assert trained_at("a") == ["a"]
    assert trained_at("a") == ["a"]
    assert trained_at("b-dirty") == ["a", "b-dirty"]
    # Another configuration begins anew.
    assert trained_at("c", {**config, "model": {"type": "y"}}) == ["c"]
    # A training that an earlier version began.
    (tmp_path / "seed1.revisions.json").unlink()
    assert trained_at("d", {**config, "model": {"type": "y"}}) == [None, "d"]


@pytest.mark.parametrize("type_", ["structured_crf_tagger", "simple_tagger", "crf_tagger"])
def test_probabilities_of_sentences(tmp_path, type_):
    """A softmax tagger is a chain without transitions. Those of AllenNLP's CRF are not recorded."""
    encoding = {} if type_ == "simple_tagger" else {"label_encoding": "BIO"}
    directory = tmp_path / "m"
    archived(directory, LABELS, READER, type_, **encoding)
    test = tmp_path / "test.txt"
    lines = ["Ada B-PER\nmet O\nBob B-PER", "New B-LOC\nYork I-LOC", "Rex B-DOG"]
    test.write_text("\n\n".join(lines) + "\n")
    counts, records, digests = evaluate(directory, {"en": str(test)}, "f1-measure")
    words = ["Ada met Bob", "New York", "Rex"]
    assert digests == {"en": [digest_of(x.split()) for x in words]}
    if type_ == "crf_tagger":
        assert records == {}
        return
    record = records["en"]
    for metric in ("f1-measure", "accuracy"):
        own, found, _ = evaluate(directory, {"en": str(test)}, metric)
        assert found["en"].tokens.tolist() == [3, 2, 1]
        if metric == "accuracy":
            correct = [sum(x) for x in np.split(found["en"].token_correct, [3, 5])]
            assert [x for x, _ in own["en"]] == correct
            assert found["en"].entities.tolist() == [0, 0, 0]
    # The entities that are predicted, gold and both are those that are counted.
    predicted, gold = record.entity_predicted, record.entity_gold
    for i, where in enumerate(np.split(np.arange(len(gold)), np.cumsum(record.entities)[:-1])):
        sums = [x[where].sum() for x in (predicted & gold, predicted, gold)]
        assert counts["en"][i] == sums
    assert np.isfinite(record.gold_nll).tolist() == [True, True, False]
    assert ((record.gold_rank > 0) <= np.isfinite(record.gold_nll)).all()
    assert (record.gold_nll >= record.predicted_nll - 1e-5).all()
    if type_ == "simple_tagger":
        probability = np.exp(-record.predicted_nll)
        tokens = np.split(record.token_probability * UNIT, [3, 5])
        assert probability == pytest.approx([x.prod() for x in tokens], rel=1e-3)
