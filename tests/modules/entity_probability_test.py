"""Entities and their probabilities, against enumeration of all label sequences."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
import torch

from structkd_allennlp.data.tag_schemes import chunk_boundaries, entity_spans
from structkd_allennlp.modules.entity_probability import (
    EntityProbability,
    EntitySpan,
    spans_of_paths,
)
from structkd_allennlp.modules.linear_chain import LinearChain, loops
from structkd_allennlp.modules.linear_chain.spans import step_of_pairs

LABELS = {
    "BIO": ["O", "B-A", "I-A", "B-B", "I-B"],
    "BIOUL": ["B-A", "I-A", "L-A", "U-A", "O"],
    "BMES": ["B-A", "M-A", "E-A", "S-A", "O"],
    "untyped": ["O", "B", "I"],
    "hyphens": ["O", "B-a-b", "I-a-b", "B-a-c", "I-a-c"],
}


def probabilities(labels, chain, spans):
    """Of entities of the only sentence."""
    (found,) = EntityProbability(chunk_boundaries(labels))(
        chain.marginals.numpy(),
        step_of_pairs(chain.pair_marginals.numpy()),
        chain.lengths.tolist(),
        [spans],
    )
    return found


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
    computed = probabilities(labels, chain, list(expected))
    assert computed == pytest.approx(list(expected.values()))
    assert {s.end - s.start for s in expected} == {1, 2, 3, 4}


def test_one_token():
    mask = torch.ones(1, 1, dtype=torch.bool)
    chain = LinearChain(torch.tensor([[[0.0, 1.0, 2.0]]]), torch.zeros(3, 3), mask)
    # Here both B-A and, by conlleval's rule, I-A are the entity.
    expected = torch.softmax(torch.tensor([0.0, 1.0, 2.0]), 0)[1:].sum().item()
    assert probabilities(["O", "B-A", "I-A"], chain, [EntitySpan("A", 0, 1)]) == pytest.approx(
        [expected]
    )


def spans_of(paths, lengths, boundaries, compiled):
    """Of each path."""
    found = spans_of_paths(paths, lengths, boundaries, compiled)
    return [
        [
            EntitySpan(boundaries.types[label], start, end)
            for row, label, start, end in zip(*(x.tolist() for x in found), strict=True)
            if row == own
        ]
        for own in range(len(paths))
    ]


@pytest.mark.parametrize("compiled", [False, *([True] if loops.ARE_COMPILED else [])])
@pytest.mark.parametrize("scheme", LABELS)
def test_spans_of_a_path_are_those_of_its_tags(scheme, compiled):
    labels = LABELS[scheme]
    boundaries = chunk_boundaries(labels)
    paths = np.array([*itertools.product(range(len(labels)), repeat=4)])
    # What padding holds does not matter.
    for length in (1, 3, 4):
        expected = [entity_spans([labels[y] for y in path[:length]]) for path in paths]
        found = spans_of(paths, np.full(len(paths), length), boundaries, compiled)
        assert found == expected
    lengths = np.arange(len(paths)) % 4 + 1
    expected = [
        entity_spans([labels[y] for y in path[:n]]) for path, n in zip(paths, lengths, strict=True)
    ]
    assert spans_of(paths, lengths, boundaries, compiled) == expected
