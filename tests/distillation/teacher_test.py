"""A teacher that is opened, refused, asked, remembered and released."""

import shutil
import tarfile

import numpy
import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.models import Model
from allennlp.models.archival import load_archive

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.target_store import Head, TargetStore
from structkd_allennlp.distillation.teacher import (
    ArchiveSource,
    Teacher,
    TeacherSource,
    archive_digest,
)
from structkd_allennlp.modules.tagger_chain import Potentials
from tests.distillation.taggers import LABELS, READER, SENTENCES, archived

CPU = torch.device("cpu")


def corrupt(path, kind):
    if kind == "noise":
        path.write_bytes(b"no archive at all")
    elif kind == "truncated":
        with open("fixtures/teachers/en.tar.gz", "rb") as file:
            path.write_bytes(file.read()[:5000])
    elif kind == "another tar":
        (path.parent / "x").write_text("x")
        with tarfile.open(path, "w:gz") as tar:
            tar.add(path.parent / "x", arcname="x")
    elif kind == "empty directory":
        path.mkdir()


@pytest.mark.parametrize("kind", ["noise", "truncated", "another tar", "empty directory"])
def test_files_that_are_no_archive(tmp_path, kind):
    path = tmp_path / "teacher.tar.gz"
    corrupt(path, kind)
    with pytest.raises(ConfigurationError, match=r"teacher\.tar\.gz cannot be loaded"):
        Teacher(ArchiveSource(str(path))).head()


def test_an_archive_of_another_kind_of_model(tmp_path):
    vocab = Vocabulary()
    for i in range(3):
        vocab.add_token_to_namespace(f"label{i}", "labels")
    config = {
        "type": "basic_classifier",
        "text_field_embedder": {
            "token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 4}}
        },
        "seq2vec_encoder": {"type": "boe", "embedding_dim": 4},
    }
    model = Model.from_params(vocab=vocab, params=Params(config).duplicate())
    Params({"dataset_reader": READER, "model": config}).to_file(str(tmp_path / "config.json"))
    vocab.save_to_files(str(tmp_path / "vocabulary"))
    torch.save(model.state_dict(), tmp_path / "best.th")
    with pytest.raises(ConfigurationError, match="a BasicClassifier is not a tagger"):
        Teacher(ArchiveSource(str(tmp_path))).head()


def test_a_missing_archive():
    for language, whose in ((None, "teacher is"), ("de", "teacher of language 'de' is")):
        with pytest.raises(ConfigurationError) as error:
            ArchiveSource("no/such.tar.gz").check(language)
        assert error.value.message == (
            f"the {whose} missing: there is no no/such.tar.gz. Train it first, e.g. with "
            'training_configs/teacher.jsonnet, or correct its path in "teachers"'
        )
    with pytest.raises(ConfigurationError, match="the teacher is missing"):
        Teacher(ArchiveSource("no/such.tar.gz")).head()


def test_a_reader_that_changes_the_words(tmp_path):
    source = ArchiveSource(archived(tmp_path / "t", LABELS)[0])
    reader = source.loaded()[1].dataset_reader
    text_to_instance = reader.text_to_instance
    reader.text_to_instance = lambda tokens, **kw: text_to_instance(tokens[:1], **kw)
    with pytest.raises(
        ConfigurationError, match=r"scores \[1, 1\] words for sentences of \[3, 2\]"
    ):
        source.emissions(SENTENCES, CPU)


def test_the_model_is_frozen(tmp_path):
    source = ArchiveSource(archived(tmp_path / "t", LABELS)[0])
    head = source.head()
    tagger, _ = source.loaded()
    assert not tagger.training
    assert not any(parameter.requires_grad for parameter in tagger.parameters())
    assert not any(potential.requires_grad for potential in head.potentials)


def test_random_numbers_are_those_without_a_teacher(tmp_path):
    """Making a model draws some, and whether it is made depends on what the store has."""
    archive, _ = archived(tmp_path / "t", LABELS)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_archive(archive)
    assert not torch.equal(torch.rand(3), expected)
    for store in (None, TargetStore(str(tmp_path / "s"))):
        torch.manual_seed(7)
        teacher = Teacher(ArchiveSource(archive), store)
        teacher.emissions(SENTENCES, CPU)
        teacher.source.release()
        teacher.emissions([Sentence(["anew"], "en")], CPU)
        assert torch.equal(torch.rand(3), expected)


class Counted(TeacherSource):
    """Another kind of teacher: scores a word by its length."""

    def __init__(self) -> None:
        super().__init__("counted")
        self.asked: list = []

    def check(self, language=None):
        pass

    def digest(self):
        return "counted"

    def head(self):
        self.asked.append("head")
        torch.rand(5)
        return Head(["O", "B-X"], "BIO", Potentials(torch.eye(2), torch.zeros(2), torch.ones(2)))

    def emissions(self, sentences, device):
        self.asked.append([tuple(sentence.words) for sentence in sentences])
        torch.rand(5)
        return [
            numpy.array([[0, -len(word)] for word in sentence.words], numpy.float32)
            for sentence in sentences
        ]


ABC = [Sentence(("a", "bb"), "en"), Sentence(("ccc",), "en"), Sentence(("a",), None)]


def test_a_source_without_a_store_is_asked_every_time():
    teacher = Teacher(Counted())
    for _ in range(2):
        scores = teacher.emissions(ABC, CPU)
        assert [one.tolist() for one in scores] == [[[0, -1], [0, -2]], [[0, -3]], [[0, -1]]]
    assert teacher.head() is teacher.head()
    assert teacher.source.asked == [[("a", "bb"), ("ccc",), ("a",)]] * 2 + ["head"]
    assert teacher.missing(ABC) == ABC


def test_a_source_with_a_store_is_asked_once(tmp_path):
    store = TargetStore(str(tmp_path / "s"))
    teacher = Teacher(Counted(), store)
    teacher.emissions(ABC[:1], CPU)
    as_lists = [Sentence(list(words), language) for words, language in ABC]
    assert teacher.missing([*ABC, *as_lists]) == ABC[1:]
    scores = teacher.emissions(ABC, CPU)
    assert [one.tolist() for one in scores] == [[[0, -1], [0, -2]], [[0, -3]], [[0, -1]]]
    assert teacher.source.asked == ["head", [("a", "bb")], [("ccc",), ("a",)]]
    # In another process.
    again = Teacher(Counted(), store)
    assert [one.tolist() for one in again.emissions(ABC, CPU)] == [one.tolist() for one in scores]
    assert again.head().labels == ["O", "B-X"]
    assert again.missing(ABC) == []
    assert again.source.asked == []


def test_digest(tmp_path):
    archive, _ = archived(tmp_path / "a", LABELS, seed=1)
    twin, _ = archived(tmp_path / "b", LABELS, seed=2)
    assert archive_digest(archive) != archive_digest(twin)
    shutil.copy(archive, tmp_path / "copy.tar.gz")
    # A file is known by what is in it, not by its name or date.
    assert archive_digest(str(tmp_path / "copy.tar.gz")) == archive_digest(archive)
    directory = str(tmp_path / "a")
    before = archive_digest(directory)
    (tmp_path / "a" / "metrics_epoch_0.json").write_text("{}")
    assert archive_digest(directory) == before
    (tmp_path / "a" / "vocabulary" / "labels.txt").write_text("O\n")
    assert archive_digest(directory) != before
