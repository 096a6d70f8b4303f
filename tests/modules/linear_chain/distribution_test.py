"""Every quantity of a `LinearChain` against enumeration of all label sequences, in float64."""

import doctest
import itertools
import math
from typing import Any, Dict, Tuple

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from structkd_allennlp.modules.linear_chain import LinearChain, distribution
from tests.modules.enumeration import Enumerated
from tests.modules.linear_chain.reference import QUANTITIES
from tests.modules.potentials import (
    NAMES,
    SHAPES,
    cases,
    dead_end,
    exclude,
    golden_example,
    potentials,
)


def both(p: Dict[str, Any]) -> Tuple[LinearChain, Enumerated]:
    args = (p["emissions"], p["transitions"], p["mask"], p["start"], p["end"])
    return LinearChain(*args), Enumerated(*args)


CASES = cases(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    labels=st.integers(1, 3),
    scales=[0.1, 1.0, 50.0, 1000.0],
    size=1000,
)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_probabilities_equal_enumeration(case):
    chain, brute = both(case)
    torch.testing.assert_close(chain.log_partition, brute.log_partition)
    torch.testing.assert_close(chain.marginals, brute.marginals)
    torch.testing.assert_close(chain.pair_marginals, brute.pair_marginals)
    sums = chain.marginals.sum(-1)
    torch.testing.assert_close(sums, chain.mask.to(sums.dtype))
    log_q = chain.log_marginals
    assert torch.isfinite(log_q).all()
    torch.testing.assert_close(log_q.exp() * chain.mask.unsqueeze(-1), chain.marginals)
    torch.testing.assert_close(chain.entropy, brute.cross_entropy(brute))


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(1, 90))
def test_k_best_and_log_prob_equal_enumeration(case, k):
    chain, brute = both(case)
    best = chain.k_best(k)
    assert best.paths.shape == (chain.batch_size, k, chain.length)
    log_probs = chain.log_prob(best.paths)
    for b, n in enumerate(chain.lengths.tolist()):
        scores = {p: s.item() for p, s in brute.scores[b].items() if s > -math.inf}
        ranked = sorted(scores.values(), reverse=True)
        for rank in range(k):
            if rank >= len(ranked):
                assert best.scores[b, rank] == -math.inf
                assert not best.paths[b, rank].any()
                continue
            path = tuple(best.paths[b, rank, :n].tolist())
            assert best.scores[b, rank].item() == pytest.approx(ranked[rank])
            assert scores[path] == pytest.approx(ranked[rank])
            assert log_probs[b, rank].item() == pytest.approx(
                ranked[rank] - brute.log_partition[b].item(), abs=1e-9
            )
        assert not best.paths[b, :, n:].any()
        found = {tuple(p) for p in best.paths[b, : len(ranked), :n].tolist()}
        assert len(found) == min(k, len(ranked)), "a sequence was listed twice"
    torch.testing.assert_close(chain.log_prob(best.paths[:, 0]), log_probs[:, 0])


def test_many_paths():
    """On a CPU another search finds them; it goes on where that for few of them ends."""
    generator = torch.Generator().manual_seed(0)
    emissions = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[True] * 6, [True] * 5 + [False]])
    chain = LinearChain(emissions, torch.randn(4, 4, generator=generator), mask)
    few, many, all_ = (chain.k_best(k) for k in (500, 501, 5000))
    assert torch.equal(few.paths, many.paths[:, :500])
    torch.testing.assert_close(many.scores, all_.scores[:, :501])
    assert (all_.scores > -torch.inf).sum(1).tolist() == [4**6, 4**5]


@settings(max_examples=30, deadline=None)
@given(CASES, st.sampled_from([0.5, 2.25, 4.0]))
def test_tempering_raises_probabilities_to_a_power(case, temperature):
    chain, brute = both(case)
    for b in range(chain.batch_size):
        log_probs = {p: x for p, x in brute.log_probs(b).items() if x > -math.inf}
        powers = torch.log_softmax(torch.stack(list(log_probs.values())) / temperature, dim=0)
        paths = torch.zeros(1, len(log_probs), chain.length, dtype=torch.long)
        for i, path in enumerate(log_probs):
            paths[0, i, : len(path)] = torch.tensor(path)
        tempered = chain.tempered(temperature).log_prob(paths.expand(chain.batch_size, -1, -1))
        torch.testing.assert_close(tempered[b], powers)


@settings(max_examples=30, deadline=None)
@given(CASES, st.integers(0, 2**31), st.sampled_from(SHAPES))
def test_cross_entropy_and_divergence_equal_enumeration(case, seed, shape):
    chain, brute = both(case)
    lengths, labels = chain.lengths.tolist(), chain.num_labels
    other, other_brute = both(potentials(seed, lengths, labels, positional=shape, ends=True))
    torch.testing.assert_close(chain.cross_entropy(other), brute.cross_entropy(other_brute))
    torch.testing.assert_close(chain.kl(other), brute.kl(other_brute))
    assert (chain.kl(other) > -1e-9).all()
    assert (chain.kl(chain) == 0).all()


def test_divergence_from_what_forbids_a_possible_sequence_is_huge():
    p = potentials(7, [3, 2], 3, positional=False, ends=False)
    free = LinearChain(*p.values())
    p["transitions"] = p["transitions"].clone()
    p["transitions"][0, 1] = -math.inf
    narrow = LinearChain(*p.values())
    assert (free.kl(narrow) > 1e20).all()
    # The other way round it is what renormalising costs.
    torch.testing.assert_close(narrow.kl(free), free.log_partition - narrow.log_partition)


@settings(max_examples=30, deadline=None)
@given(CASES, st.integers(0, 2**31))
def test_log_prob_of_observed_equals_enumeration(case, seed):
    chain, brute = both(case)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(chain.num_labels, chain.mask.shape, generator=generator)
    observed = torch.rand(chain.mask.shape, generator=generator) < 0.5
    ours = chain.log_prob_of_observed(labels, observed)
    torch.testing.assert_close(ours, brute.log_prob_of_observed(labels, observed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ends", [(), ("start",), ("start", "end")])
def test_other_transitions(shape, ends):
    """Those of start and end that are not given remain."""
    p = potentials(1, [3, 1, 4], 3, positional=False, ends=True)
    replaced = exclude(
        potentials(2, [3, 1, 4], 3, positional=shape, ends="by sentence"), "random", -math.inf, 2
    )
    given_ = {f"{name}_transitions": replaced[name] for name in ends}
    transitions = replaced["transitions"].requires_grad_()
    chain = LinearChain(*p.values()).with_transitions(transitions, **given_)
    p.update({name: replaced[name] for name in ("transitions", *ends)})
    brute = Enumerated(*p.values())
    torch.testing.assert_close(chain.log_partition, brute.log_partition)
    torch.testing.assert_close(chain.marginals, brute.marginals)
    assert torch.equal(chain.emissions, brute.emissions)
    ours, theirs = (
        torch.autograd.grad(x.log_partition.sum(), transitions)[0] for x in (chain, brute)
    )
    torch.testing.assert_close(ours, theirs)


def test_transitions_stay_with_a_tempered_chain():
    p = potentials(1, [3, 4], 3, positional=False, ends=True)
    chain = LinearChain(*p.values())
    hot = chain.tempered(2.0)
    torch.testing.assert_close(
        hot.with_transitions(p["transitions"] / 2.0).log_partition, hot.log_partition
    )
    assert not hot.detach().with_transitions(p["transitions"]).log_partition.requires_grad
    with pytest.raises(ValueError, match="transitions must be"):
        chain.with_transitions(torch.zeros(2, 2))


def test_the_documented_example():
    failed, attempted = doctest.testmod(distribution)
    assert attempted > 0
    assert failed == 0


def test_a_chain_says_what_it_is_without_computing_anything():
    p = potentials(1, [3, 4], 3, positional=True, ends=True)
    chain = LinearChain(p["emissions"].half(), p["transitions"], p["mask"])
    assert repr(chain) == (
        "LinearChain(batch=2, length=4, labels=3, transitions=(2, 3, 3, 3), torch.float32, cpu)"
    )
    assert chain._inference._messages is None


@pytest.mark.parametrize("forbidden", [-math.inf, -10_000.0])
def test_forbidden_transitions_get_nothing_and_leave_no_nan(forbidden):
    transitions = torch.zeros(3, 3)
    transitions[0, 2] = forbidden
    start = torch.tensor([0.0, 0.0, forbidden])
    mask = torch.tensor([[True] * 5, [True] + [False] * 4])
    emissions = torch.randn(2, 5, 3, requires_grad=True)
    transitions.requires_grad_()
    start.requires_grad_()
    chain = LinearChain(emissions, transitions, mask, start)
    assert (chain.marginals[:, 0, 2] == 0).all()
    assert (chain.pair_marginals[:, :, 0, 2] == 0).all()
    assert (chain.sample(50)[:, :, 0] != 2).all()
    illegal = torch.tensor([[2, 0, 0, 0, 0], [2, 0, 0, 0, 0]])
    if forbidden == -math.inf:
        assert torch.isneginf(chain.log_prob(illegal)).all()
    # A target of 0 where the student cannot go must cost nothing and disturb nothing.
    loss = -(chain.marginals.detach() * chain.log_marginals).sum() + chain.entropy.sum()
    loss.backward()
    for tensor in (emissions, transitions, start):
        assert torch.isfinite(tensor.grad).all()
    assert transitions.grad[0, 2] == 0


def test_a_chain_without_any_legal_sequence_says_so():
    transitions = torch.full((2, 2), -math.inf)
    chain = LinearChain(torch.zeros(1, 3, 2), transitions, torch.ones(1, 3, dtype=torch.bool))
    assert chain.log_partition.item() == -math.inf
    assert chain.log_prob(torch.tensor([[0, 1, 0]])).item() == -math.inf
    assert chain.k_best(2).scores.tolist() == [[-math.inf, -math.inf]]


@pytest.mark.parametrize("scale", [1.0, 50.0, 1000.0])
@pytest.mark.parametrize("labels", [1, 17])
def test_float32_is_close_to_float64(scale, labels):
    p = potentials(5, [64, 1, 33], labels, positional=False, ends=True, scale=scale)
    exact = LinearChain(*p.values())
    single = LinearChain(
        *(v if v is None or v.dtype == torch.bool else v.float() for v in p.values())
    )
    # What rounding the potentials to float32 itself costs grows with their size.
    tolerance = 1e-4 * max(1.0, scale / 50)
    torch.testing.assert_close(
        single.marginals.double(), exact.marginals, rtol=tolerance, atol=tolerance
    )
    torch.testing.assert_close(
        single.log_partition.double(), exact.log_partition, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_half_precision_is_computed_in_higher(dtype, autocast, scale):
    p = dead_end(False, lengths=[6, 4, 1])
    halves = {n: (scale * p[n]).to(dtype).requires_grad_() for n in NAMES}
    twins = {n: x.detach().float().requires_grad_() for n, x in halves.items()}
    chain, twin = (LinearChain(**_arguments(x), mask=p["mask"]) for x in (halves, twins))
    paths = twin.k_best(2).paths
    for name, quantity in QUANTITIES.items():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            result = quantity(chain, chain, paths)
        expected = quantity(twin, twin, paths)
        assert result.dtype == torch.float32, name
        assert torch.equal(result, expected), name
        gradients, theirs = (
            torch.autograd.grad(value.clamp(min=-1e6).sum(), list(x.values()), retain_graph=True)
            for value, x in ((result, halves), (expected, twins))
        )
        for mine, exact in zip(gradients, theirs, strict=True):
            assert mine.dtype == dtype
            assert torch.equal(mine, exact.to(dtype)), name
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        assert torch.equal(chain.k_best(2).paths, paths)
        assert chain.k_best(2).scores.dtype == torch.float32


def _arguments(p: Dict[str, Any]) -> Dict[str, Any]:
    """The names that `LinearChain` has for potentials."""
    return {f"{n}_transitions" if n in ("start", "end") else n: x for n, x in p.items()}


@pytest.mark.parametrize("positional", [False, True])
def test_padding_is_ignored_whatever_it_holds(positional):
    p = potentials(6, [2, 5], 3, positional=positional, ends=True)
    clean = LinearChain(*p.values())
    dirty = {n: None if x is None else x.clone() for n, x in p.items()}
    dirty["emissions"][0, 2:] = math.nan
    if positional:
        dirty["transitions"][0, 1:] = math.nan
    inputs = [dirty[name].requires_grad_() for name in NAMES]
    chain = LinearChain(*dirty.values())
    # Nor are labels there.
    paths = clean.k_best(3).paths.clone()
    paths[0, :, 2:] = 100
    for name, quantity in QUANTITIES.items():
        ours = quantity(chain, chain, paths.clamp(max=2) if "observed" in name else paths)
        torch.testing.assert_close(ours, quantity(clean, clean, paths % 98))
        for gradient in torch.autograd.grad(ours.sum(), inputs, retain_graph=True):
            assert gradient.isfinite().all()
    torch.testing.assert_close(chain.k_best(3).scores, clean.k_best(3).scores)


@pytest.mark.parametrize("positional", SHAPES)
def test_samples_follow_the_distribution(positional):
    torch.manual_seed(0)
    chain, brute = both(dead_end(positional, lengths=[3, 3, 2]))
    samples = chain.sample(10_000)
    assert samples.shape == (3, 10_000, 3)
    assert not samples[2, :, 2].any()
    for b, n in enumerate([3, 3, 2]):
        for path, log_p in brute.log_probs(b).items():
            share = (samples[b, :, :n] == torch.tensor(path)).all(-1).double().mean()
            assert share.item() == pytest.approx(log_p.exp().item(), abs=0.02)
            assert log_p > -math.inf or share == 0


def test_golden_example_of_the_paper():
    chain = golden_example()
    paths = torch.tensor(list(itertools.product([0, 1], repeat=3))).unsqueeze(0)
    published = [0.035, 0.316, 0.105, 0.007, 0.009, 0.079, 0.422, 0.026]
    assert chain.log_prob(paths).exp()[0].tolist() == pytest.approx(published, abs=1e-3)
    best = chain.k_best(2)
    assert best.paths.tolist() == [[[1, 1, 0], [0, 0, 1]]]
    weights = torch.softmax(best.scores, dim=-1)[0]
    assert weights.tolist() == pytest.approx([0.57, 0.43], abs=5e-3)
    assert chain.marginals[0, :, 0].tolist() == pytest.approx([0.46, 0.44, 0.57], abs=5e-3)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (4, 4), (2, 3)), "emissions must be"),
        (((2, 3, 4), (3, 4), (2, 3)), "transitions must be"),
        (((2, 3, 4), (2, 3, 4, 4), (2, 3)), "transitions must be"),
        (((2, 3, 4), (4, 4), (3, 2)), "mask must be"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, message):
    emissions, transitions, mask = (torch.zeros(s) for s in shapes)
    with pytest.raises(ValueError, match=message):
        LinearChain(emissions, transitions, mask.bool())


@pytest.mark.parametrize(
    ("row", "message"),
    [([True, False, True], "hole"), ([False] * 3, "empty"), ([False, True, True], "start")],
)
def test_masks_with_holes_or_empty_rows_are_refused(row, message):
    mask = torch.tensor([[True] * 3, row])
    with pytest.raises(ValueError, match=message):
        LinearChain(torch.zeros(2, 3, 2), torch.zeros(2, 2), mask)


def test_wrong_k_and_other_sentences_are_refused():
    chain = golden_example()
    with pytest.raises(ValueError, match="at least 1"):
        chain.k_best(0)
    other = LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.ones(1, 2).bool())
    with pytest.raises(ValueError, match="cannot be compared"):
        chain.cross_entropy(other)
    start = torch.zeros(3)
    with pytest.raises(ValueError, match="start_transitions"):
        LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.ones(1, 2).bool(), start)
