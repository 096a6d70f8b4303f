"""Inference on NumPy arrays, against the same on tensors."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.modules.linear_chain import LinearChain, loops
from structkd_allennlp.modules.linear_chain.arrays import ArrayChain, ArrayPotentials
from structkd_allennlp.modules.linear_chain.spans import (
    SpanRules,
    Spans,
    span_probabilities,
    step_of_pairs,
)

COMPILED = [False, *([True] if loops.ARE_COMPILED else [])]


def both(seed, batch, length, labels, scale=2.0, forbidden=0.2):
    """A `LinearChain` and what an `ArrayChain` needs to be the same."""
    random = np.random.default_rng(seed)
    emissions = (random.normal(size=(batch, length, labels)) * scale).astype(np.float32)
    lengths = random.integers(1, length + 1, batch)
    lengths[0] = length
    potentials = []
    for shape in [(labels, labels), (labels,), (labels,)]:
        values = random.normal(size=shape)
        values[random.random(shape) < forbidden] = -np.inf
        # The first label is always possible.
        values[..., 0] = 0
        potentials.append(values)
    tensors = [torch.tensor(x) for x in potentials]
    mask = torch.arange(length) < torch.tensor(lengths).unsqueeze(1)
    chain = LinearChain(torch.tensor(emissions).double(), tensors[0], mask, *tensors[1:])
    return chain, emissions, lengths, ArrayPotentials(*potentials)


def random_spans(lengths, labels):
    """Rules of two kinds, and up to 50 spans of each sentence."""
    random = np.random.default_rng(0)
    shapes = [(2, labels), (labels,), *[(labels, labels)] * 3, (labels,)]
    rules = SpanRules(*(random.integers(0, 2, shape).astype(float) for shape in shapes))
    places = [
        (row, random.integers(2), start, end)
        for row, length in enumerate(lengths.tolist())
        for start, end in itertools.islice(itertools.combinations(range(length + 1), 2), 50)
    ]
    return rules, Spans(*np.array(places).T.copy())


def check(chain, emissions, lengths, potentials, compiled, k=4):
    arrays = ArrayChain(emissions, lengths, potentials, compiled)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(arrays.marginals, chain.marginals.numpy(), **close)
    np.testing.assert_allclose(arrays.log_partition, chain.log_partition.numpy(), **close)
    rows, positions = np.nonzero(np.arange(emissions.shape[1] - 1) < lengths[:, None] - 1)
    labels = emissions.shape[2]
    allowed = np.random.default_rng(0).integers(0, 2, (labels, labels))
    expected = chain.pair_marginals.numpy()[rows, positions] * allowed
    for label in range(labels):
        # Shape: (n, labels); of one label alone
        weights = arrays.marginals[rows, positions] * (np.arange(labels) == label)
        steps = arrays.step(weights, rows, positions, allowed)
        np.testing.assert_allclose(steps, expected[:, label], **close)
    rules, spans = random_spans(lengths, labels)
    pairs = step_of_pairs(chain.pair_marginals.numpy())
    expected = span_probabilities(chain.marginals.numpy(), pairs, lengths, rules, spans)
    np.testing.assert_allclose(arrays.span_probabilities(rules, spans), expected, **close)
    for n in (1, k):
        paths, scores = arrays.k_best(n, potentials)
        best = chain.k_best(n)
        np.testing.assert_allclose(scores, best.scores.numpy(), **close)
        assert (paths == best.paths.numpy()).all()


@pytest.mark.parametrize("compiled", COMPILED)
@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    batch=st.integers(1, 5),
    length=st.integers(1, 7),
    labels=st.integers(1, 6),
)
def test_arrays_say_what_tensors_say(compiled, seed, batch, length, labels):
    check(*both(seed, batch, length, labels), compiled)


@pytest.mark.parametrize("compiled", COMPILED)
@pytest.mark.parametrize("scale", [150.0, 3000.0])
def test_scores_that_span_more_than_factors_can_hold(compiled, scale):
    for seed in range(5):
        check(*both(seed, 4, 12, 5, scale), compiled)


@pytest.mark.parametrize("compiled", COMPILED)
def test_long_sentences(compiled):
    check(*both(0, 2, 3000, 5), compiled)


@pytest.mark.parametrize("compiled", COMPILED)
def test_a_label_that_nothing_leads_to(compiled):
    """It is in the support by its scores, so only log space can tell that it is impossible."""
    chain, emissions, lengths, _ = both(0, 3, 4, 3, forbidden=0)
    transitions, start = torch.zeros(3, 3), torch.zeros(3)
    transitions[:, 2], start[2] = -torch.inf, -torch.inf
    chain = LinearChain(
        torch.tensor(emissions).double(), transitions, chain.mask, start, torch.zeros(3)
    )
    potentials = ArrayPotentials(transitions.numpy(), start.numpy(), np.zeros(3))
    arrays = ArrayChain(emissions, lengths, potentials, compiled)
    assert (arrays.marginals[..., 2] == 0).all()
    np.testing.assert_allclose(arrays.marginals, chain.marginals.numpy(), atol=1e-12)


@pytest.mark.parametrize("compiled", COMPILED)
def test_paths_under_other_potentials(compiled):
    """Those of a tagger that forbids only where it decodes."""
    chain, emissions, lengths, own = both(0, 3, 5, 4, forbidden=0)
    other = both(1, 1, 1, 4, forbidden=0.4)[3]
    tensors = [torch.tensor(x) for x in (other.transitions, other.start, other.end)]
    paths, scores = ArrayChain(emissions, lengths, own, compiled).k_best(3, other)
    expected = chain.with_transitions(*tensors).k_best(3)
    assert (paths == expected.paths.numpy()).all()
    np.testing.assert_allclose(scores, expected.scores.numpy())


def test_neither_torch_nor_numba_is_imported():
    program = (
        "import sys\n"
        "from structkd_allennlp.modules.linear_chain.arrays import ArrayChain\n"
        "print(sorted({'torch', 'numba', 'allennlp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("compiled", COMPILED)
def test_spans_do_not_depend_on_the_batch(compiled):
    """To the bit: what is tagged in parts is to be what is tagged at once."""
    rng = np.random.default_rng(0)
    emissions, lengths = rng.normal(size=(40, 9, 7)), rng.integers(1, 10, 40)
    potentials = ArrayPotentials(rng.normal(size=(7, 7)), *rng.normal(size=(2, 7)))
    rules, spans = random_spans(lengths, 7)
    chain = ArrayChain(emissions, lengths, potentials, compiled)
    together = chain.span_probabilities(rules, spans)
    numbers = np.arange(len(together))
    for own in [*numbers[:, None], *np.array_split(numbers, 60)]:
        found = chain.span_probabilities(rules, Spans(*(column[own] for column in spans)))
        assert (found == together[own]).all()
    rows, positions = np.nonzero(np.arange(8) < lengths[:, None] - 1)
    weights, allowed = chain.marginals[rows, positions], rng.integers(0, 2, (7, 7))
    together = chain.step(weights, rows, positions, allowed)
    numbers = np.arange(len(rows))
    for own in [*numbers[:, None], *np.array_split(numbers, 60)]:
        step = chain.step(weights[own], rows[own], positions[own], allowed)
        assert (step == together[own]).all()
