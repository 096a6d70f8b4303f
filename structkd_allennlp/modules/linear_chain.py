"""
A linear-chain conditional random field as a probability distribution over label sequences.

Pure tensors, no AllenNLP: the tagger builds its loss, its marginals and its decoding from one
`LinearChain`, a teacher is another, and a distillation objective is a formula over the two.
"""

from typing import Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.forward_backward import Expectations, ForwardBackward, LogPartition
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
        # Shape: (batch, length, labels)
        scores = _as_potentials(emissions).masked_fill(~mask.unsqueeze(-1), 0.0)
        self._emissions = scores
        # Start and end potentials belong to the first and the last token, so they are emissions:
        # no recursion needs to know of them.
        positions = torch.arange(scores.size(1), device=scores.device)
        for potentials, position in (
            (start_transitions, positions.new_zeros(())),
            (end_transitions, mask.sum(1, keepdim=True) - 1),
        ):
            if potentials is not None:
                here = (positions == position).expand(mask.shape).unsqueeze(-1)
                of_label = _as_potentials(potentials).view(-1, 1, scores.size(2))
                scores = scores + here * of_label
        self._set(scores, _as_potentials(transitions), mask)

    def _set(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self.lengths = mask.sum(1)
        self._scores = scores
        self._transitions = transitions
        self._forward_backward: Optional[ForwardBackward] = None
        # By whether they carry a graph: those computed under no_grad must not serve a later loss.
        self._log_space: Dict[bool, LogSpaceForwardBackward] = {}

    def _with(self, scores: Tensor, transitions: Tensor) -> "LinearChain":
        """Another distribution over the same sentences; start and end are in the scores."""
        chain = LinearChain.__new__(LinearChain)
        chain._dtype = self._dtype
        chain._emissions = scores
        chain._set(scores, transitions, self.mask)
        return chain

    @property
    def emissions(self) -> Tensor:
        """`(batch, length, labels)`: without what start and end add. 0 where masked."""
        return self._emissions.to(self._dtype)

    @property
    def transitions(self) -> Tensor:
        """In the shape in which they were given."""
        return self._transitions.to(self._dtype)

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
        return self._with(self._scores / temperature, self._transitions / temperature)

    def detach(self) -> "LinearChain":
        """The same distribution, which no gradient goes to."""
        chain = self._with(self._scores.detach(), self._transitions.detach())
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

    def _expectations(self, by_position: bool) -> Tuple[Tensor, Tensor]:
        """
        float64: the marginals, and the expected transitions `(batch, labels, labels)` or by
        position `(batch, length - 1, labels, labels)`.
        """
        marginals, pairs = Expectations.apply(
            self._scores, self._transitions, self._messages, by_position
        )
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            marginals = marginals.index_copy(0, rows, log_space.marginals)
            own = log_space.pair_marginals if by_position else log_space.pair_marginals.sum(1)
            pairs = pairs.index_copy(0, rows, own)
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
        marginals, _ = Expectations.apply(self._scores, self._transitions, self._messages, False)
        impossible = marginals == 0
        log_q = marginals.masked_fill(impossible, 1).log().masked_fill(impossible, FORBIDDEN)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            own = log_space.log_marginals
            log_q = log_q.index_copy(0, rows, own.masked_fill(own < IMPOSSIBLE, FORBIDDEN))
        return log_q.masked_fill(~self.mask.unsqueeze(-1), 0.0).to(self._dtype)

    @property
    def marginals(self) -> Tensor:
        """`(batch, length, labels)`: q(y_i = j | x). Rows sum to 1; 0 where masked."""
        return self._expectations(by_position=False)[0].to(self._dtype)

    @property
    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: q(y_i, y_i+1 | x); 0 where masked."""
        return self._expectations(by_position=True)[1].to(self._dtype)

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
        constrained = self._with(self._scores.masked_fill(excluded, FORBIDDEN), self._transitions)
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
        marginals, pairs = self._expectations(by_position=other._transitions.dim() == 4)
        expected = (marginals * other._scores).sum((1, 2))
        expected = expected + (pairs * other._transitions).flatten(1).sum(1)
        return (other._log_partition - expected).to(self._dtype)

    # ------------------------------------------------------------------ sequences

    def _transition(self, position: int) -> Tensor:
        """From `position` to the next: `(1, labels, labels)` or `(batch, labels, labels)`."""
        if self._transitions.dim() == 4:
            return self._transitions[:, position]
        return self._transitions.view(-1, self.num_labels, self.num_labels)

    def _best_onward(self) -> Tuple[Tensor, Tensor]:
        """
        `(length, batch, labels)` each: the best score of what can follow a label (0 at a sentence's
        last token), and the same with the score of the label itself.
        """
        scores = self._scores.transpose(0, 1).contiguous()
        following = torch.zeros_like(scores)
        onward = scores.clone()
        goes_on = self.mask.to(scores.dtype).T.unsqueeze(-1)
        ends = (~self.mask).any(0).tolist()
        for i in range(self.length - 2, -1, -1):
            # Shape: (batch, labels to, labels from)
            inner = self._transition(i).transpose(1, 2) + onward[i + 1].unsqueeze(2)
            torch.amax(inner, dim=1, out=following[i])
            if ends[i + 1]:
                following[i].mul_(goes_on[i + 1])
            onward[i].add_(following[i])
        return following, onward

    def _next_scores(self, position: int, labels: Tensor, onward: Tensor) -> Tensor:
        """`(batch, k)` -> `(batch, k, labels)`: the best way on from each to each next label."""
        transitions = self._transition(position)
        if transitions.size(0) == 1:
            rows = transitions[0].index_select(0, labels.reshape(-1)).view(*labels.shape, -1)
        else:
            batch = torch.arange(self.batch_size, device=labels.device).unsqueeze(1)
            rows = transitions[batch, labels]
        return rows + onward[position + 1].unsqueeze(1)

    @torch.no_grad()
    def k_best(self, k: int = 1) -> KBest:
        """
        The `k` best label sequences of every sentence, all different: a beam search from the left
        that knows the score of the best completion of every prefix, by a Viterbi pass from the
        right. With that it is exact if it keeps `k` prefixes: what it drops can not be completed to
        anything better (the tree-trellis search of Soong & Huang, 1991).
        """
        if k < 1:
            raise ValueError(f"k_best needs a k of at least 1, not {k}")
        following, onward = self._best_onward()
        if k == 1:
            paths, scores = self._best_path(onward)
        else:
            paths, scores = self._beam_search(k, following, onward)
        missing = scores < IMPOSSIBLE
        paths = paths.masked_fill(missing.unsqueeze(-1) | ~self.mask.unsqueeze(1), 0)
        scores = scores.masked_fill(missing, -torch.inf)
        lacking = k - scores.size(1)
        if lacking > 0:
            paths = torch.nn.functional.pad(paths, (0, 0, 0, lacking))
            scores = torch.nn.functional.pad(scores, (0, lacking), value=-torch.inf)
        return KBest(paths, scores.to(self._dtype))

    def _best_path(self, onward: Tensor) -> Tuple[Tensor, Tensor]:
        """`(batch, 1, length)` and `(batch, 1)`: each next label is the best way on."""
        scores, state = onward[0].max(1, keepdim=True)
        states = [state]
        for i in range(self.length - 1):
            states.append(self._next_scores(i, states[-1], onward).argmax(2))
        return torch.stack(states, dim=2), scores

    def _beam_search(self, k: int, following: Tensor, onward: Tensor) -> Tuple[Tensor, Tensor]:
        """`(batch, ranks, length)` and `(batch, ranks)`, with as many ranks as there can be."""
        labels = self.num_labels
        ends = (~self.mask).any(0).tolist()
        # Past a sentence's end its paths stay what they are, all with label 0.
        stay = torch.full((labels,), 2 * FORBIDDEN, dtype=onward.dtype, device=onward.device)
        stay[0] = 0
        # Shape: (batch, ranks)
        best, state = onward[0].topk(min(k, labels), dim=1)
        states, parents = [state], []
        for i in range(self.length - 1):
            # Going on to the best next label costs nothing: it is in the score already.
            level = best - following[i].gather(1, states[-1])
            # Shape: (batch, ranks, labels)
            extended = self._next_scores(i, states[-1], onward) + level.unsqueeze(2)
            if ends[i + 1]:
                stayed = best.unsqueeze(2) + stay
                extended = torch.where(self.mask[:, i + 1, None, None], extended, stayed)
            extended = extended.view(self.batch_size, -1)
            best, chosen = extended.topk(min(k, extended.size(1)), dim=1)
            parent = torch.div(chosen, labels, rounding_mode="floor")
            states.append(chosen - parent * labels)
            parents.append(parent)
        path = [states[-1]]
        rank = torch.arange(best.size(1), device=best.device).expand_as(best)
        for state, parent in zip(states[-2::-1], parents[::-1], strict=True):
            rank = parent.gather(1, rank)
            path.append(state.gather(1, rank))
        return torch.stack(path[::-1], dim=2), best

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
            logits = self._next_scores(i, draw, onward)
            draw = torch.distributions.Categorical(logits=logits).sample()
            labels.append(draw)
        return torch.stack(labels, dim=-1).masked_fill(~self.mask.unsqueeze(1), 0)


def _at(tensor: Tensor, positions: Tensor) -> Tensor:
    """The numbers at positions in the flattened tensor."""
    return tensor.reshape(-1).gather(0, positions.reshape(-1)).view(positions.shape)


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
