"""Counts of public corpora, for those who have them in `data/`; nothing of them is kept here."""

from collections import Counter
from typing import Dict

import pytest

from structkd_allennlp.data import (
    ConllReader,
    SemEvalAspectReader,
    UniversalDependenciesPosReader,
    WikiAnnReader,
)
from tests.data import CORPORA

pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the public corpora are not here")


def counts(reader, path, language=None) -> Dict[str, int]:
    sentences = list(reader.sentences(CORPORA / path, language))
    tags = Counter(tag for sentence in sentences for tag in sentence.tags)
    return {"sentences": len(sentences), "tokens": sum(tags.values()), **tags}


@pytest.mark.parametrize(
    ("path", "sentences", "tokens", "some"),
    [
        ("ud/en/train.conllu", 3000, 51037, {"NOUN": 8422, "PUNCT": 6084, "X": 108}),
        ("ud/fr/train.conllu", 2231, 50502, {"NUM": 1268, "INTJ": 3}),
        ("ud/it/dev.conllu", 156, 2984, {"VERB": 276, "PUNCT": 330}),
        ("ud/nl/test.conllu", 700, 8644, {"PROPN": 1276}),
        ("ud/zero_shot/gl/test.conllu", 400, 10112, {"PUNCT": 1085}),
    ],
)
def test_universal_dependencies(path, sentences, tokens, some):
    found = counts(UniversalDependenciesPosReader(), path)
    assert {"sentences": sentences, "tokens": tokens, **some}.items() <= found.items()


@pytest.mark.parametrize(
    ("path", "sentences", "tokens", "some"),
    [
        ("wikiann/en/train", 5000, 40542, {"B-LOC": 2325, "I-ORG": 6170, "O": 20430}),
        ("wikiann/de/dev", 2000, 19861, {"B-PER": 920, "O": 14163}),
        ("wikiann/zero_shot/pt/test", 2000, 12671, {"B-LOC": 971, "I-PER": 1435}),
    ],
)
def test_wikiann(path, sentences, tokens, some):
    found = counts(WikiAnnReader(), path, path.split("/")[-2])
    assert {"sentences": sentences, "tokens": tokens, **some}.items() <= found.items()


@pytest.mark.parametrize(
    ("path", "sentences", "tokens", "some"),
    [
        # One `I-LOC` and one `I-MISC` after `O`, in these two, become the start of a chunk.
        ("conll2002/es/testa", 1915, 52923, {"B-LOC": 984 + 1, "I-LOC": 337 - 1}),
        ("conll2002/es/testb", 1517, 51533, {"B-MISC": 339 + 1, "I-MISC": 557 - 1}),
        # Less the document marks, which are `O`.
        ("conll2002/nl/train", 6000, 78272 - 136, {"B-PER": 1783, "O": 71018 - 136}),
        ("conll2002/nl/testa", 2000, 26622 - 52, {"B-ORG": 505, "O": 24010 - 52}),
    ],
)
def test_conll(path, sentences, tokens, some):
    found = counts(ConllReader(), path)
    assert {"sentences": sentences, "tokens": tokens, **some}.items() <= found.items()


@pytest.mark.parametrize(
    ("path", "sentences", "targets"),
    [
        ("en/train.xml", 2000, 1743),
        ("en/test.xml", 676, 612),
        # Of the distinct spans less those nested in another.
        ("nl/train.xml", 1722, 1232 - 1),
        ("es/train.xml", 2070, 1861 - 2),
        ("ru/test.xml", 1209, 952),
        ("tr/train.xml", 1232, 1374),
        # Less the empty target 13 times, each with a span of its own sentence, and the bad offset.
        ("tr/test.xml", 144, 158 - 13 - 1),
    ],
)
def test_semeval(path, sentences, targets):
    found = counts(SemEvalAspectReader(), f"aspect/semeval2016/{path}", path[:2])
    assert (found["sentences"], found["B-TARGET"]) == (sentences, targets)
