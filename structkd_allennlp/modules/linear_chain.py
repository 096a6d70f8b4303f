"""
A linear-chain conditional random field as a probability distribution over label sequences.

Pure tensors, no AllenNLP: the tagger builds its loss, its marginals and its decoding from one
`LinearChain`, a teacher is another, and a distillation objective is a formula over the two.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.best_paths import best_paths, next_scores
from structkd_allennlp.modules.compiled import can_compile, compiled_best_paths
from structkd_allennlp.modules.forward_backward import (
    Expectations,
    ForwardBackward,
    LogPartition,
    Pairs,
)
from structkd_allennlp.modules.log_space import FORBIDDEN, IMPOSSIBLE, LogSpaceForwardBackward


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


class LinearChain:
    """
    The distribution `p(y | x) = exp(score(x, y)) / Z(x)` of a batch of sentences, where `score`
    adds the emission of every label and the transition of every pair of neighbouring labels
    (Lafferty et al., 2001). All methods are exact, batched, run on the device of `emissions`, and
    are differentiable with respect to every potential (but for the choice of paths).

    A potential of minus infinity forbids: what it forbids has probability exactly 0, and takes
    part in no gradient. Whatever the type of the inputs, everything is computed in float64, in
    probability space (see `forward_backward`) or, for sentences whose scores span more than that
    holds, in log space. Results have the type of `emissions`, or float32 for half precision.

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
        half = emissions.dtype in (torch.float16, torch.bfloat16)
        self._dtype = torch.float32 if half else emissions.dtype
        self._emissions = emissions
        scores = _Scores.apply(emissions, mask, start_transitions, end_transitions)
        transitions = _as_potentials(transitions)
        if transitions.dim() == 4:
            transitions = transitions.masked_fill(~mask[:, 1:, None, None], 0.0)
        self._set(scores, transitions, mask)

    def _set(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self._scores = scores
        self._transitions = transitions
        self._forward_backward: Optional[ForwardBackward] = None
        # By whether they carry a graph: those computed under no_grad must not serve a later loss.
        self._log_space: Dict[bool, LogSpaceForwardBackward] = {}

    def _with(self, emissions: Tensor, scores: Tensor, transitions: Tensor) -> "LinearChain":
        """Another distribution over the same sentences; start and end are in the scores."""
        chain = LinearChain.__new__(LinearChain)
        chain._dtype = self._dtype
        chain._emissions = emissions
        chain._set(scores, transitions, self.mask)
        return chain

    @property
    def emissions(self) -> Tensor:
        """`(batch, length, labels)`: without what start and end add. 0 where masked."""
        emissions = _as_potentials(self._emissions).masked_fill(~self.mask.unsqueeze(-1), 0.0)
        return emissions.to(self._dtype)

    @property
    def transitions(self) -> Tensor:
        """In the shape in which they were given."""
        return self._transitions.to(self._dtype)

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
        return self._scores.size(2)

    def tempered(self, temperature: float) -> "LinearChain":
        """
        The chain with all potentials divided by `temperature`: p^(1 / temperature), renormalised
        over all label sequences.
        """
        if temperature == 1.0:
            return self
        potentials = self._emissions, self._scores, self._transitions
        return self._with(*(tensor / temperature for tensor in potentials))

    def detach(self) -> "LinearChain":
        """The same distribution, which no gradient goes to."""
        potentials = self._emissions, self._scores, self._transitions
        chain = self._with(*(tensor.detach() for tensor in potentials))
        chain._forward_backward = self._forward_backward
        return chain

    # ----------------------------------------------------------------- messages

    @property
    def _messages(self) -> ForwardBackward:
        if self._forward_backward is None:
            with torch.no_grad():
                self._forward_backward = ForwardBackward(self._scores, self._transitions, self.mask)
        return self._forward_backward

    @property
    def _unreliable(self) -> Optional[Tuple[Tensor, LogSpaceForwardBackward]]:
        """The sentences that have to be computed in log space, by their rows, if any."""
        rows = self._messages.unreliable
        if rows is None:
            return None
        with_graph = torch.is_grad_enabled()
        if with_graph not in self._log_space:
            transitions = self._transitions
            if transitions.dim() > 2:
                transitions = transitions[rows]
            self._log_space[with_graph] = LogSpaceForwardBackward(
                self._scores[rows], transitions, self.mask[rows]
            )
        return rows, self._log_space[with_graph]

    def _expectations(self, form: Pairs) -> Tuple[Tensor, Tensor]:
        """See `Expectations`; float64."""
        marginals, pairs = Expectations.apply(self._scores, self._transitions, self._messages, form)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            marginals = marginals.index_copy(0, rows, log_space.marginals)
            if form is not None:
                own = log_space.pair_marginals
                pairs = pairs.index_copy(0, rows, own if form == "by position" else own.sum(1))
        return marginals, pairs

    @property
    def _log_partition(self) -> Tensor:
        """`(batch,)`, float64; finite, if only just, where every sequence is forbidden."""
        log_z = LogPartition.apply(self._scores, self._transitions, self._messages)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            log_z = log_z.index_copy(0, rows, log_space.log_partition)
        return log_z

    # ------------------------------------------------------------- probabilities

    @property
    def log_partition(self) -> Tensor:
        """`(batch,)`: log Z; minus infinity where every sequence is forbidden."""
        log_z = self._log_partition
        return log_z.masked_fill(log_z < IMPOSSIBLE, -torch.inf).to(self._dtype)

    @property
    def log_marginals(self) -> Tensor:
        """
        `(batch, length, labels)`: log q(y_i = j | x), differentiable. 0 where masked; where a label
        is impossible `FORBIDDEN`, which is finite, so that 0 * log q is 0 in an expectation.
        """
        marginals, _ = Expectations.apply(self._scores, self._transitions, self._messages, None)
        log_q = _Logarithm.apply(marginals)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            own = log_space.log_marginals
            log_q = log_q.index_copy(0, rows, own.masked_fill(own < IMPOSSIBLE, FORBIDDEN))
        return log_q.masked_fill(~self.mask.unsqueeze(-1), 0.0).to(self._dtype)

    @property
    def marginals(self) -> Tensor:
        """`(batch, length, labels)`: q(y_i = j | x). Rows sum to 1; 0 where masked."""
        # A copy, so that changing it changes nothing here.
        return self._expectations(None)[0].to(self._dtype, copy=True)

    @property
    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: q(y_i, y_i+1 | x); 0 where masked."""
        return self._expectations("by position")[1].to(self._dtype)

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
            return self.log_prob(paths.unsqueeze(1)).squeeze(1)
        log_z = self._log_partition.unsqueeze(1)
        log_p = self._path_scores(paths) - log_z
        # The score of a forbidden path and log Z where all are forbidden.
        forbidden = (log_p < IMPOSSIBLE) | (log_z < IMPOSSIBLE)
        return log_p.masked_fill(forbidden, -torch.inf).to(self._dtype)

    def _path_scores(self, paths: Tensor) -> Tensor:
        """`(batch, k, length)` -> `(batch, k)`, float64: unnormalised scores."""
        batch, length, labels = self._scores.shape
        mask = self.mask.unsqueeze(1)
        paths = paths.masked_fill(~mask, 0)
        tokens = torch.arange(batch * length, device=paths.device).view(batch, 1, length)
        # Shape: (batch, k, length)
        scores = _at(self._scores, tokens * labels + paths)
        pairs = paths[:, :, :-1] * labels + paths[:, :, 1:]
        if self._transitions.dim() > 2:
            # Which matrix, of all those of the batch in a row.
            count = self._transitions.numel() // labels**2
            matrices = torch.arange(count, device=paths.device).view(batch, 1, -1)
            pairs = pairs + matrices * labels**2
        transitions = _at(self._transitions, pairs)
        return (scores * mask).sum(-1) + (transitions * mask[:, :, 1:]).sum(-1)

    def log_prob_of_observed(self, labels: Tensor, observed: Tensor) -> Tensor:
        """
        The log-probability of the labels of some tokens, whatever those of the others are.

        # Parameters

        labels : `Tensor`
            `(batch, length)`, long; ignored where not observed.
        observed : `Tensor`
            `(batch, length)`, bool.

        # Returns

        `Tensor` : `(batch,)`; minus infinity where they are forbidden.
        """
        excluded = torch.ones_like(self._scores, dtype=torch.bool)
        excluded = excluded.scatter(-1, labels.masked_fill(~observed, 0).unsqueeze(-1), False)
        excluded = excluded & (observed & self.mask).unsqueeze(-1)
        scores = self._scores.masked_fill(excluded, FORBIDDEN)
        constrained = self._with(self._emissions, scores, self._transitions)
        log_z, observed_z = self._log_partition, constrained._log_partition
        forbidden = (observed_z < IMPOSSIBLE) | (log_z < IMPOSSIBLE)
        return (observed_z - log_z).masked_fill(forbidden, -torch.inf).to(self._dtype)

    @property
    def entropy(self) -> Tensor:
        """`(batch,)`: -sum over all sequences of p log p, in nats."""
        return self.cross_entropy(self)

    def cross_entropy(self, other: "LinearChain") -> Tensor:
        """
        `(batch,)`: H(self, other) = -sum over all label sequences of p_self log p_other, exactly,
        in nats (Wang et al., 2021, arXiv 2010.05010). Needs the same mask and labels on both sides.
        Where `other` forbids what `self` allows the value is huge, as it is infinite.
        """
        if self._scores.shape != other._scores.shape:
            raise ValueError(
                "two chains over different sentences or labels have no cross-entropy: shapes "
                f"{tuple(self._scores.shape)} and {tuple(other._scores.shape)}"
            )
        by_position = other._transitions.dim() == 4
        marginals, pairs = self._expectations("by position" if by_position else "summed")
        expected = (marginals * other._scores).sum((1, 2))
        expected = expected + (pairs * other._transitions).flatten(1).sum(1)
        return (other._log_partition - expected).to(self._dtype)

    # ------------------------------------------------------------------ sequences

    @torch.no_grad()
    def k_best(self, k: int = 1) -> KBest:
        """The `k` best label sequences of every sentence, all different."""
        if k < 1:
            raise ValueError(f"k_best needs a k of at least 1, not {k}")
        search = compiled_best_paths if can_compile(self.mask.device) else best_paths
        paths, scores = search(self._scores, self._transitions, self.mask, k)
        return KBest(paths, scores.to(self._dtype))

    @torch.no_grad()
    def sample(self, n: int = 1) -> Tensor:
        """`(batch, n, length)`, long: independent exact samples (ancestral); 0 where masked."""
        onward = self._messages.onward.log().clamp(min=FORBIDDEN)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            onward = onward.index_copy(0, rows, log_space.onward)
        onward = onward.transpose(0, 1)
        draw = torch.distributions.Categorical(logits=onward[0]).sample((n,)).T
        labels = [draw]
        for i in range(self.length - 1):
            logits = next_scores(onward, self._transitions, i, draw)
            draw = torch.distributions.Categorical(logits=logits).sample()
            labels.append(draw)
        return torch.stack(labels, dim=-1).masked_fill(~self.mask.unsqueeze(1), 0)


def _at(tensor: Tensor, positions: Tensor) -> Tensor:
    """The numbers at positions in the flattened tensor."""
    return tensor.reshape(-1).gather(0, positions.reshape(-1)).view(positions.shape)


class _Scores(torch.autograd.Function):
    """
    Emissions as float64 potentials, 0 where masked, with those of start and end added: these belong
    to the first and the last token, so no recursion needs to know of them.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, mask: Tensor, start: Optional[Tensor], end: Optional[Tensor]
    ) -> Tensor:
        # Shape: (batch, length, labels)
        scores = emissions.to(torch.float64, copy=True).clamp_(min=FORBIDDEN)
        scores.masked_fill_(~mask.unsqueeze(-1), 0)
        ends = torch.arange(len(mask), device=mask.device), mask.sum(1) - 1
        if start is not None:
            scores[:, 0] += _as_potentials(start)
        if end is not None:
            scores[ends] += _as_potentials(end)
        ctx.save_for_backward(scores)
        ctx.ends = ends
        ctx.inputs = [None if x is None else (x.dtype, x.dim()) for x in (emissions, start, end)]
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        # Another chain may expect what is forbidden here. Of what is masked it is 0 already.
        gradient = gradient.masked_fill(ctx.saved_tensors[0] < IMPOSSIBLE, 0)
        parts = gradient, gradient[:, 0], gradient[ctx.ends]
        of_emissions, of_start, of_end = (
            # Those of start and end may be the same for all sentences.
            None
            if given is None
            else (part if part.dim() == given[1] else part.sum(0)).to(given[0])
            for part, given in zip(parts, ctx.inputs, strict=True)
        )
        return of_emissions, None, of_start, of_end


class _Logarithm(torch.autograd.Function):
    """log q; `FORBIDDEN` with a gradient of 0 where q is 0."""

    @staticmethod
    def forward(ctx: Any, probabilities: Tensor) -> Tensor:
        ctx.save_for_backward(probabilities)
        return probabilities.log().clamp_(min=FORBIDDEN)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (probabilities,) = ctx.saved_tensors
        return (gradient / probabilities).masked_fill(probabilities == 0, 0)


def _as_potentials(tensor: Tensor) -> Tensor:
    return tensor.double().clamp(min=FORBIDDEN)


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
