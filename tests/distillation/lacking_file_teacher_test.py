"""Teachers that are files, and lack some of the sentences."""

import logging

import pytest
import torch
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.fill import score_missing
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teachers import Teachers
from tests.distillation.file_teacher_test import ADA, CPU, NEW, written
from tests.distillation.taggers import LABELS, student

SENTENCES = [
    Sentence(["Ada", "lives"], "en"),
    Sentence(["New", "York"], "en"),
    *(Sentence([f"w{i}"], "en") for i in range(1200)),
]
SPACE = student(labels=[*LABELS, "B-ORG", "I-ORG", "B-MISC", "I-MISC"]).label_space


def test_what_it_lacks_is_counted(file, caplog):
    written(file, ADA, NEW)
    teacher = {"type": "file", "file": str(file)}
    archives = Archives(teacher)
    archives.check_sentences(SENTENCES[:2])
    with pytest.raises(ConfigurationError) as error:
        archives.check_sentences(iter(SENTENCES))
    assert error.value.message == (
        f"teacher {file} lacks 1,200 of its 1,202 training sentences: 'w0' (en), 'w1' (en), "
        "'w2' (en), .... Add them, their words split as the dataset reader splits them, or set "
        '"missing": "skip" to train on them without it'
    )
    with caplog.at_level(logging.WARNING):
        Archives({**teacher, "missing": "skip"}).check_sentences(SENTENCES[:3])
    assert "lacks 1 of its 3 training sentences: 'w0' (en). They are trained on" in caplog.text
    with pytest.raises(ConfigurationError, match=r"lacks 3 of its 3 .* It has nothing to teach"):
        Archives({**teacher, "missing": "skip"}).check_sentences(SENTENCES[2:5])
    # Sentences are not even read where nobody may lack them.
    Archives("fixtures/teachers/en.tar.gz").check_sentences(iter([None]))


def test_sentences_that_are_skipped(file):
    """They have the other teachers of their language, or none."""
    written(file, ADA)
    teacher = {"type": "file", "file": str(file), "missing": "skip", "labels": LABELS}
    own = Teachers({"en": [teacher, "fixtures/teachers/en.tar.gz"], "de": teacher}, SPACE)
    de = Sentence(["New", "York"], "de")
    chains = own.chains([*SENTENCES[:2], de], CPU)
    assert [weights.tolist() for _, weights in chains] == [[0.5, 1.0, 0.0], [0.5, 0.0, 0.0]]
    assert own.chains([de], CPU) == []
    for chain, _ in chains:
        assert torch.isfinite(chain.log_partition).all()


def test_in_a_store(file, tmp_path):
    written(file, ADA, NEW)
    teacher = {"type": "file", "file": str(file), "missing": "skip", "labels": LABELS}
    store = TargetStore(str(tmp_path / "s"))
    score_missing(Archives(teacher, store), SENTENCES, CPU)
    expected = Teachers(teacher, SPACE).chains(SENTENCES[:2], CPU)
    stored = Teachers(teacher, SPACE, store)
    ((found, _),) = stored.chains(SENTENCES[:2], CPU)
    torch.testing.assert_close(found.marginals, expected[0][0].marginals)
    (one,) = stored.archives.teachers_of(SENTENCES[0])
    assert one.source._made is None
    assert stored.archives.teachers_of(SENTENCES[2]) == []
