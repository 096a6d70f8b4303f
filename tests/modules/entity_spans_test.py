"""Entities and their probabilities, against enumeration of all label sequences."""

import itertools
from collections import defaultdict

import pytest
import torch
from seqeval.metrics.sequence_labeling import get_entities

from structkd_allennlp.modules.entity_spans import EntityProbability, EntitySpan, entity_spans
from structkd_allennlp.modules.linear_chain import LinearChain

LABELS = {
    "BIO": ["O", "B-A", "I-A", "B-B", "I-B"],
    "BIOUL": ["B-A", "I-A", "L-A", "U-A", "O"],
    "BMES": ["B-A", "M-A", "E-A", "S-A", "O"],
    "untyped": ["O", "B", "I"],
    "hyphens": ["O", "B-a-b", "I-a-b", "B-a-c", "I-a-c"],
}


@pytest.mark.parametrize("scheme", LABELS)
def test_probability_equals_enumeration(scheme):
    """Also of entities that only an ill-formed sequence holds, as the chain is unconstrained."""
    torch.manual_seed(0)
    labels, n = LABELS[scheme], 4
    size = len(labels)
    mask = torch.ones(1, n, dtype=torch.bool)
    chain = LinearChain(torch.randn(1, n, size).double(), torch.randn(size, size).double(), mask)
    expected = defaultdict(float)
    for path in itertools.product(range(size), repeat=n):
        probability = chain.log_prob(torch.tensor([path])).exp().item()
        for span in entity_spans([labels[y] for y in path]):
            expected[span] += probability
    computed = EntityProbability(labels)
    for span, probability in expected.items():
        assert computed(chain.marginals[0], chain.pair_marginals[0], span) == pytest.approx(
            probability
        )
    assert {s.end - s.start for s in expected} == {1, 2, 3, 4}


def test_one_token():
    mask = torch.ones(1, 1, dtype=torch.bool)
    chain = LinearChain(torch.tensor([[[0.0, 1.0, 2.0]]]), torch.zeros(3, 3), mask)
    probability = EntityProbability(["O", "B-A", "I-A"])
    # Here both B-A and, by conlleval's rule, I-A are the entity.
    expected = torch.softmax(torch.tensor([0.0, 1.0, 2.0]), 0)[1:].sum().item()
    span = EntitySpan("A", 0, 1)
    assert probability(chain.marginals[0], chain.pair_marginals[0], span) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["O", "I-A", "I-A", "B-A"], [("A", 1, 3), ("A", 3, 4)]),
        (["B-A", "L-A", "U-B", "O"], [("A", 0, 2), ("B", 2, 3)]),
        (["B-A", "M-A", "E-A", "S-B"], [("A", 0, 3), ("B", 3, 4)]),
        (["I-A", "I-B"], [("A", 0, 1), ("B", 1, 2)]),
        ([], []),
    ],
)
def test_spans(tags, spans):
    assert entity_spans(tags) == spans


def test_bio_spans_are_those_of_seqeval():
    for tags in itertools.product(LABELS["BIO"], repeat=3):
        theirs = [(label, start, end + 1) for label, start, end in get_entities(list(tags))]
        assert entity_spans(tags) == theirs
