"""
From an AllenNLP tagger, ours or one of theirs, to a `LinearChain`. Whatever depends on how AllenNLP
stores a tagger's parts is here.
"""

from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple, Union

import allennlp.nn.util as util
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors
from allennlp.models import Model, SimpleTagger
from allennlp.modules.conditional_random_field import (
    ConditionalRandomFieldWeightEmission,
    ConditionalRandomFieldWeightTrans,
)
from allennlp_models.tagging.models.crf_tagger import CrfTagger
from torch import Tensor

from structkd_allennlp.modules.linear_chain import LinearChain

Tagger = Union[CrfTagger, SimpleTagger]


class Potentials(NamedTuple):
    """
    The potentials of a chain that do not depend on the sentence.

    # Parameters

    transitions : `Tensor`
        `(labels, labels)` as `[from, to]`.
    start, end : `Tensor`
        `(labels,)`: of the first and the last label.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor

    @staticmethod
    def zeros(labels: int) -> "Potentials":
        """Those of a softmax over the labels of each token."""
        return Potentials(torch.zeros(labels, labels), torch.zeros(labels), torch.zeros(labels))

    def plus(self, other: Optional["Potentials"]) -> "Potentials":
        """The product of both factors: constraints are potentials of 0 and minus infinity."""
        if other is None:
            return self
        other = other.to(self.transitions.device)
        return Potentials(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))

    def to(self, device: torch.device) -> "Potentials":
        return Potentials(*(tensor.to(device) for tensor in self))


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """
    The label sequences that a tagger can give.

    # Parameters

    labels : `List[str]`
        In the order of the tagger's scores.
    encoding : `Optional[str]`
        What the tagger declares its labels to be in, such as `"BIO"`.
    constraints : `Optional[Potentials]`
        0 for what is allowed and minus infinity for what is not; `None` where everything is.
    """

    labels: List[str]
    encoding: Optional[str] = None
    constraints: Optional[Potentials] = None


def tagger_of(model: Model) -> Tagger:
    """
    The tagger that a model is, or that it has trained as its student.

    # Raises

    `ConfigurationError` for a model of another type.
    """
    tagger = getattr(model, "student", model)
    if not isinstance(tagger, (CrfTagger, SimpleTagger)):
        raise ConfigurationError(
            f"a {type(model).__name__} is not a tagger: use a structured_crf_tagger, a "
            "structure_kd, a crf_tagger or a simple_tagger"
        )
    return tagger


def label_names(tagger: Tagger) -> List[str]:
    """The labels of a tagger in the order of its scores."""
    namespace = tagger.label_namespace
    names = tagger.vocab.get_index_to_token_vocabulary(namespace)
    return [names[i] for i in range(tagger.vocab.get_vocab_size(namespace))]


def emission_scores(tagger: Tagger, tokens: TextFieldTensors) -> Tuple[Tensor, Tensor]:
    """
    The part of a tagger's forward pass before any inference: the logits `(batch, length, labels)`
    and the mask `(batch, length)`.
    """
    # A simple_tagger has neither of these.
    dropout, feedforward = getattr(tagger, "dropout", None), getattr(tagger, "_feedforward", None)
    mask = util.get_text_field_mask(tokens)
    hidden = tagger.text_field_embedder(tokens)
    if dropout:
        hidden = dropout(hidden)
    hidden = tagger.encoder(hidden, mask)
    if dropout:
        hidden = dropout(hidden)
    if feedforward is not None:
        hidden = feedforward(hidden)
    return tagger.tag_projection_layer(hidden), mask


def crf_potentials(tagger: Tagger) -> Potentials:
    """Without constraints. A `simple_tagger`, which has no transitions, is a chain of zeros."""
    if isinstance(tagger, SimpleTagger):
        return Potentials.zeros(len(label_names(tagger)))
    crf = tagger.crf
    if tagger.include_start_end_transitions:
        return Potentials(crf.transitions, crf.start_transitions, crf.end_transitions)
    zeros = crf.transitions.new_zeros(tagger.num_tags)
    return Potentials(crf.transitions, zeros, zeros)


def constraints_of(tagger: Tagger) -> Optional[Potentials]:
    """What the tagger's label encoding does not allow, as it is told to decode."""
    if isinstance(tagger, SimpleTagger):
        return None
    forbidden = tagger.crf._constraint_mask == 0
    constraints = torch.zeros_like(forbidden, dtype=torch.float).masked_fill(forbidden, -torch.inf)
    # AllenNLP's mask has two more rows and columns: first the start, then the end.
    n = tagger.num_tags
    return Potentials(constraints[:n, :n], constraints[n, :n], constraints[:n, n + 1])


def chain_of(tagger: Tagger, logits: Tensor, mask: Tensor, constrained: bool) -> LinearChain:
    """
    The tagger's distribution over label sequences.

    # Parameters

    logits : `Tensor`
        `(batch, length, labels)`.
    mask : `Tensor`
        `(batch, length)`.
    constrained : `bool`
        Whether what `constraints_of` says is forbidden.
    """
    return _chain(tagger, crf_potentials(tagger), logits, mask, constrained)


def weighted_chain(tagger: CrfTagger, chain: LinearChain, constrained: bool) -> LinearChain:
    """
    The chain that AllenNLP's `label_weights` make of a tagger's own for its loss: the weight of a
    label multiplies its emissions, and under `"emission_transition"` the transitions from it.
    """
    by_transition = isinstance(tagger.crf, ConditionalRandomFieldWeightTrans)
    if not by_transition and not isinstance(tagger.crf, ConditionalRandomFieldWeightEmission):
        return chain
    weights = torch.as_tensor(tagger.crf.label_weights)
    potentials = crf_potentials(tagger)
    if by_transition:
        transitions = potentials.transitions * weights.unsqueeze(1)
        potentials = potentials._replace(transitions=transitions)
    return _chain(tagger, potentials, chain.emissions * weights, chain.mask, constrained)


def _chain(
    tagger: Tagger, potentials: Potentials, logits: Tensor, mask: Tensor, constrained: bool
) -> LinearChain:
    transitions, start, end = potentials.plus(constraints_of(tagger) if constrained else None)
    return LinearChain(logits, transitions, mask, start, end)
