"""k-best Viterbi decoding in plain PyTorch, on any device."""

from typing import Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.log_space import FORBIDDEN, IMPOSSIBLE


def best_paths(scores: Tensor, transitions: Tensor, mask: Tensor, k: int) -> Tuple[Tensor, Tensor]:
    """
    The `k` best label sequences of every sentence, all different: a beam search from the left that
    knows the score of the best completion of every prefix, by a Viterbi pass from the right. With
    that it is exact if it keeps `k` prefixes: what it drops can not be completed to anything better
    (the tree-trellis search of Soong & Huang, 1991).

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`; finite.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`;
        finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.
    k : `int`

    # Returns

    `Tuple[Tensor, Tensor]`
        Paths `(batch, k, length)`, long, and their scores `(batch, k)`, best first. 0 where masked
        and, with a score of minus infinity, where there are fewer paths.
    """
    following, onward = _best_onward(scores, transitions, mask)
    if k == 1:
        paths, values = _best_path(onward, transitions)
    else:
        paths, values = _beam_search(k, following, onward, transitions, mask)
    missing = values < IMPOSSIBLE
    paths = paths.masked_fill(missing.unsqueeze(-1) | ~mask.unsqueeze(1), 0)
    values = values.masked_fill(missing, -torch.inf)
    lacking = k - values.size(1)
    paths = torch.nn.functional.pad(paths, (0, 0, 0, lacking))
    return paths, torch.nn.functional.pad(values, (0, lacking), value=-torch.inf)


def next_scores(onward: Tensor, transitions: Tensor, position: int, labels: Tensor) -> Tensor:
    """
    `labels` `(batch, k)` of a position -> `(batch, k, labels)`: the scores of going on from each to
    each label of the next, given those of what is onward, `(length, batch, labels)`.
    """
    matrices = _matrices(transitions, position)
    if matrices.size(0) == 1:
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
    `(length, batch, labels)` each: the best score of what can follow a label (0 at a sentence's
    last token), and the same with the score of the label itself.
    """
    scores = scores.transpose(0, 1).contiguous()
    following = torch.zeros_like(scores)
    onward = scores.clone()
    goes_on = mask.to(scores.dtype).T.unsqueeze(-1)
    ends = (~mask).any(0).tolist()
    for i in range(len(scores) - 2, -1, -1):
        # Shape: (batch, labels to, labels from)
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
        states.append(next_scores(onward, transitions, i, states[-1]).argmax(2))
    return torch.stack(states, dim=2), values


def _beam_search(
    k: int, following: Tensor, onward: Tensor, transitions: Tensor, mask: Tensor
) -> Tuple[Tensor, Tensor]:
    """`(batch, ranks, length)` and `(batch, ranks)`, with as many ranks as there can be."""
    length, batch, labels = onward.shape
    ends = (~mask).any(0).tolist()
    # Past a sentence's end its paths stay what they are, all with label 0.
    stay = onward.new_full((labels,), 2 * FORBIDDEN)
    stay[0] = 0
    # Shape: (batch, ranks)
    best, state = onward[0].topk(min(k, labels), dim=1)
    states, parents = [state], []
    for i in range(length - 1):
        # Going on to the best next label costs nothing: it is in the score already.
        level = best - following[i].gather(1, states[-1])
        # Shape: (batch, ranks, labels)
        extended = next_scores(onward, transitions, i, states[-1]) + level.unsqueeze(2)
        if ends[i + 1]:
            stayed = best.unsqueeze(2) + stay
            extended = torch.where(mask[:, i + 1, None, None], extended, stayed)
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
