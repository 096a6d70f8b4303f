"""Token classifiers of Hugging Face that teach: their scores against a loop over sentences."""

import json
import logging
import os
import shutil
from itertools import accumulate
from pathlib import Path

import numpy
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation import huggingface_teacher
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.fill import score_missing
from structkd_allennlp.distillation.huggingface_teacher import HuggingFaceSource
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import ArchiveSource
from structkd_allennlp.distillation.teachers import Teachers
from structkd_allennlp.modules.crf_file import CRF_FILE, StoredCrf, write_crf
from structkd_allennlp.modules.tagger_chain import Potentials
from tests.distillation.classifiers import byte_level_classifier, classifier
from tests.distillation.taggers import LABELS, student

CPU = torch.device("cpu")
SENTENCES = [
    Sentence(["Maria", "Fernández", "lives", "in", "Rotterdam", "."], "en"),
    Sentence(["Ada"], "es"),
    Sentence(["unbelievably", "Zaragoza", "(", "İstanbul", ")", "東京"] * 3, "pt"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return classifier(tmp_path_factory.mktemp("teacher") / "en")


def source(directory, **params):
    return HuggingFaceSource(directory, **{"label_encoding": "BIO", **params})


def naive(directory, sentences, mode="first", **options):
    """One sentence after another, without padding or windows, each word split by itself."""
    model = AutoModelForTokenClassification.from_pretrained(directory).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory, **options)
    found = []
    for words, _ in sentences:
        pieces = [tokenizer.encode(word, add_special_tokens=False) for word in words]
        ids = [tokenizer.cls_token_id, *(x for own in pieces for x in own), tokenizer.sep_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
        rows, at = [], 1
        for own in pieces:
            rows.append(logits[at] if mode == "first" else logits[at : at + len(own)].mean(0))
            at += len(own)
        found.append(numpy.stack(rows))
    return found


def assert_close(actual, expected):
    for own, theirs in zip(actual, expected, strict=True):
        numpy.testing.assert_allclose(own, theirs, atol=1e-5)


def test_words_have_the_scores_of_their_first_sub_words(directory, monkeypatch):
    expected = naive(directory, SENTENCES)
    assert_close(source(directory).emissions(SENTENCES, CPU), expected)
    # In whatever batches.
    monkeypatch.setattr(huggingface_teacher, "_SUB_WORDS_A_BATCH", 1)
    assert_close(source(directory).emissions(SENTENCES, CPU), expected)


def test_byte_level_sub_words(tmp_path):
    """RoBERTa's, which are others after a space."""
    byte_level_classifier(tmp_path)
    own = source(str(tmp_path))
    assert own.loaded().max_length == 64
    short = [Sentence(words[:5], language) for words, language in SENTENCES]
    expected = naive(str(tmp_path), short, add_prefix_space=True)
    assert_close(own.emissions(short, CPU), expected)


def test_long_sentences_are_read_in_windows(directory):
    words = [word for sentence in SENTENCES for word in sentence.words] * 4
    sentences = [Sentence(words, "en"), *SENTENCES]
    whole = source(directory).emissions(sentences, CPU)
    windows = source(directory, max_length=64)
    found = windows.emissions(sentences, CPU)
    # What fits into one window is as it was, and nothing is cut.
    assert_close(found[1:], whole[1:])
    assert found[0].shape == whole[0].shape == (len(words), len(LABELS))
    assert numpy.abs(found[0] - whole[0]).max() > 1e-4
    # Each word is where its window says, on its own.
    tokenizer = AutoTokenizer.from_pretrained(directory)
    pieces = [tokenizer.encode(word, add_special_tokens=False) for word in words]
    flat = [x for own in pieces for x in own]
    starts = [0, *accumulate(map(len, pieces[:-1]))]
    model, size, step = windows.loaded().model, 62, 31
    scores = []
    for start in range(0, len(flat), step):
        ids = [tokenizer.cls_token_id, *flat[start : start + size], tokenizer.sep_token_id]
        with torch.no_grad():
            scores.append(model(input_ids=torch.tensor([ids])).logits[0, 1:-1].numpy())
        if start + size >= len(flat):
            break
    for word, at in enumerate(starts):
        own = [
            scores[number][at - number * step]
            for number in range(len(scores))
            if 0 <= at - number * step < len(scores[number])
        ]
        assert any(numpy.allclose(found[0][word], one, atol=1e-5) for one in own)


def test_the_longest_input_of_a_model(directory):
    """512 sub-words, with two special tokens."""
    sentences = [Sentence(["a"] * 510, "en"), Sentence(["a"] * 2000, "en")]
    found = source(directory).emissions(sentences, CPU)
    assert_close(found[:1], naive(directory, sentences[:1]))
    assert len(found[1]) == 2000
    assert numpy.isfinite(found[1]).all()


def test_words_without_sub_words(directory, caplog):
    sentences = [Sentence(["\u200b"], "en"), Sentence(["Ada", "\u200b", "\x00", "Bob"], "en")]
    own = source(directory)
    with caplog.at_level(logging.WARNING):
        found = own.emissions(sentences, CPU)
        own.emissions(sentences, CPU)
    assert not found[0].any()
    assert not found[1][1:3].any()
    assert_close([found[1][[0, 3]]], naive(directory, [Sentence(["Ada", "Bob"], "en")]))
    (record,) = (r for r in caplog.records if "no sub-words" in r.message)
    assert r"'\u200b'" in record.message


def test_as_teachers_of_a_student(directory, tmp_path):
    """By language, in lists, for all; from a store, they are not loaded."""
    teacher = {"type": "hugging_face", "model": directory, "label_encoding": "BIO"}
    for teachers in (
        teacher,
        {"en": teacher, "es": [teacher], "pt": {"folds": [teacher, teacher]}},
    ):
        own = Teachers(teachers, student(constrain_crf=True).label_space)
        own.load(["en", "es", "pt"])
        ((chain, weights),) = own.chains(SENTENCES, CPU)
        assert weights.tolist() == [1.0] * 3
    emissions = source(directory).emissions(SENTENCES, CPU)
    # A softmax over the sequences that the student's BIO allows: none starts with an I.
    assert chain.marginals[1, 0, [2, 4]].tolist() == [0, 0]
    expected = torch.from_numpy(emissions[1][0][[0, 1, 3]]).softmax(0)
    torch.testing.assert_close(chain.marginals[1, 0, [0, 1, 3]], expected)

    store = TargetStore(str(tmp_path / "s"))
    score_missing(Archives(teacher, store), SENTENCES, CPU)
    moved = tmp_path / "moved"
    shutil.copytree(directory, moved)
    (moved / "README.md").write_text("a card")
    space = student(constrain_crf=True).label_space
    warm = Teachers({**teacher, "model": str(moved)}, space, store)
    warm.load(["en"])
    ((stored, _),) = warm.chains(SENTENCES, CPU)
    torch.testing.assert_close(stored.marginals, chain.marginals)
    (one,) = warm.archives.teachers_of(SENTENCES[0])
    assert one.source._parts is None


def test_equal_parameters_are_one_teacher(directory):
    teacher = {"type": "hugging_face", "model": directory}
    own = Archives({"en": teacher, "es": dict(reversed(teacher.items())), "de": [directory]})
    (en,), (es,) = (own.teachers_of(Sentence(["Ada"], language)) for language in ("en", "es"))
    assert en is es


def test_what_changes_the_digest(directory, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    digest = source(directory).digest()
    assert source(str(copy)).digest() == digest
    assert source(directory, max_length=64).digest() != digest
    assert source(directory, label_encoding="IOB1").digest() != digest
    (copy / "optimizer.pt").write_bytes(b"left by a trainer")
    assert source(str(copy)).digest() == digest
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert source(str(copy)).digest() != digest


def test_a_crf_beside_it(directory, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    n = len(LABELS)
    potentials = Potentials(torch.randn(n, n), torch.randn(n), torch.randn(n))
    potentials.transitions[0, 2] = -torch.inf
    write_crf(copy / CRF_FILE, StoredCrf(LABELS, "BIO", "avg", potentials))
    own = HuggingFaceSource(str(copy))
    head = own.head()
    assert (head.labels, head.encoding) == (LABELS, "BIO")
    for mine, theirs in zip(head.potentials, potentials, strict=True):
        assert torch.equal(mine, theirs)
    assert own.digest() != HuggingFaceSource(directory).digest()
    assert_close(own.emissions(SENTENCES, CPU), naive(directory, SENTENCES, "avg"))
    write_crf(copy / CRF_FILE, StoredCrf(["B-X", *LABELS[1:]], "BIO", "avg", potentials))
    with pytest.raises(ConfigurationError, match=r"crf.safetensors: its labels are .*'B-X'"):
        HuggingFaceSource(str(copy)).head()
    (copy / CRF_FILE).write_bytes(b"\0" * 20)
    with pytest.raises(ConfigurationError, match=r"crf.safetensors is damaged"):
        HuggingFaceSource(str(copy)).head()


@pytest.mark.parametrize(
    ("labels", "label_encoding", "expected"),
    [
        (LABELS, "BIO", "BIO"),
        (LABELS, "IOB1", "IOB1"),
        (["O", "B-PER"], None, "BIO"),
        (["O", "I-PER"], None, "IOB1"),
        (["O", "B-PER", "L-PER", "U-PER", "I-PER"], None, "BIOUL"),
        (["NOUN", "VERB"], None, None),
        (LABELS, None, "may be BIO or IOB1, and nothing says which: add"),
        (LABELS, "BIOUL", "are BIO or IOB1, and not BIOUL"),
        (["O", "U-PER"], "BIO", "are BIOUL, and not BIO"),
        (["NOUN", "VERB"], "BIO", "are no parts of entities, and not BIO"),
    ],
)
def test_label_encodings(tmp_path, labels, label_encoding, expected):
    own = HuggingFaceSource(classifier(tmp_path / "t", labels), label_encoding)
    if expected and " " in expected:
        with pytest.raises(ConfigurationError, match=expected):
            own.head()
    else:
        assert own.head().encoding == expected


def edited(directory, path, **values):
    shutil.copytree(directory, path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **values}))
    return str(path)


def test_labels_without_names(directory, tmp_path):
    placeholders = {str(i): f"LABEL_{i}" for i in range(5)}
    path = edited(directory, tmp_path / "t", id2label=placeholders)
    with pytest.raises(ConfigurationError, match=r'placeholders such as LABEL_0.*"id2label"'):
        source(path).head()
    twice = {str(i): "O" for i in range(5)}
    with pytest.raises(ConfigurationError, match="different names"):
        source(edited(directory, tmp_path / "u", id2label=twice)).head()


def test_models_that_cannot_teach(directory, tmp_path):
    path = edited("fixtures/tiny_mbert", tmp_path / "bert", id2label=dict(enumerate(LABELS)))
    with pytest.raises(ConfigurationError, match=r"classifier.*no trained token classifier"):
        source(path).head()
    more = {str(i): f"X{i}" for i in range(7)}
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        source(edited(directory, tmp_path / "more", id2label=more)).head()
    code = edited(directory, tmp_path / "code", model_type="mine", auto_map={"AutoConfig": "m.C"})
    (Path(code) / "m.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        source(code).head()
    assert not (tmp_path / "run").exists()
    broken = edited(directory, tmp_path / "broken")
    (Path(broken) / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ConfigurationError, match=r"broken cannot be loaded"):
        source(broken).head()
    bare = edited(directory, tmp_path / "bare")
    (Path(bare) / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"bare has no weights: .*model.safetensors"):
        source(bare).check("en")
    nan = edited(directory, tmp_path / "nan")
    weights = load_file(Path(nan) / "model.safetensors")
    weights["classifier.bias"][0] = torch.nan
    save_file(weights, Path(nan) / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"weights classifier.bias are not finite"):
        source(nan).head()
    with pytest.raises(ConfigurationError, match=r'"max_length" is 513, .* at most 512'):
        source(directory, max_length=513).head()
    with pytest.raises(ConfigurationError, match=r'"max_length" is 3, and must be 4 or more'):
        source(directory, max_length=3).head()


def test_weights_that_are_a_program(directory, tmp_path):
    copy = Path(edited(directory, tmp_path / "t"))
    (copy / "model.safetensors").unlink()

    class Program:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"classifier.bias": Program()}, copy / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        source(str(copy)).head()
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_of_another_model(directory, tmp_path):
    copy = edited(directory, tmp_path / "t")
    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.add_tokens(["anotherone"])
    tokenizer.save_pretrained(copy)
    with pytest.raises(ConfigurationError, match=r"801 sub-words and the model 800"):
        source(copy).head()


def test_what_is_not_there(tmp_path, directory):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match=r"teacher of language 'en' .* is a file"):
        source(str(tmp_path / "file")).check("en")
    for name in (str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(ConfigurationError, match="teacher of language 'en' is missing"):
            source(name).check("en")
    # And an archive is asked for where there is one of these.
    with pytest.raises(ConfigurationError, match=r'\{"type": "hugging_face", "model": '):
        ArchiveSource(directory).check("en")


def test_a_name_on_the_hub(directory, tmp_path, monkeypatch):
    """As its cache has it, with what belongs to one revision."""
    revision = "0123456789012345678901234567890123456789"
    cached = tmp_path / "models--somebody--tagger"
    shutil.copytree(directory, cached / "snapshots" / revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    monkeypatch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    own = source("somebody/tagger")
    own.check("en")
    assert_close(own.emissions(SENTENCES, CPU), naive(directory, SENTENCES))
    digest = own.digest()
    assert digest == source("somebody/tagger").digest()
    (cached / "snapshots" / revision).rename(cached / "snapshots" / revision[::-1])
    (cached / "refs" / "main").write_text(revision[::-1])
    assert source("somebody/tagger").digest() != digest
    with pytest.raises(ConfigurationError, match="no model of that name can be had"):
        source("somebody/else").check("en")
