"""Random, constrained and hostile potentials of linear chains, for the tests of many modules."""

import itertools
import math
from typing import Any, Dict, List, Sequence, Union

import hypothesis.strategies as st
import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain import LinearChain

NAMES = ("emissions", "transitions", "start", "end")
STRUCTURES = ["none", "BIO", "left to right", "random"]
SHAPES: List[Union[bool, str]] = [False, "by sentence", True]


def potentials(
    seed: int,
    lengths: List[int],
    labels: int,
    positional: Union[bool, str],
    ends: Union[bool, str],
    scale: float = 1.0,
    forbid: float = 0.0,
) -> Dict[str, Any]:
    """
    Random potentials; a share `forbid` of the transitions is -inf, never from or to label 0.
    `positional` transitions differ by position; else they, and `ends`, may be "by sentence".
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    batch, length = len(lengths), max(lengths)
    own = {False: (), "by sentence": (batch,), True: (batch, length - 1)}[positional]
    transitions = random(*own, labels, labels)
    if forbid:
        drop = torch.rand(transitions.shape, generator=generator) < forbid
        drop[..., 0] = False
        drop[..., 0, :] = False
        transitions = transitions.masked_fill(drop, -math.inf)
    ends_shape = (batch, labels) if ends == "by sentence" else (labels,)
    return {
        "emissions": random(batch, length, labels),
        "transitions": transitions,
        "mask": torch.arange(length) < torch.tensor(lengths).unsqueeze(1),
        "start": random(*ends_shape) if ends else None,
        "end": random(*ends_shape) if ends else None,
    }


def exclude(p: Dict[str, Any], structure: str, value: float, seed: int) -> Dict[str, Any]:
    """
    The potentials, of which some are `value`. Some sequence of each sentence is always left, but
    most structures have labels that cannot be reached, or that lead to nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    batch, length, labels = p["emissions"].shape
    tokens = torch.zeros(p["emissions"].shape, dtype=torch.bool)
    steps = torch.zeros(p["transitions"].shape, dtype=torch.bool)
    if structure == "BIO":
        # 0 is O, then every B is followed by its I.
        to_inside = torch.arange(labels) % 2 == 0
        to_inside[0] = False
        own = torch.arange(labels).unsqueeze(1) - torch.arange(labels)
        steps |= to_inside & (own != 0) & (own != -1)
        tokens[:, 0] = to_inside
    elif structure == "left to right":
        steps |= torch.ones(labels, labels).tril(-1).bool()
    elif structure == "random":
        tokens = torch.rand(tokens.shape, generator=generator) < 0.4
        steps = torch.rand(steps.shape, generator=generator) < 0.4
        # Some sentences are left as they are.
        tokens[::2] = False
        if steps.dim() > 2:
            steps[::2] = False
        legal = torch.randint(labels, (batch, length), generator=generator)
        tokens.scatter_(-1, legal.unsqueeze(-1), False)
        for b, path in enumerate(legal.tolist()):
            for i, (y, z) in enumerate(itertools.pairwise(path)):
                steps[(b, i)[: steps.dim() - 2]][y, z] = False
    return {
        **p,
        "emissions": p["emissions"].masked_fill(tokens, value),
        "transitions": p["transitions"].masked_fill(steps, value),
    }


@st.composite
def cases(
    draw: st.DrawFn,
    lengths: st.SearchStrategy[List[int]],
    labels: st.SearchStrategy[int],
    scales: Sequence[float],
    size: int,
) -> Dict[str, Any]:
    """All kinds of potentials. Sentences are cut so that a batch has at most `size` pairs."""
    seed, number = draw(st.integers(0, 2**31)), draw(labels)
    of_batch = draw(lengths)
    longest = max(1, size // (len(of_batch) * number**2))
    plain = potentials(
        seed,
        [min(n, longest) for n in of_batch],
        number,
        positional=draw(st.sampled_from(SHAPES)),
        ends=draw(st.sampled_from(SHAPES)),
        scale=draw(st.sampled_from(scales)),
    )
    structure = draw(st.sampled_from(STRUCTURES))
    return exclude(plain, structure, draw(st.sampled_from([-math.inf, -10_000.0])), seed)


def dead_end(positional: Union[bool, str], lengths: Sequence[int] = (3, 3, 1)) -> Dict[str, Any]:
    """The second sentence has a label that leads to nothing, so it is computed in log space."""
    p = potentials(3, list(lengths), 3, positional=positional, ends=True)
    p["transitions"][..., 0, 1] = -math.inf
    p["emissions"][1, 1] = torch.tensor([-math.inf, 0.5, -math.inf])
    return p


def golden_example() -> LinearChain:
    """The three-token example of Wang et al. (2020), Table 1; labels F = 0, T = 1."""
    psi = torch.tensor([[[2, 1 / 2], [1 / 2, 2]], [[1 / 3, 3], [4, 1 / 4]]], dtype=torch.float64)
    emissions = torch.zeros(1, 3, 2, dtype=torch.float64)
    return LinearChain(emissions, psi.log().unsqueeze(0), torch.ones(1, 3, dtype=torch.bool))
