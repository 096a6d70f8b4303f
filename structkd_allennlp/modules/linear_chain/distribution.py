"""
A linear-chain conditional random field as a probability distribution over label sequences.

Pure tensors, no AllenNLP: the tagger builds its loss, its marginals and its decoding from one
`LinearChain`, a teacher is another, and a distillation objective is a formula over the two.
"""

import copy
from typing import Callable, List, NamedTuple, Optional, Protocol, Self

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain.autograd import PairForm, Scores, as_log_potentials
from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN, IMPOSSIBLE
from structkd_allennlp.modules.linear_chain.inference import Inference


class KBest(NamedTuple):
    """
    The best label sequences of each sentence, best first.

    # Parameters

    paths : `Tensor`
        `(batch, k, length)`, long. 0 where masked and where fewer than `k` sequences exist.
    scores : `Tensor`
        `(batch, k)`, unnormalised. Minus infinity where fewer than `k` sequences exist.
    """

    paths: Tensor
    scores: Tensor


class StructuredDistribution(Protocol):
    """
    A batch of distributions over label sequences, as distillation objectives see it. `LinearChain`
    documents the members; another structure needs no more than these.
    """

    @property
    def mask(self) -> Tensor: ...

    @property
    def lengths(self) -> Tensor: ...

    @property
    def emissions(self) -> Tensor: ...

    @property
    def log_partition(self) -> Tensor: ...

    @property
    def marginals(self) -> Tensor: ...

    @property
    def log_marginals(self) -> Tensor: ...

    @property
    def entropy(self) -> Tensor: ...

    def cross_entropy(self, other: Self) -> Tensor: ...

    def kl(self, other: Self) -> Tensor: ...

    def log_prob(self, paths: Tensor) -> Tensor: ...

    def k_best(self, k: int = 1) -> KBest: ...

    def tempered(self, temperature: float) -> Self: ...

    def detach(self) -> Self: ...


class LinearChain:
    """
    The distribution `p(y | x) = exp(score(x, y)) / Z(x)` of a batch of sentences, where `score`
    adds the emission of every label and the transition of every pair of neighbouring labels
    (Lafferty et al., 2001). All methods are exact, batched, and run on the device of `emissions`.
    All but the choice of paths are differentiable with respect to every potential.

        >>> emissions = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 1.0, 1.5], [1.0, 0.0, 2.0]]])
        >>> transitions = torch.zeros(3, 3)
        >>> transitions[0, 2] = -torch.inf  # e.g. from O to I
        >>> chain = LinearChain(emissions, transitions, mask=torch.ones(1, 3, dtype=torch.bool))
        >>> chain
        LinearChain(batch=1, length=3, labels=3, transitions=(3, 3), torch.float32, cpu)
        >>> chain.marginals
        tensor([[[0.4460, 0.1490, 0.4050],
                 [0.0735, 0.5970, 0.3295],
                 [0.2805, 0.1032, 0.6163]]])
        >>> paths, scores = chain.k_best(2)
        >>> paths
        tensor([[[0, 1, 2],
                 [2, 2, 2]]])
        >>> chain.log_prob(paths).exp()
        tensor([[0.2642, 0.1602]])
        >>> chain.kl(chain.tempered(2.0))
        tensor([0.1393])

    Potentials are log potentials. One of minus infinity forbids: what it forbids has probability
    exactly 0 and takes part in no gradient. Whatever the type of the inputs, everything is computed
    in float64; results have the type of `emissions`, or float32 for half precision.

    # Parameters

    emissions : `Tensor`
        `(batch, length, labels)`.
    transitions : `Tensor`
        `(labels, labels)` as `[from, to]`, `(batch, labels, labels)` where potentials differ by
        sentence, or `(batch, length - 1, labels, labels)` where they differ by position.
    mask : `Tensor`
        `(batch, length)`, bool: true at tokens, which are contiguous from the left.
    start_transitions, end_transitions : `Tensor`, optional
        `(labels,)` or `(batch, labels)`: potentials of the first and the last label.

    # Raises

    `ValueError` for shapes that do not fit together and for a mask with a hole or an empty row.
    """

    def __init__(
        self,
        emissions: Tensor,
        transitions: Tensor,
        mask: Tensor,
        start_transitions: Optional[Tensor] = None,
        end_transitions: Optional[Tensor] = None,
    ) -> None:
        _validate(emissions, transitions, mask, start_transitions, end_transitions)
        mask = mask.bool()
        scores = Scores.apply(emissions, mask, start_transitions, end_transitions)
        transitions = as_log_potentials(transitions)
        if transitions.dim() == 4:
            transitions = transitions.masked_fill(~mask[:, 1:, None, None], 0.0)
        self._inference = Inference(scores, transitions, mask)
        self._emissions, self._start, self._end = emissions, start_transitions, end_transitions
        half = emissions.dtype in (torch.float16, torch.bfloat16)
        self._dtype = torch.float32 if half else emissions.dtype

    def __repr__(self) -> str:
        batch, length, labels = self._inference.scores.shape
        transitions = tuple(self._inference.transitions.shape)
        return (
            f"LinearChain(batch={batch}, length={length}, labels={labels}, "
            f"transitions={transitions}, {self._dtype}, {self.mask.device})"
        )

    @property
    def mask(self) -> Tensor:
        """`(batch, length)`, bool."""
        return self._inference.mask

    @property
    def emissions(self) -> Tensor:
        """`(batch, length, labels)`: without what start and end add. 0 where masked."""
        emissions = as_log_potentials(self._emissions).masked_fill(~self.mask.unsqueeze(-1), 0.0)
        return emissions.to(self._dtype)

    @property
    def transitions(self) -> Tensor:
        """In the shape in which they were given."""
        return self._inference.transitions.to(self._dtype)

    @property
    def lengths(self) -> Tensor:
        """`(batch,)`."""
        return self.mask.sum(1)

    @property
    def batch_size(self) -> int:
        return self.mask.size(0)

    @property
    def length(self) -> int:
        return self.mask.size(1)

    @property
    def num_labels(self) -> int:
        return self._inference.scores.size(2)

    # ------------------------------------------------------------- other chains

    def tempered(self, temperature: float) -> "LinearChain":
        """
        The chain with all potentials divided by `temperature`: p^(1 / temperature), renormalised
        over all label sequences.
        """
        if temperature == 1.0:
            return self
        scores, transitions = self._inference.scores, self._inference.transitions
        return self._derived(
            Inference(scores / temperature, transitions / temperature, self.mask),
            lambda potentials: potentials / temperature,
        )

    def detach(self) -> "LinearChain":
        """The same distribution, to which no gradient goes."""
        return self._derived(self._inference.detach(), Tensor.detach)

    def with_transitions(
        self,
        transitions: Tensor,
        start_transitions: Optional[Tensor] = None,
        end_transitions: Optional[Tensor] = None,
    ) -> "LinearChain":
        """
        The chain with the same emissions and these transitions, in any shape that the constructor
        takes. Where start or end are not given, this chain's remain.
        """
        return LinearChain(
            self._emissions,
            transitions,
            self.mask,
            self._start if start_transitions is None else start_transitions,
            self._end if end_transitions is None else end_transitions,
        )

    def _derived(self, inference: Inference, change: Callable[[Tensor], Tensor]) -> "LinearChain":
        """The chain with a change to each of its potentials, which `inference` has undergone."""
        chain = copy.copy(self)
        chain._inference = inference
        chain._emissions = change(self._emissions)
        chain._start = None if self._start is None else change(self._start)
        chain._end = None if self._end is None else change(self._end)
        return chain

    # ------------------------------------------------------------- probabilities

    @property
    def log_partition(self) -> Tensor:
        """`(batch,)`: log Z; minus infinity where every sequence is forbidden."""
        log_z = self._inference.log_partition
        return log_z.masked_fill(log_z < IMPOSSIBLE, -torch.inf).to(self._dtype)

    @property
    def marginals(self) -> Tensor:
        """`(batch, length, labels)`: q(y_i = j | x). Rows sum to 1; 0 where masked."""
        marginals, _ = self._inference.expectations(PairForm.NONE)
        # A copy, so that changing it changes nothing here.
        return marginals.to(self._dtype, copy=True)

    @property
    def log_marginals(self) -> Tensor:
        """
        `(batch, length, labels)`: log q(y_i = j | x), differentiable. 0 where masked; `FORBIDDEN`
        for an impossible label, which is finite, so that 0 * log q is 0 in an expectation.
        """
        return self._inference.log_marginals.to(self._dtype)

    @property
    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: q(y_i, y_i+1 | x); 0 where masked."""
        return self._inference.expectations(PairForm.BY_POSITION)[1].to(self._dtype)

    def log_prob(self, paths: Tensor) -> Tensor:
        """
        The log-probability of label sequences; minus infinity for a forbidden one.

        # Parameters

        paths : `Tensor`
            `(batch, length)` or `(batch, k, length)`, long. Labels at masked positions are ignored.

        # Returns

        `Tensor` : `(batch,)` or `(batch, k)`.
        """
        if paths.dim() == 2:
            # Shape: (batch, length) -> (batch, 1, length), and back
            return self.log_prob(paths.unsqueeze(1)).squeeze(1)
        # Shape: (batch, 1) and (batch, k)
        log_z = self._inference.log_partition.unsqueeze(1)
        log_p = self._inference.score(paths) - log_z
        # Where all are forbidden, so is log Z, and the difference says nothing.
        forbidden = (log_p < IMPOSSIBLE) | (log_z < IMPOSSIBLE)
        return log_p.masked_fill(forbidden, -torch.inf).to(self._dtype)

    def log_prob_of_observed(self, labels: Tensor, observed: Tensor) -> Tensor:
        """
        The log-probability of the labels of some tokens, whatever the others are.

        # Parameters

        labels : `Tensor`
            `(batch, length)`, long; ignored where not observed.
        observed : `Tensor`
            `(batch, length)`, bool.

        # Returns

        `Tensor` : `(batch,)`; minus infinity where the labels are forbidden.
        """
        own = self._inference
        excluded = torch.ones_like(own.scores, dtype=torch.bool)
        excluded = excluded.scatter(-1, labels.masked_fill(~observed, 0).unsqueeze(-1), False)
        excluded = excluded & (observed & self.mask).unsqueeze(-1)
        scores = own.scores.masked_fill(excluded, FORBIDDEN)
        log_z, observed_z = (
            x.log_partition for x in (own, Inference(scores, own.transitions, self.mask))
        )
        forbidden = (observed_z < IMPOSSIBLE) | (log_z < IMPOSSIBLE)
        return (observed_z - log_z).masked_fill(forbidden, -torch.inf).to(self._dtype)

    # --------------------------------------------------------------- information

    @property
    def entropy(self) -> Tensor:
        """`(batch,)`: -sum over all label sequences of p log p, in nats."""
        return self.cross_entropy(self)

    def cross_entropy(self, other: "LinearChain") -> Tensor:
        """
        H(self, other) = -sum over all label sequences of p_self log p_other, exact, in nats (Wang
        et al., 2021, arXiv 2010.05010). Where `other` forbids what `self` allows it is not
        infinite, but huge.

        # Parameters

        other : `LinearChain`
            Over the same sentences and labels.

        # Returns

        `Tensor` : `(batch,)`.
        """
        (cross_entropy,) = self._cross_entropies(other)
        return cross_entropy.to(self._dtype)

    def kl(self, other: "LinearChain") -> Tensor:
        """
        KL(self || other) = H(self, other) - H(self), likewise: `(batch,)`, exact, in nats, and huge
        where `other` forbids what `self` allows.
        """
        cross_entropy, entropy = self._cross_entropies(other, self)
        return (cross_entropy - entropy).to(self._dtype)

    def _cross_entropies(self, *others: "LinearChain") -> List[Tensor]:
        """`(batch,)` each, float64."""
        inferences = [other._inference for other in others]
        for theirs in inferences:
            shapes = tuple(self._inference.scores.shape), tuple(theirs.scores.shape)
            if shapes[0] != shapes[1]:
                raise ValueError(
                    "chains over different sentences or labels cannot be compared: their scores "
                    f"are {shapes[0]} and {shapes[1]}"
                )
        forms = [theirs.pair_form for theirs in inferences]
        form = PairForm.BY_POSITION if PairForm.BY_POSITION in forms else PairForm.SUMMED
        expectations = self._inference.expectations(form)
        return [x.log_partition - x.expected_score(*expectations) for x in inferences]

    # ------------------------------------------------------------------ sequences

    @torch.no_grad()
    def k_best(self, k: int = 1) -> KBest:
        """The `k` best label sequences of every sentence, all different."""
        if k < 1:
            raise ValueError(f"k_best needs a k of at least 1, not {k}")
        paths, scores = self._inference.best_paths(k)
        return KBest(paths, scores.to(self._dtype))

    def sample(self, n: int = 1) -> Tensor:
        """`(batch, n, length)`, long: independent exact samples (ancestral); 0 where masked."""
        return self._inference.sample_paths(n)


def _validate(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor,
    start_transitions: Optional[Tensor],
    end_transitions: Optional[Tensor],
) -> None:
    if emissions.dim() != 3 or emissions.size(1) == 0 or emissions.size(2) == 0:
        raise ValueError(f"emissions must be (batch, length, labels), not {tuple(emissions.shape)}")
    batch, length, labels = emissions.shape
    square = (labels, labels)
    if transitions.shape not in {square, (batch, *square), (batch, length - 1, *square)}:
        raise ValueError(
            f"transitions must be {square}, {(batch, *square)} or {(batch, length - 1, *square)} "
            f"for emissions of {tuple(emissions.shape)}, not {tuple(transitions.shape)}"
        )
    for name, tensor in (("start", start_transitions), ("end", end_transitions)):
        if tensor is not None and tensor.shape not in {(labels,), (batch, labels)}:
            raise ValueError(
                f"{name}_transitions must be ({labels},) or {(batch, labels)}, "
                f"not {tuple(tensor.shape)}"
            )
    if mask.shape != (batch, length):
        raise ValueError(f"mask must be {(batch, length)}, not {tuple(mask.shape)}")
    mask = mask.bool()
    if not mask[:, 0].all():
        raise ValueError("mask has a row that does not start with a token: no sentence is empty")
    if (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("mask has a hole: tokens must be contiguous from the left")
