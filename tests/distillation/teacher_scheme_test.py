"""BIO is told from IOB1 by all that an archive says of its labels."""

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import load_archive

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.teacher import ArchiveSource
from structkd_allennlp.distillation.teacher_scheme import archived_scheme
from structkd_allennlp.distillation.teachers import Teachers
from tests.distillation.taggers import archived, student

BOTH = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
CONLL = {"type": "conll2003"}

IOB1 = ["O O I-PER I-PER O", "I-LOC B-LOC I-LOC O"]
BIO = ["O O B-PER I-PER O", "B-LOC B-LOC I-LOC O"]
NEITHER = ["O O", "O"]


def corpus(path, sentences):
    """In the columns of CoNLL-2003."""
    blocks = ["".join(f"word NN X {tag}\n" for tag in tags.split()) for tags in sentences]
    path.write_text("\n".join(blocks))
    return str(path)


@pytest.fixture
def scheme(tmp_path):
    """A function that makes an archive, and returns the scheme of its labels."""

    def find(labels=BOTH, reader=CONLL, sentences=None, path=None, **tagger):
        config = {"train_data_path": path or str(tmp_path / "train.txt")}
        if sentences is not None:
            corpus(tmp_path / "train.txt", sentences)
        directory = tmp_path / "teacher"
        archive, _ = archived(directory, labels, reader, "crf_tagger", config=config, **tagger)
        return archived_scheme(labels, load_archive(archive))

    return find


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["O", "I-PER", "I-LOC"], "IOB1"),
        (["O", "I-PER", "B-LOC", "I-LOC"], "IOB1"),
        (["O", "B-PER", "B-LOC", "I-LOC"], "BIO"),
        (["O", "I"], "IOB1"),
        (["O", "U-PER", "B-PER", "L-PER", "I-PER"], "BIOUL"),
        (["NOUN", "VERB"], None),
    ],
)
def test_by_the_labels(scheme, labels, expected):
    """Whatever is said elsewhere."""
    assert scheme(labels) == expected


@pytest.mark.parametrize(
    "reader",
    [
        {"type": "structkd_conll"},
        {"type": "multilingual", "languages": ["en"], "reader": {"type": "wikiann"}},
        {"type": "multilingual", "readers": {"en": {"type": "structkd_conll"}}},
    ],
)
def test_by_a_reader_that_recodes(scheme, reader):
    if reader["type"] == "multilingual":
        for own in [reader["reader"]] if "reader" in reader else reader["readers"].values():
            own["label_encoding"] = "BIO"
    assert scheme(BOTH, reader, sentences=IOB1) == "BIO"


@pytest.mark.parametrize(("sentences", "expected"), [(IOB1, "IOB1"), (BIO, "BIO")])
@pytest.mark.parametrize("reader", [CONLL, {"type": "structkd_conll", "label_encoding": None}])
def test_by_the_training_data(scheme, reader, sentences, expected):
    assert scheme(BOTH, reader, sentences) == expected


def test_errors_in_the_training_data(scheme):
    assert scheme(sentences=[*IOB1, *BIO * 100]) == "BIO"


def test_a_mixture(scheme):
    with pytest.raises(ConfigurationError, match=r"a mixture.*\(2 .* IOB1 only, and 4 in BIO"):
        scheme(sentences=[*IOB1, *BIO, *BIO])


@pytest.mark.parametrize("sentences", [None, NEITHER, ["O B-ORG"], ["O"], []])
def test_training_data_that_tell_nothing(scheme, sentences):
    """Not there any more, without an entity, or another corpus by the same name."""
    assert scheme(sentences=sentences) == "IOB1"


def test_training_data_that_are_no_file(scheme, tmp_path):
    for path in ("https://example.com/train.txt", str(tmp_path), "/dev/zero"):
        assert scheme(path=path) == "IOB1"
        (tmp_path / "teacher").rename(tmp_path / f"done{len(path)}")


def test_by_the_declared_encoding(scheme):
    assert scheme(label_encoding="BIO") == "BIO"


def test_by_what_allennlps_readers_take_their_files_to_be_in(tmp_path):
    for type_, expected in (("conll2003", "IOB1"), ("conll2000", "BIO"), ("ontonotes_ner", "BIO")):
        archive, _ = archived(tmp_path / type_, BOTH, {"type": type_}, "simple_tagger")
        assert archived_scheme(BOTH, load_archive(archive)) == expected


def test_nothing_tells(scheme):
    with pytest.raises(
        ConfigurationError, match=r"may be BIO or IOB1.*\"label_encoding\": \"BIO\""
    ):
        scheme(reader={"type": "sequence_tagging"})


@pytest.mark.parametrize("declared", ["BIO", "IOB1"])
def test_a_declared_encoding_that_is_wrong(scheme, declared):
    """It forbids the tagger what it has been trained to say."""
    sentences = IOB1 if declared == "BIO" else BIO
    with pytest.raises(ConfigurationError, match=f"but its label_encoding is {declared}: train"):
        scheme(sentences=sentences, label_encoding=declared)


def test_a_student_of_iob1_teachers(tmp_path):
    """The default of allennlp-models: once taken for BIO, it taught that nothing is an entity."""
    labels = ["O", "I-PER", "I-LOC"]
    archive, model = archived(tmp_path / "t", labels, CONLL, "crf_tagger")
    head = ArchiveSource(archive).head()
    assert head.encoding == "IOB1"
    ((chain, _),) = Teachers(archive, student(constrain_crf=True).label_space).chains(
        [Sentence(["Ada"], "en")], torch.device("cpu")
    )
    ids = torch.tensor([[model.vocab.get_token_index("Ada", "tokens")]])
    logits = model(tokens={"tokens": {"tokens": ids}})["logits"][0, 0]
    scores = logits + model.crf.start_transitions + model.crf.end_transitions
    own = torch.softmax(scores.detach(), 0)
    expected = {"O": own[0], "B-PER": own[1], "I-PER": 0, "B-LOC": own[2], "I-LOC": 0}
    for label, probability in zip(BOTH, chain.marginals[0, 0], strict=True):
        assert probability == pytest.approx(float(expected[label]), rel=1e-5)
