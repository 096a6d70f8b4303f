"""A file that teaches: what it says, what it lacks, and what is wrong with it."""

import gzip
import json
import math
import re
from contextlib import suppress

import numpy
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.models import load_archive
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation import file_teacher
from structkd_allennlp.distillation.file_teacher import FileSource
from structkd_allennlp.distillation.labelled_lines import (
    BadLine,
    LabelNumbers,
    log_probabilities,
    parse,
)
from structkd_allennlp.distillation.teachers import Teachers
from structkd_allennlp.predictors.structured_tagger import StructuredTaggerPredictor
from tests.distillation.taggers import student

CPU = torch.device("cpu")
ADA = {"words": ["Ada", "lives"], "language": "en", "tags": ["B-PER", "O"]}
NEW = {"words": ["New", "York"], "tags": ["B-LOC", "I-LOC"]}
# Labels whose tags, as far as they are in use, say nothing of their encoding.
BIO = {"label_encoding": "BIO"}


def written(path, *lines):
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return str(path)


def probabilities(source, *sentences):
    return [numpy.exp(x) for x in source.emissions([Sentence(*x) for x in sentences], CPU)]


def test_tags(file):
    source = FileSource(written(file, ADA, "", NEW), confidence=0.9)
    assert source.head().labels == ["B-PER", "O", "B-LOC", "I-LOC"]
    assert source.head().encoding == "BIO"
    assert not any(x.any() for x in source.head().potentials)
    ada, new = probabilities(source, (["Ada", "lives"], "en"), (["New", "York"], "de"))
    rest = 0.1 / 3
    numpy.testing.assert_allclose(ada, [[0.9, rest, rest, rest], [rest, 0.9, rest, rest]], 1e-5)
    numpy.testing.assert_allclose(new, [[rest, rest, 0.9, rest], [rest, rest, rest, 0.9]], 1e-5)


def test_one_label(file):
    source = FileSource(written(file, {"words": ["a"], "tags": ["X"]}))
    assert source.head().labels == ["X"]
    assert probabilities(source, (["a"], "en"))[0].tolist() == [[1.0]]


def test_distributions_by_name_and_by_number(file):
    by_name = [{"B-PER": 0.75, "O": 0.25}, {"O": 1}]
    by_number = [[0.25, 0.75], [1.0, 0.0]]
    lines = [
        {"words": ["Ada", "lives"], "distribution": by_name},
        {"words": ["Ada", "lived"], "distribution": by_number},
        {"words": ["Ada", "alive"], "marginals": by_name},
    ]
    source = FileSource(written(file, *lines), labels=["O", "B-PER"])
    found = probabilities(source, *((line["words"], "en") for line in lines))
    for one in found:
        numpy.testing.assert_allclose(one, by_number, atol=1e-6)
    scores = source.emissions([Sentence(["Ada", "lives"], "en")], CPU)[0]
    assert numpy.isfinite(scores).all()
    assert scores[1, 1] == pytest.approx(math.log(1e-8))


names = st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=5, unique=True)


@given(st.lists(st.dictionaries(st.sampled_from("ABCDE"), st.floats(0.01, 1), min_size=1)))
def test_any_distribution(rows):
    """The labels come as they come, and probabilities are what they are."""
    rows = [{x: p / sum(row.values()) for x, p in row.items()} for row in rows]
    numbers = LabelNumbers()
    line = {"words": ["w"] * len(rows), "distribution": rows}
    scores = log_probabilities(parse(json.dumps(line)), numbers, 0.9)
    assert scores.shape == (len(rows), len(numbers.labels))
    for row, own in zip(rows, scores, strict=True):
        for label, score in zip(numbers.labels, own, strict=True):
            assert math.exp(score) == pytest.approx(row.get(label, 0), abs=1e-5)


def test_lines_of_our_predictor(file, tmp_path):
    """As `allennlp predict` writes them, errors included."""
    archive = load_archive("fixtures/teachers/en.tar.gz")
    predictor = StructuredTaggerPredictor(
        archive.model, archive.dataset_reader, marginals=True, skip_errors=True
    )
    inputs = [
        {"words": ["Ada", "lives", "in", "Rotterdam", "."], "language": "en"},
        {"words": [], "language": "en"},
        {"nothing": "here"},
        {"sentence": "Maria met Bob .", "language": "en"},
    ]
    outputs = predictor.predict_batch_json(inputs)
    assert "error" in outputs[2]
    source = FileSource(written(file, *map(predictor.dump_line, outputs)), **BIO)
    for output in (outputs[0], outputs[3]):
        (found,) = probabilities(source, (output["words"], "en"))
        labels = source.head().labels
        expected = [[row[label] for label in labels] for row in output["marginals"]]
        numpy.testing.assert_allclose(found, expected, atol=1e-6)
    # And as a chain of a student's that forbids nothing.
    one = student(labels=source.head().labels)
    teacher = {"type": "file", "file": str(file), **BIO}
    ((chain, _),) = Teachers(teacher, one.label_space).chains(
        [Sentence(outputs[0]["words"], "en")], CPU
    )
    expected = [[row[label] for label in one.labels] for row in outputs[0]["marginals"]]
    torch.testing.assert_close(chain.marginals[0], torch.tensor(expected), atol=1e-6, rtol=0)


def test_language(file):
    """A line of another language says nothing; one without a language is for all."""
    lines = [
        {"words": ["Bob"], "tags": ["B-PER"], "language": "en"},
        {"words": ["Bob"], "tags": ["O"]},
        {"words": ["Ada"], "tags": ["O"], "language": "en"},
    ]
    source = FileSource(written(file, *lines))
    en, de = probabilities(source, (["Bob"], "en"), (["Bob"], "de"))
    assert en.argmax() == 0
    assert de.argmax() == 1
    assert source.has(Sentence(["Ada"], "en"))
    assert not source.has(Sentence(["Ada"], "de"))
    assert not source.has(Sentence(["Ada"], None))
    with pytest.raises(ConfigurationError, match=r"teacher.jsonl lacks the sentence 'Ada' \(de\)"):
        source.emissions([Sentence(["Ada"], "de")], CPU)


def test_words_that_look_alike(file):
    """Words are compared one by one, not as a text, even where their keys are the same."""
    lines = [
        {"words": ["a", "b"], "tags": ["X", "Y"]},
        {"words": ["a\x1fb"], "tags": ["X"]},
        {"words": ["\ud800"], "tags": ["Y"]},
    ]
    source = FileSource(written(file, *lines))
    found = probabilities(source, *((line["words"], "en") for line in lines))
    assert [x.argmax(1).tolist() for x in found] == [[0, 1], [0], [1]]
    assert not source.has(Sentence(["a b"], "en"))


def test_sentences_with_one_key(file, monkeypatch):
    monkeypatch.setattr(file_teacher, "_key", lambda words, language: 7)
    source = FileSource(written(file, ADA, NEW, {"words": ["a"], "tags": ["O"]}))
    found = probabilities(source, (["New", "York"], "en"), (["a"], "en"))
    assert [x.argmax(1).tolist() for x in found] == [[2, 3], [1]]
    with pytest.raises(ConfigurationError, match="lacks the sentence 'New'"):
        source.emissions([Sentence(["New"], "en")], CPU)


def test_repeated_sentences(file):
    """The same labels are no harm; a tagger rounds a little differently in each batch."""
    close = [
        {"words": ["a"], "distribution": [{"X": 0.5, "Y": 0.5}]},
        {"words": ["a"], "distribution": [{"X": 0.5001, "Y": 0.4999}]},
    ]
    FileSource(written(file, ADA, *close, ADA, close[0])).head()
    other = {**ADA, "tags": ["O", "O"]}
    with pytest.raises(
        ConfigurationError, match=r"teacher.jsonl, line 4: other labels for 'Ada lives' than line 2"
    ):
        FileSource(written(file, NEW, ADA, "", other)).head()
    # Of another language it is another sentence.
    FileSource(written(file, ADA, {**other, "language": "de"})).head()


BAD = [
    ("{", "not JSON"),
    ("[1]", r"\[1\] is not an object"),
    ("[" * 100_000, "not JSON"),
    ('{"tags": ["O"]}', '"words" is None. Give a list of strings'),
    ('{"words": "Ada", "tags": ["O"]}', "\"words\" is 'Ada'"),
    ('{"words": [1], "tags": ["O"]}', r'"words" is \[1\]'),
    ('{"words": ["a"]}', 'neither "tags" nor "distribution"'),
    ('{"words": ["a"], "language": 1, "tags": ["O"]}', '"language" is 1'),
    ('{"words": ["a", "b"], "tags": ["O"]}', '2 words and 1 entries of "tags"'),
    ('{"words": ["a"], "tags": "O"}', "\"tags\" is 'O'"),
    ('{"words": ["a"], "tags": [null]}', '"tags" is'),
    ('{"words": ["a"], "distribution": {"O": 1}}', '"distribution" is'),
    ('{"words": ["a"], "distribution": [{"O": 1}, {"O": 1}]}', "1 words and 2 entries"),
    ('{"words": ["a"], "distribution": [1]}', "distribution of 'a' is 1"),
    ('{"words": ["a"], "distribution": [{"O": NaN}]}', "'a' has nan"),
    ('{"words": ["a"], "distribution": [{"O": Infinity}]}', "'a' has inf"),
    ('{"words": ["a"], "distribution": [{"O": -0.1}]}', r"'a' has -0\.1"),
    ('{"words": ["a"], "distribution": [{"O": "1"}]}', "'a' has '1'"),
    ('{"words": ["a"], "distribution": [{"O": true}]}', "'a' has True"),
    ('{"words": ["a"], "distribution": [{"O": 1%s}]}' % ("0" * 400), "'a' has "),
    ('{"words": ["a"], "distribution": [{"O": 0.9, "X": 0.2}]}', r"has a sum of 1\.1"),
    ('{"words": ["a"], "distribution": [{}]}', "has a sum of 0"),
    ('{"words": ["a"], "distribution": [[1.0]]}', 'Give the teacher "labels"'),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_lines(file, line, message):
    with pytest.raises(ConfigurationError, match=rf"teacher.jsonl, line 3: .*{message}") as error:
        FileSource(written(file, ADA, "", line)).head()
    assert len(error.value.message) < 1000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"words": ["a"], "tags": ["B-EVENT"]}, r"'B-EVENT', which is not one of \['O', 'B-PER'\]"),
        ({"words": ["a"], "distribution": [{"Q": 1}]}, "the label 'Q', which is not one of"),
        ({"words": ["a"], "distribution": [[1.0]]}, r'a list of 1 numbers .* there are 2 "labels"'),
    ],
)
def test_bad_lines_of_stated_labels(file, line, message):
    with pytest.raises(ConfigurationError, match=f"line 2: .*{message}"):
        FileSource(written(file, ADA, line), labels=["O", "B-PER"]).head()


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_line_is_read_or_refused(line):
    with suppress(BadLine):
        labelled = parse(line)
        if labelled is not None:
            log_probabilities(labelled, LabelNumbers(), 0.9)


def test_bad_files(file):
    with pytest.raises(ConfigurationError, match=r"teacher.jsonl: no such file .*'en'"):
        FileSource(str(file)).check("en")
    file.write_bytes(gzip.compress(json.dumps(ADA).encode()))
    with pytest.raises(ConfigurationError, match=r"is packed \(gzip\). Unpack it"):
        FileSource(str(file)).check("en")
    file.write_bytes(b'{"words": ["\xe9"], "tags": ["O"]}\n')
    with pytest.raises(ConfigurationError, match="line 1: the byte 0xe9 is not valid UTF-8"):
        FileSource(str(file)).head()
    for nothing in ("", '{"error": "x"}', '{"words": [], "tags": []}'):
        with pytest.raises(ConfigurationError, match="there is no labelled sentence in the file"):
            FileSource(written(file, nothing)).head()
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(ADA).encode())
    (ada,) = probabilities(FileSource(str(file)), (ADA["words"], "en"))
    assert ada.argmax(1).tolist() == [0, 1]


def test_a_long_line(file, monkeypatch):
    monkeypatch.setattr(file_teacher, "LONGEST_TEXT", 1000)
    with pytest.raises(ConfigurationError, match="line 2: a text of more than"):
        FileSource(written(file, ADA, {"words": ["a" * 1000], "tags": ["O"]})).head()


def test_a_file_that_changes(file):
    source = FileSource(written(file, ADA, NEW))
    source.head()
    written(file, "{}", NEW)
    with pytest.raises(ConfigurationError, match="has been changed since it was opened"):
        source.emissions([Sentence(ADA["words"], "en")], CPU)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"missing": "ignore"}, 'missing must be "error" or "skip"'),
        ({"confidence": 1.0}, "confidence must be .* not 1.0"),
        ({"confidence": 0}, "confidence must be"),
        ({"labels": []}, "labels must be different names"),
        ({"labels": ["O", "O"]}, "labels must be different names"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ConfigurationError, match=message):
        FileSource("teacher.jsonl", **params)


def test_a_confidence_that_says_nothing(file):
    with pytest.raises(ConfigurationError, match=r"with 4 labels a confidence of 0\.25 makes"):
        FileSource(written(file, ADA, NEW), confidence=0.25).head()


IOB1 = {"words": ["a", "b"], "tags": ["I-PER", "O"]}
BOTH = {"words": ["c", "d"], "tags": ["B-PER", "I-PER"]}


@pytest.mark.parametrize(
    ("lines", "label_encoding", "expected"),
    [
        ([ADA, NEW], None, "BIO"),
        ([BOTH], None, "BIO"),
        ([IOB1], None, "IOB1"),
        ([IOB1], "BIO", r"\['I-PER', 'O'\] are IOB1, and not BIO"),
        ([BOTH, IOB1], None, "its tags are a mixture of IOB1 and BIO"),
        ([BOTH, IOB1], "IOB1", "IOB1"),
        ([{"words": ["a"], "tags": ["NOUN"]}], None, None),
        ([{**BOTH, "tags": None, "marginals": [{"B-X": 1}, {"I-X": 1}]}], None, "may be BIO or"),
        ([{**BOTH, "tags": None, "marginals": [{"B-X": 1}, {"I-X": 1}]}], "BIO", "BIO"),
    ],
)
def test_label_encodings(file, lines, label_encoding, expected):
    source = FileSource(written(file, *lines), label_encoding=label_encoding)
    if expected and " " in expected:
        with pytest.raises(ConfigurationError, match=f"teacher.jsonl: .*{expected}"):
            source.head()
    else:
        assert source.head().encoding == expected


def test_what_changes_the_digest(file, tmp_path):
    digest = FileSource(written(file, ADA)).digest()
    assert FileSource(written(tmp_path / "copy", ADA), missing="skip").digest() == digest
    others = [{"confidence": 0.9}, {"labels": ["O", "B-PER"]}, {"label_encoding": "BIO"}]
    digests = {FileSource(str(file), **own).digest() for own in others}
    digests.add(FileSource(written(file, ADA, NEW)).digest())
    assert len(digests | {digest}) == 5


def test_many_lines_take_little_memory(file):
    lines = [{"words": [f"w{i}", "x"], "tags": ["B-PER", "O"]} for i in range(3000)]
    source = FileSource(written(file, *lines))
    index = source._index()
    assert index.keys.nbytes + index.offsets.nbytes == 16 * 3000
    sentences = [Sentence(lines[i]["words"], "en") for i in (2999, 0, 1234)]
    assert len(source.emissions(sentences, CPU)) == 3
    # The number of a line far down, from its offset alone.
    lines[2500] = {**lines[7], "tags": ["O", "O"]}
    with pytest.raises(ConfigurationError, match=re.escape("line 2501: other labels for 'w7 x'")):
        FileSource(written(file, *lines)).head()
