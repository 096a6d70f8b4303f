"""
A linear-chain conditional random field as a probability distribution over label sequences.

Pure tensors, no AllenNLP: the tagger builds its loss, its marginals and its decoding from one
`LinearChain`, a teacher is another, and a distillation objective is a formula over the two.
"""

from typing import Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

# What stands in for a potential of minus infinity. It is finite, so that 0 * FORBIDDEN is 0 and no
# gradient is ever NaN, and so far from any real score that exp() of a difference is exactly 0;
# adding it up over a whole sentence still fits into float32.
FORBIDDEN = -1e30
# A sum of potentials below this has met a forbidden one, also if that was divided by a temperature.
_IMPOSSIBLE = FORBIDDEN * 1e-6


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
    part in no gradient. Half-precision inputs are computed in float32. Recursions run in log space
    on messages that are shifted at every step, so that errors do not grow with the length.

    # Parameters

    emissions : `Tensor`
        `(batch, length, labels)`.
    transitions : `Tensor`
        `(labels, labels)` as `[from, to]`, or `(batch, length - 1, labels, labels)` where the
        potentials differ by position.
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
        self.mask = mask.bool()
        self.lengths = self.mask.sum(1)
        # Shape: (batch, length, labels)
        self.emissions = _as_potentials(emissions).masked_fill(~self.mask.unsqueeze(-1), 0.0)
        self.transitions = _as_potentials(transitions)
        # Start and end potentials belong to the first and the last token, so they are emissions:
        # no recursion below needs to know of them.
        scores = self.emissions
        if start_transitions is not None:
            first = scores[:, :1] + _as_potentials(start_transitions).view(-1, 1, self.num_labels)
            scores = torch.cat([first, scores[:, 1:]], dim=1)
        if end_transitions is not None:
            positions = torch.arange(scores.size(1), device=scores.device)
            is_last = positions == (self.lengths - 1).unsqueeze(1)
            end = _as_potentials(end_transitions).view(-1, 1, self.num_labels)
            scores = scores + is_last.unsqueeze(-1) * end
        self.scores = scores
        self._messages: Dict[Tuple[str, bool], Tuple[Tensor, Tensor]] = {}

    @property
    def batch_size(self) -> int:
        return self.emissions.size(0)

    @property
    def length(self) -> int:
        return self.emissions.size(1)

    @property
    def num_labels(self) -> int:
        return self.emissions.size(2)

    def tempered(self, temperature: float) -> "LinearChain":
        """
        The chain with all potentials divided by `temperature`: p^(1 / temperature), renormalised
        over all label sequences.
        """
        if temperature == 1.0:
            return self
        # The potentials of start and end are among the scores.
        return LinearChain(self.scores / temperature, self.transitions / temperature, self.mask)

    def detach(self) -> "LinearChain":
        """The same distribution, which no gradient goes to."""
        return LinearChain(self.scores.detach(), self.transitions.detach(), self.mask)

    # ----------------------------------------------------------------- messages

    def _transition(self, position: int) -> Tensor:
        """From `position` to the next: `(labels, labels)` or `(batch, labels, labels)`."""
        return self.transitions if self.transitions.dim() == 2 else self.transitions[:, position]

    def _forward(self) -> Tuple[Tensor, Tensor]:
        """
        Forward messages `(batch, length, labels)`, each shifted to a maximum of 0, and what the
        shifts add up to, `(batch,)`. After a sentence's end its last message stays.
        """
        message, shift = _shifted(self.scores[:, 0])
        total = shift
        messages = [message]
        for i in range(1, self.length):
            # Shape: (batch, labels from, labels to) -> (batch, labels)
            inner = messages[-1].unsqueeze(2) + self._transition(i - 1)
            message, shift = _shifted(torch.logsumexp(inner, dim=1) + self.scores[:, i])
            here = self.mask[:, i]
            messages.append(torch.where(here.unsqueeze(-1), message, messages[-1]))
            total = total + torch.where(here, shift, torch.zeros_like(shift))
        return torch.stack(messages, dim=1), total

    def _backward(self) -> Tuple[Tensor, Tensor]:
        """Backward messages, as in `_forward`. At and after a sentence's last token they are 0."""
        message = torch.zeros_like(self.scores[:, 0])
        total = torch.zeros_like(message[:, 0])
        messages = [message]
        for i in range(self.length - 2, -1, -1):
            # Shape: (batch, labels from, labels to) -> (batch, labels)
            inner = self._transition(i) + (self.scores[:, i + 1] + messages[-1]).unsqueeze(1)
            message, shift = _shifted(torch.logsumexp(inner, dim=2))
            goes_on = self.mask[:, i + 1]
            messages.append(torch.where(goes_on.unsqueeze(-1), message, messages[-1]))
            total = total + torch.where(goes_on, shift, torch.zeros_like(shift))
        return torch.stack(messages[::-1], dim=1), total

    def _cached(self, direction: str) -> Tuple[Tensor, Tensor]:
        # Messages computed under no_grad carry no graph: they must not serve a later loss.
        key = (direction, torch.is_grad_enabled())
        if key not in self._messages:
            self._messages[key] = self._forward() if direction == "forward" else self._backward()
        return self._messages[key]

    def _onward(self) -> Tensor:
        """
        `(batch, length, labels)`: the score of a label and of everything that can follow it, up to
        a constant a position. Seen through these the chain is a Markov chain: its first label is
        drawn from their softmax, and each next one from that of transition + onward.
        """
        return self.scores + self._cached("backward")[0]

    def _next_log_probs(self, labels: Tensor) -> Tensor:
        """
        `labels` `(batch, k, length - 1)` -> `(batch, k, length - 1, labels)`: the log-probabilities
        of the label after each of them.
        """
        if self.transitions.dim() == 2:
            rows = self.transitions[labels]
        else:
            batch = torch.arange(self.batch_size, device=labels.device).view(-1, 1, 1)
            position = torch.arange(self.length - 1, device=labels.device).view(1, 1, -1)
            rows = self.transitions[batch, position, labels]
        return torch.log_softmax(rows + self._onward()[:, 1:].unsqueeze(1), dim=-1)

    # ------------------------------------------------------------- probabilities

    @property
    def log_partition(self) -> Tensor:
        """`(batch,)`: log Z; minus infinity where every sequence is forbidden."""
        first = self._onward()[:, 0]
        log_z = torch.logsumexp(first, dim=-1) + self._cached("backward")[1]
        return log_z.masked_fill(log_z < _IMPOSSIBLE, -torch.inf)

    @property
    def log_marginals(self) -> Tensor:
        """
        `(batch, length, labels)`: log q(y_i = j | x), differentiable. 0 where masked; where a label
        is impossible `FORBIDDEN`, which is finite, so that 0 * log q is 0 in an expectation.
        """
        log_q = torch.log_softmax(self._cached("forward")[0] + self._cached("backward")[0], dim=-1)
        log_q = log_q.masked_fill(log_q < _IMPOSSIBLE, FORBIDDEN)
        return log_q.masked_fill(~self.mask.unsqueeze(-1), 0.0)

    @property
    def marginals(self) -> Tensor:
        """`(batch, length, labels)`: q(y_i = j | x). Rows sum to 1; 0 where masked."""
        return self.log_marginals.exp() * self.mask.unsqueeze(-1)

    @property
    def _log_conditionals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: log q(y_i+1 | y_i, x), `[from, to]`."""
        inner = self.transitions + self._onward()[:, 1:].unsqueeze(2)
        return torch.log_softmax(inner, dim=-1)

    @property
    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: q(y_i, y_i+1 | x); 0 where masked."""
        log_pairs = self.log_marginals[:, :-1].unsqueeze(-1) + self._log_conditionals
        return log_pairs.exp() * self.mask[:, 1:, None, None]

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
        paths = paths.masked_fill(~self.mask.unsqueeze(1), 0)
        # Adding up conditionals instead of taking score - log Z loses nothing to cancellation.
        first = torch.log_softmax(self._onward()[:, 0], dim=-1).gather(1, paths[:, :, 0])
        steps = self._next_log_probs(paths[:, :, :-1]).gather(-1, paths[:, :, 1:, None])
        steps = steps.squeeze(-1).masked_fill(~self.mask[:, None, 1:], 0.0)
        log_p = first + steps.sum(-1)
        forbidden = (log_p < _IMPOSSIBLE) | torch.isneginf(self.log_partition).unsqueeze(1)
        return log_p.masked_fill(forbidden, -torch.inf)

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
        if self.scores.shape != other.scores.shape:
            raise ValueError(
                "two chains over different sentences or labels have no cross-entropy: shapes "
                f"{tuple(self.scores.shape)} and {tuple(other.scores.shape)}"
            )
        first = self.marginals[:, 0] * torch.log_softmax(other._onward()[:, 0], dim=-1)
        # Shape: (batch, length - 1, labels, labels)
        steps = self.pair_marginals * other._log_conditionals
        return -(first.sum(-1) + steps.sum((1, 2, 3)))

    # ------------------------------------------------------------------ sequences

    @torch.no_grad()
    def k_best(self, k: int = 1) -> KBest:
        """The `k` best label sequences of every sentence (k-best Viterbi), all different."""
        if k < 1:
            raise ValueError(f"k_best needs a k of at least 1, not {k}")
        batch, length, labels = self.scores.shape
        # Shape: (batch, ranks, labels). At first each label ends exactly one path.
        best = self.scores[:, :1]
        pointers = []
        for i in range(1, length):
            ranks = best.size(1)
            # Shape: (batch, ranks, labels from, labels to) -> (batch, ranks * labels, labels to)
            transition = self._transition(i - 1)
            if transition.dim() == 3:
                transition = transition.unsqueeze(1)
            inner = (best.unsqueeze(-1) + transition).view(batch, ranks * labels, labels)
            kept = min(k, ranks * labels)
            values, pointer = inner.topk(kept, dim=1)
            values = values + self.scores[:, i].unsqueeze(1)
            # Past a sentence's end every path stays where it is, with room for ranks that a longer
            # sentence of the batch has gained.
            stay = torch.arange(ranks * labels, device=best.device).view(ranks, labels)
            room = kept - ranks
            stay = torch.nn.functional.pad(stay, (0, 0, 0, room)).expand(batch, -1, -1)
            still = torch.nn.functional.pad(best, (0, 0, 0, room), value=FORBIDDEN)
            here = self.mask[:, i].view(batch, 1, 1)
            best = torch.where(here, values, still)
            pointers.append(torch.where(here, pointer, stay))
        ranks = best.size(1)
        scores, state = best.reshape(batch, ranks * labels).topk(min(k, ranks * labels), dim=1)

        path = []
        for i in range(length - 1, 0, -1):
            path.append(state % labels)
            state = pointers[i - 1].reshape(batch, -1).gather(1, state)
        path.append(state % labels)
        # Shape: (batch, k, length)
        paths = torch.stack(path[::-1], dim=-1)

        missing = scores < _IMPOSSIBLE
        paths = paths.masked_fill(missing.unsqueeze(-1) | ~self.mask.unsqueeze(1), 0)
        scores = scores.masked_fill(missing, -torch.inf)
        lacking = k - scores.size(1)
        if lacking > 0:
            paths = torch.nn.functional.pad(paths, (0, 0, 0, lacking))
            scores = torch.nn.functional.pad(scores, (0, lacking), value=-torch.inf)
        return KBest(paths, scores)

    @torch.no_grad()
    def sample(self, n: int = 1) -> Tensor:
        """`(batch, n, length)`, long: independent exact samples (ancestral); 0 where masked."""
        onward = self._onward()
        draw = torch.distributions.Categorical(logits=onward[:, 0]).sample((n,)).T
        labels = [draw]
        batch = torch.arange(self.batch_size, device=draw.device).unsqueeze(1)
        for i in range(1, self.length):
            transition = self._transition(i - 1)
            # Shape: (batch, n, labels)
            rows = transition[draw] if transition.dim() == 2 else transition[batch, draw]
            logits = rows + onward[:, i].unsqueeze(1)
            draw = torch.distributions.Categorical(logits=logits).sample()
            labels.append(draw)
        return torch.stack(labels, dim=-1).masked_fill(~self.mask.unsqueeze(1), 0)


def _as_potentials(tensor: Tensor) -> Tensor:
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return tensor.clamp(min=FORBIDDEN)


def _shifted(message: Tensor) -> Tuple[Tensor, Tensor]:
    # The shift cancels out of every result, so it needs no gradient.
    shift = message.detach().amax(-1)
    return message - shift.unsqueeze(-1), shift


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
    if transitions.shape not in {(labels, labels), (batch, length - 1, labels, labels)}:
        raise ValueError(
            f"transitions must be ({labels}, {labels}) or {(batch, length - 1, labels, labels)} "
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
