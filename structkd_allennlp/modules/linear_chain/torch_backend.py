"""
The loops of a linear chain over tokens in plain PyTorch, on any device: the recursions of
forward-backward in probability space, k-best Viterbi decoding and ancestral sampling.
"""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain.constants import (
    FORBIDDEN,
    IMPOSSIBLE,
    SMALLEST_SCALE,
)

# Messages are rescaled before they can have shrunk by more than exp(-_SHRINKAGE).
_SHRINKAGE = 50.0


class TorchRecursions:
    """
    The forward and backward messages, as numbers and not as logarithms. With factors `psi_i` of the
    labels at position i and `A` of the transitions, all of them exp() of log potentials:

        alpha_1 = psi_1      alpha_i = psi_i * (alpha_{i-1} A)
        beta_n = 1           beta_i = A onward_{i+1}              onward_i = psi_i * beta_i

    each up to a scale that depends on the sentence and the position. One loop runs both recursions:
    the backward one is the forward one over the reversed sentence, with the transpose of `A`.

    # Parameters

    factors : `Tensor`
        `(batch, length, labels)`, float64: psi.
    transition_factors : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`,
        float64: A.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.

    # Attributes

    alpha, beta, onward : `Tensor`
        `(batch, length, labels)`; undefined where masked.
    log_scales : `Tensor`
        `(batch,)`: the logarithm of what a sentence's last alpha has been divided by.
    """

    def __init__(self, factors: Tensor, transition_factors: Tensor, mask: Tensor) -> None:
        self.shape = factors.shape
        batch, length, _ = self.shape
        self._transition_factors = transition_factors
        self._mask = mask
        # Shape: (batch, 1)
        last = mask.sum(1, keepdim=True) - 1
        # Shape: (batch, 1) and (1, length)
        rows = torch.arange(batch, device=mask.device).unsqueeze(1)
        positions = torch.arange(length, device=mask.device).unsqueeze(0)
        # Shape: (batch, length); positions from last to first, padding in place
        self._reversed = torch.where(mask, last - positions, positions)
        # Shape: (length * 2 * batch,); which token each step of either recursion is at
        forth, back = rows * length + positions, rows * length + self._reversed
        self._tokens = torch.stack([forth.T, back.T], dim=1).reshape(-1)
        # Shape: (batch * length,); at which step either recursion is at a token
        self._forward_steps = (positions * (2 * batch) + rows).reshape(-1)
        self._backward_steps = (self._reversed * (2 * batch) + batch + rows).reshape(-1)

        self._matrices = self._both_directions(transition_factors)
        self._factors = self._by_step(factors)
        # Of the forward recursion: alpha_{i-1} A and alpha; of the backward one: beta and onward.
        self._before = torch.empty_like(self._factors)
        self._after = torch.empty_like(self._factors)
        interval = _rescaling_interval(factors, transition_factors)
        log_scales = self._run(interval)
        rescaled = torch.div(last.T, interval, rounding_mode="floor")
        # Shape: (times + 1, batch) -> (batch,)
        self.log_scales = log_scales.gather(0, rescaled).squeeze(0)
        self.alpha, self.beta, self.onward = self._by_token(self._before, self._after)

    def posteriors(self, support: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """
        `q_i = alpha_i * beta_i / norm_i`, where `norm_i` is the sum of `alpha_i * beta_i`.

        # Parameters

        support : `Tensor`
            `(batch, length, labels)`, bool: the labels that have a score.

        # Returns

        `Tuple[Tensor, Tensor, Tensor]`
            `q`, `(batch, length, labels)`, 0 where masked; the norms, `(batch, length)`, 1 where
            masked; and of each sentence the least of `alpha_i * beta_i` on the support, `(batch,)`.
        """
        masked = ~self._mask
        products = (self.alpha * self.beta).masked_fill_(masked.unsqueeze(-1), 0)
        norms = products.sum(-1).masked_fill_(masked, 1)
        counted = support & self._mask.unsqueeze(-1)
        # Shape: (batch, length, labels) -> (batch,)
        least = products.masked_fill(~counted, torch.inf).flatten(1).amin(1)
        return products.div_(norms.unsqueeze(-1)), norms, least

    def clear(self, rows: Tensor) -> None:
        """Sets all messages of these sentences to 0."""
        for messages in (self._before, self._after):
            # Shape: (length, 2, batch, labels)
            messages.view(self.shape[1], 2, *self.shape[::2])[:, :, rows] = 0
        for messages in (self.alpha, self.beta, self.onward):
            messages[rows] = 0

    def jvp(self, scores: Tensor, transitions: Optional[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
        """
        The recursions in forward mode: for tangents `ds` of the scores and `dt` of the transitions,

            dalpha_i = ds_i * alpha_i + psi_i * (dalpha_{i-1} A + alpha_{i-1} (A * dt))

        and likewise for beta and onward.

        # Parameters

        scores : `Tensor`
            `(batch, length, labels)`: ds; 0 where masked.
        transitions : `Tensor`, optional
            dt: `(batch, labels, labels)`, the same at all positions, or
            `(batch, length - 1, labels, labels)`.

        # Returns

        `Tuple[Tensor, Tensor, Tensor]`
            The tangents of alpha, beta and onward, each `(batch, length, labels)`.
        """
        length = self.shape[1]
        before_tangents = torch.zeros_like(self._before)
        after_tangents = self._by_step(scores).mul_(self._after)
        # What the transitions' own tangents add at each step.
        own = None
        if transitions is not None and length > 1:
            own = self._transition_tangents(transitions).unbind(0)
        steps = before_tangents, after_tangents, self._factors
        before, after, factors = (x.unbind(0) for x in steps)
        for i in range(1, length):
            if own is None:
                torch.bmm(after[i - 1], self._matrices[i - 1], out=before[i])
            else:
                torch.baddbmm(own[i - 1], after[i - 1], self._matrices[i - 1], out=before[i])
            after[i].addcmul_(before[i], factors[i])
        return self._by_token(before_tangents, after_tangents)

    def _run(self, interval: int) -> Tensor:
        """`(times + 1, batch)`: the log of what alpha is divided by after each rescaling."""
        batch, length, _ = self.shape
        factors, before, after = (x.unbind(0) for x in (self._factors, self._before, self._after))
        before[0].fill_(1)
        after[0].copy_(factors[0])
        scales = [torch.ones_like(after[0][..., :1])]
        for i in range(1, length):
            torch.bmm(after[i - 1], self._matrices[i - 1], out=before[i])
            torch.mul(before[i], factors[i], out=after[i])
            if interval == 1:
                # Rescaling would hide that these have lost digits.
                after[i].masked_fill_(after[i] < SMALLEST_SCALE, 0)
            if i % interval == 0:
                scale = after[i].sum(-1, keepdim=True)
                # Where nothing is possible there is nothing to rescale.
                scale.masked_fill_(scale < SMALLEST_SCALE, 1)
                after[i].div_(scale)
                # `jvp` then finds it in the factors.
                factors[i].div_(scale)
                scales.append(scale)
        # Shape: (times + 1, 2, batch) -> (times + 1, batch)
        forward_scales = torch.stack(scales).view(-1, 2, batch)[:, 0]
        return forward_scales.log().cumsum(0)

    def _both_directions(self, matrices: Tensor) -> List[Tensor]:
        """
        For each step, the matrices that take either recursion one label further: `(2, labels,
        labels)`, or `(2 * batch, labels, labels)` where sentences have matrices of their own.
        """
        batch, length, labels = self.shape
        if matrices.dim() == 2:
            return [torch.stack([matrices, matrices.T])] * (length - 1)
        if matrices.dim() == 3:
            return [torch.cat([matrices, matrices.transpose(1, 2)])] * (length - 1)
        if length == 1:
            return []
        rows = torch.arange(batch, device=matrices.device).unsqueeze(1)
        # Step i of the reversed sentence goes from position `_reversed[i]` back to the one before.
        # What this takes from the padding is never used.
        back = matrices[rows, (self._reversed[:, :-1] - 1).clamp(min=0)].transpose(-1, -2)
        # Shape: 2 x (batch, length - 1, labels, labels) -> (length - 1, 2, batch, labels, labels)
        both = torch.stack([matrices, back]).transpose(1, 2).transpose(0, 1)
        return list(both.reshape(length - 1, 2 * batch, labels, labels).unbind(0))

    def _by_step(self, of_tokens: Tensor) -> Tensor:
        """
        `(batch, length, labels)` -> `(length, 2, batch, labels)`, or `(length, 2 * batch, 1,
        labels)` where sentences have matrices of their own, so that each is a batch of one.
        """
        batch, length, labels = self.shape
        steps = of_tokens.reshape(-1, labels).index_select(0, self._tokens)
        own = self._transition_factors.dim() > 2
        return steps.view((length, 2 * batch, 1, labels) if own else (length, 2, batch, labels))

    def _by_token(self, before: Tensor, after: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Alpha, beta and onward, each `(batch, length, labels)`."""

        def of_tokens(messages: Tensor, steps: Tensor) -> Tensor:
            return messages.view(-1, self.shape[-1]).index_select(0, steps).view(self.shape)

        return (
            of_tokens(after, self._forward_steps),
            of_tokens(before, self._backward_steps),
            of_tokens(after, self._backward_steps),
        )

    def _transition_tangents(self, tangents: Tensor) -> Tensor:
        """`alpha_{i-1} (A * dt)` and its backward twin at each step but the first."""
        batch, length, labels = self.shape
        if tangents.dim() == 4 or self._transition_factors.dim() == 4:
            moves = per_position(self._transition_factors) * per_position(tangents)
            matrices = self._both_directions(moves.expand(batch, length - 1, labels, labels))
            # Shape: (length - 1, 2 * batch, 1, labels)
            after = self._after[:-1].reshape(length - 1, 2 * batch, 1, labels)
            own = torch.stack([torch.bmm(x, m) for x, m in zip(after, matrices, strict=True)])
        else:
            # Shape: (batch, labels, labels)
            moves = self._transition_factors * tangents
            after = self._after[:-1].view(length - 1, 2, batch, labels)
            # Shape: (length - 1, batch, labels) -> (batch, length - 1, labels)
            forth = torch.bmm(after[:, 0].transpose(0, 1), moves)
            back = torch.bmm(after[:, 1].transpose(0, 1), moves.transpose(1, 2))
            # Shape: (batch, 2, length - 1, labels) -> (length - 1, 2, batch, labels)
            own = torch.stack([forth, back], dim=1).permute(2, 1, 0, 3)
        return own.reshape(self._before[1:].shape)


def per_position(transitions: Tensor) -> Tensor:
    """Of any shape -> `(batch, length - 1, labels, labels)`, or 1 for what does not differ."""
    if transitions.dim() == 2:
        return transitions[None, None]
    return transitions if transitions.dim() == 4 else transitions.unsqueeze(1)


def _rescaling_interval(factors: Tensor, transition_factors: Tensor) -> int:
    """How many steps the messages can take without being rescaled."""
    # A step can also make messages larger, by as much as the number of labels.
    span = math.log(factors.size(-1)) + 1
    for numbers in (factors, transition_factors):
        if numbers.numel():
            # None is above 1.
            lowest = numbers.masked_fill(numbers == 0, 1).amin()
            span = span - lowest.log().nan_to_num(0).item()
    return max(int(_SHRINKAGE / span), 1)


def best_paths(scores: Tensor, transitions: Tensor, mask: Tensor, k: int) -> Tuple[Tensor, Tensor]:
    """
    The `k` best label sequences of every sentence, all different. A Viterbi pass from the right
    gives the score of the best completion of every prefix; a beam search from the left that knows
    these is exact with a beam of `k`, since no prefix that it drops can be completed to anything
    better (the tree-trellis search of Soong & Huang, 1991).

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`: log potentials; finite.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`: log
        potentials; finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.
    k : `int`

    # Returns

    `Tuple[Tensor, Tensor]`
        Paths `(batch, k, length)`, long, and their scores `(batch, k)`, best first. A path is 0
        where masked. Where there are fewer paths, the rest are 0 and score minus infinity.
    """
    following, onward = _best_onward(scores, transitions, mask)
    if k == 1:
        paths, values = _best_path(onward, transitions)
    else:
        paths, values = _beam_search(k, following, onward, transitions, mask)
    missing = values < IMPOSSIBLE
    paths = paths.masked_fill(missing.unsqueeze(-1) | ~mask.unsqueeze(1), 0)
    values = values.masked_fill(missing, -torch.inf)
    # Shape: (batch, ranks, length) -> (batch, k, length) and (batch, ranks) -> (batch, k)
    lacking = k - values.size(1)
    paths = torch.nn.functional.pad(paths, (0, 0, 0, lacking))
    return paths, torch.nn.functional.pad(values, (0, lacking), value=-torch.inf)


def sample_paths(log_onward: Tensor, transitions: Tensor, mask: Tensor, n: int) -> Tensor:
    """
    `(batch, n, length)`, long: independent label sequences, 0 where masked. Each label is drawn
    from `q(y_i = y | y_{i-1} = x)`, which is proportional to `exp(t(x, y) + log onward_i(y))`.
    Takes what `best_paths` takes, but log onward, `(batch, length, labels)`, in place of scores.
    """
    # Shape: (length, batch, labels)
    onward = log_onward.transpose(0, 1)
    # Shape: (n, batch) -> (batch, n)
    labels = [torch.distributions.Categorical(logits=onward[0]).sample(torch.Size((n,))).T]
    for i in range(len(onward) - 1):
        logits = _next_scores(onward, transitions, i, labels[-1])
        labels.append(torch.distributions.Categorical(logits=logits).sample())
    return torch.stack(labels, dim=-1).masked_fill(~mask.unsqueeze(1), 0)


def _next_scores(onward: Tensor, transitions: Tensor, position: int, labels: Tensor) -> Tensor:
    """
    `labels` `(batch, k)` of a position -> `(batch, k, labels)`: the scores of going on from each to
    each label of the next, given those of what is onward, `(length, batch, labels)`.
    """
    matrices = _matrices(transitions, position)
    if matrices.size(0) == 1:
        # Shape: (batch * k, labels) -> (batch, k, labels)
        rows = matrices[0].index_select(0, labels.reshape(-1)).view(*labels.shape, -1)
    else:
        rows = matrices[torch.arange(len(labels), device=labels.device).unsqueeze(1), labels]
    return rows + onward[position + 1].unsqueeze(1)


def _matrices(transitions: Tensor, position: int) -> Tensor:
    """From `position` to the next: `(1, labels, labels)` or `(batch, labels, labels)`."""
    if transitions.dim() == 4:
        return transitions[:, position]
    return transitions.view(-1, *transitions.shape[-2:])


def _best_onward(scores: Tensor, transitions: Tensor, mask: Tensor) -> Tuple[Tensor, Tensor]:
    """
    Viterbi from the right. `(length, batch, labels)` each: the best score of what can follow a
    label, and the same with the label's own:

        following_n = 0    following_i(x) = max_y(t(x, y) + onward_{i+1}(y))
        onward_i = s_i + following_i
    """
    # Shape: (batch, length, labels) -> (length, batch, labels)
    scores = scores.transpose(0, 1).contiguous()
    following = torch.zeros_like(scores)
    onward = scores.clone()
    # Shape: (length, batch, 1)
    goes_on = mask.to(scores.dtype).T.unsqueeze(-1)
    ends = (~mask).any(0).tolist()
    for i in range(len(scores) - 2, -1, -1):
        # Shape: (batch, labels to, labels from) -> (batch, labels from)
        inner = _matrices(transitions, i).transpose(1, 2) + onward[i + 1].unsqueeze(2)
        torch.amax(inner, dim=1, out=following[i])
        if ends[i + 1]:
            following[i].mul_(goes_on[i + 1])
        onward[i].add_(following[i])
    return following, onward


def _best_path(onward: Tensor, transitions: Tensor) -> Tuple[Tensor, Tensor]:
    """`(batch, 1, length)` and `(batch, 1)`: each next label is the best way on."""
    values, state = onward[0].max(1, keepdim=True)
    states = [state]
    for i in range(len(onward) - 1):
        states.append(_next_scores(onward, transitions, i, states[-1]).argmax(2))
    return torch.stack(states, dim=2), values


def _beam_search(
    k: int, following: Tensor, onward: Tensor, transitions: Tensor, mask: Tensor
) -> Tuple[Tensor, Tensor]:
    """`(batch, ranks, length)` and `(batch, ranks)`, with as many ranks as there can be."""
    length, batch, labels = onward.shape
    ends = (~mask).any(0).tolist()
    # Past the end of a sentence its paths stay as they are, all with label 0.
    stay = onward.new_full((labels,), 2 * FORBIDDEN)
    stay[0] = 0
    # Shape: (batch, ranks)
    best, state = onward[0].topk(min(k, labels), dim=1)
    states, parents = [state], []
    for i in range(length - 1):
        # Without the best way on, which `best` includes already.
        level = best - following[i].gather(1, states[-1])
        # Shape: (batch, ranks, labels)
        extended = _next_scores(onward, transitions, i, states[-1]) + level.unsqueeze(2)
        if ends[i + 1]:
            stayed = best.unsqueeze(2) + stay
            extended = torch.where(mask[:, i + 1, None, None], extended, stayed)
        # Shape: (batch, ranks * labels) -> (batch, new ranks)
        extended = extended.view(batch, -1)
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
