import logging
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models.model import Model
from allennlp.modules import Seq2SeqEncoder, TextFieldEmbedder
from allennlp.nn import InitializerApplicator
from allennlp_models.tagging.models.crf_tagger import CrfTagger
from torch import Tensor

from structkd_allennlp.common.archive_files import ChecksWeights
from structkd_allennlp.data.fields.tag_sequence_field import UNKNOWN_TAG, UNLABELLED_TAG
from structkd_allennlp.data.tag_schemes import chunk_boundaries, scheme_of
from structkd_allennlp.models.tagger_output import TaggerOutput, human_readable
from structkd_allennlp.modules.entity_probability import EntityProbability
from structkd_allennlp.modules.linear_chain import KBest, LinearChain
from structkd_allennlp.modules.tagger_chain import (
    LabelSpace,
    chain_of,
    constraints_of,
    crf_potentials,
    emission_scores,
    label_names,
    weighted_chain,
)
from structkd_allennlp.training.finite import check_finite
from structkd_allennlp.training.initializers import initialize
from structkd_allennlp.training.metrics import MultilingualTaggingMetrics

logger = logging.getLogger(__name__)


@Model.register("structured_crf_tagger")
class StructuredCrfTagger(ChecksWeights, CrfTagger):
    """
    AllenNLP's `CrfTagger` seen as a distribution over label sequences: it trains on the mean
    negative log-likelihood of a sentence, decodes only where somebody reads the result, and returns
    the marginals and the k best paths of its chain with their probabilities.

    It takes every parameter of `CrfTagger`, and has the same parameters by the same names, so that
    either loads the other's weights. What differs from the parent:

    - the loss is the mean over the sentences of the batch, not their sum;
    - nothing is decoded in training, so there are no training metrics, unless
      `decode_in_training`;
    - `ignore_loss_on_o_tags` sums over all labels at the `O` tokens instead of skipping over them,
      so the loss is that of a distribution;
    - metrics are `MultilingualTaggingMetrics`: counted on tag strings, by language, and right under
      distributed training;
    - a gold tag that the vocabulary does not know is an error in training; in evaluation it counts
      as an error of the tagger, and the loss sums over all labels in its place.

    Registered as a `Model` with name "structured_crf_tagger".

    # Parameters

    encoder : `Seq2SeqEncoder`
        Its `input_size` or `input_dim` may be left out: it is the size of `text_field_embedder`.
    constrain_crf : `bool`, optional (default = `False`)
        Forbid the transitions that `label_encoding` does not allow, in the loss, in the marginals
        and in decoding alike. Needs a `label_encoding`. (The parent's `constrain_crf_decoding`
        forbids them in decoding alone.)
    marginals : `bool`, optional (default = `False`)
        Whether the output holds the marginal distribution of every token.
    decode_in_training : `bool`, optional (default = `False`)
        Whether training steps decode too, and so count training metrics.
    top_k : `int`, optional (default = `1`)
        How many label sequences to return for a sentence.
    initializer : `InitializerApplicator`, optional
        Also of the initializer `copied`, which takes weights from another model.

    # Raises

    `ConfigurationError` for `constrain_crf` without a `label_encoding` or with one that the labels
    are not in, and, in training, for gold tags that the vocabulary does not know or that
    `constrain_crf` forbids.
    """

    default_predictor = "structured_tagger"

    communicates_in_forward = False

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Union[Seq2SeqEncoder, Lazy[Seq2SeqEncoder]],
        label_encoding: Optional[str] = None,
        constrain_crf: bool = False,
        constrain_crf_decoding: Optional[bool] = None,
        marginals: bool = False,
        decode_in_training: bool = False,
        verbose_metrics: bool = False,
        weight_strategy: Optional[str] = None,
        initializer: Optional[InitializerApplicator] = None,
        **kwargs: Any,
    ) -> None:
        if weight_strategy == "lannoy":
            raise ConfigurationError(
                'under the weight_strategy "lannoy" there is no distribution over label sequences, '
                "so neither marginals nor distillation would mean anything: use "
                '"emission" or "emission_transition"'
            )
        if constrain_crf and not label_encoding:
            raise ConfigurationError(
                "constrain_crf is true, but there is no label_encoding that says which transitions "
                'are allowed: add e.g. "label_encoding": "BIO" to the tagger'
            )
        if isinstance(encoder, Lazy):
            size = text_field_embedder.get_output_dim()
            encoder = encoder.construct(input_size=size, input_dim=size)
        super().__init__(
            vocab,
            text_field_embedder,
            encoder,
            label_encoding=label_encoding,
            constrain_crf_decoding=True if constrain_crf else constrain_crf_decoding,
            verbose_metrics=verbose_metrics,
            weight_strategy=weight_strategy,
            **kwargs,
        )
        self.labels = label_names(self)
        scheme = scheme_of(self.labels)
        # IOB1 and BIO have the same letters.
        encoding = "BIO" if label_encoding == "IOB1" else label_encoding
        if constrain_crf and scheme not in (None, encoding):
            raise ConfigurationError(
                f"the labels {sorted(self.labels)} are {scheme}, and the tagger's "
                f"label_encoding is {label_encoding}: give the dataset reader and the tagger the "
                "same label_encoding"
            )
        self.constrain_crf = constrain_crf
        self.marginals = marginals
        self.decode_in_training = decode_in_training
        # In place of the parent's, which count on tensors of known labels.
        self.metrics: Dict[str, Any] = {}
        self._f1_metric = self._f_beta_measure = None
        self.tagging_metrics = MultilingualTaggingMetrics(self.calculate_span_f1, verbose_metrics)
        self._entity_probability = EntityProbability(chunk_boundaries(self.labels))
        if initializer is not None:
            initialize(self, initializer)

    @property
    def label_space(self) -> LabelSpace:
        """The label sequences that have any probability."""
        constraints = constraints_of(self) if self.constrain_crf else None
        return LabelSpace(self.labels, self.label_encoding, constraints)

    def emission_scores(
        self, tokens: TextFieldTensors, metadata: Optional[Sequence[Mapping[str, Any]]] = None
    ) -> Tuple[Tensor, Tensor]:
        """
        Of each token, `(batch, length, labels)`, and the mask `(batch, length)`. In training,
        raises `NotFiniteError` for a score that is infinite or NaN.
        """
        logits, mask = emission_scores(self, tokens)
        if self.training:
            check_finite(logits.masked_fill(~mask.unsqueeze(-1), 0), "an emission score", metadata)
        return logits, mask

    def chain(self, logits: Tensor, mask: Tensor) -> LinearChain:
        """
        The distribution over label sequences, from emission scores `(batch, length, labels)` and
        a mask `(batch, length)`.
        """
        return chain_of(self, logits, mask, constrained=self.constrain_crf)

    def decode(self, chain: LinearChain) -> KBest:
        """The `top_k` best paths of the tagger's chain, or all, where there are fewer."""
        if not self.constrain_crf:
            # constrain_crf_decoding may restrict what is decoded, though not the distribution.
            chain = chain.with_transitions(*crf_potentials(self).plus(constraints_of(self)))
        return chain.k_best(self.num_sequences(chain.length))

    def num_sequences(self, length: int) -> int:
        """How many label sequences to list for so many tokens: `top_k`, or as many as exist."""
        # With two labels or more, 64 tokens have more sequences than anybody can list.
        return min(self.top_k, len(self.labels) ** min(length, 64))

    def nll(
        self,
        chain: LinearChain,
        tags: Tensor,
        metadata: Optional[Sequence[Mapping[str, Any]]] = None,
        ignore_loss_on_o_tags: Optional[bool] = None,
    ) -> Tensor:
        """
        The negative log-likelihood of each sentence's gold tags, `(batch,)`: 0 for an unlabelled
        sentence, and, in evaluation, infinite for one whose tags the constraints forbid.

        # Parameters

        chain : `LinearChain`
            The tagger's, of these sentences.
        tags : `Tensor`
            `(batch, length)`, with `UNKNOWN_TAG` where the vocabulary lacks the label, and
            `UNLABELLED_TAG` throughout an unlabelled sentence.
        """
        if ignore_loss_on_o_tags is None:
            ignore_loss_on_o_tags = self.ignore_loss_on_o_tags
        mask = chain.mask
        unknown = mask & (tags == UNKNOWN_TAG)
        if self.training and unknown.any():
            self._refuse_unknown_tags(unknown, metadata)
        free = unknown | (mask & (tags == UNLABELLED_TAG))
        if ignore_loss_on_o_tags:
            outside = self.vocab.get_token_index("O", namespace=self.label_namespace)
            free = free | (mask & (tags == outside))
        chain = weighted_chain(self, chain, self.constrain_crf)
        if free.any():
            log_likelihood = chain.log_prob_of_observed(tags, ~free)
        else:
            log_likelihood = chain.log_prob(tags)
        impossible = torch.isneginf(log_likelihood)
        if self.training and impossible.any():
            self._refuse_forbidden_tags(tags, mask, impossible, metadata)
        return -log_likelihood

    def forward(
        self,
        tokens: TextFieldTensors,
        tags: Optional[torch.LongTensor] = None,
        metadata: Optional[Sequence[Mapping[str, Any]]] = None,
        ignore_loss_on_o_tags: Optional[bool] = None,
        **kwargs: Any,  # to allow for a more general dataset reader that passes args we don't need
    ) -> TaggerOutput:
        """
        # Parameters

        tokens : `TextFieldTensors`
        tags : `torch.LongTensor`, optional
            `(batch, length)`: the gold labels.
        metadata : `Sequence[Mapping[str, Any]]`, optional
            Of each sentence, the `words`, the `language` and the gold `tags` as strings.
        ignore_loss_on_o_tags : `bool`, optional
            In place of the model's own setting.

        # Returns

        A dictionary of

        logits : `torch.FloatTensor`
            `(batch, length, labels)`: the emission scores.
        mask : `torch.BoolTensor`
            `(batch, length)`.
        loss : `torch.FloatTensor`
            A scalar; only with gold tags.
        words : `List[List[str]]`
            Only with metadata.

        and, where the model decodes,

        tags : `List[List[int]]`
            The best label sequence of each sentence.
        top_k_paths, top_k_scores : `torch.Tensor`
            `(batch, k, length)` and `(batch, k)`: see `KBest`; k is `num_sequences(length)`.
        marginals : `torch.FloatTensor`
            `(batch, length, labels)`; only if the model was asked for them.
        """
        logits, mask = self.emission_scores(tokens, metadata)
        chain = self.chain(logits, mask)
        output = TaggerOutput(chain, logits=logits, mask=mask)
        if metadata is not None:
            output["words"] = [sentence["words"] for sentence in metadata]
        if tags is not None:
            losses = self.nll(chain, tags, metadata, ignore_loss_on_o_tags)
            if self.training:
                check_finite(losses, "the negative log-likelihood", metadata)
            counted = labelled_sentences(tags) & ~torch.isposinf(losses)
            output["loss"] = losses[counted].sum() / counted.sum().clamp(min=1)
        if not self.training or self.decode_in_training:
            output.update(self.decoded(chain, tags, metadata))
        return output

    def decoded(
        self,
        chain: LinearChain,
        tags: Optional[Tensor] = None,
        metadata: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> Dict[str, Any]:
        """
        What `forward` returns where it decodes. Counts the predictions in the metrics if there are
        gold tags.
        """
        paths, scores = self.decode(chain)
        lengths = chain.lengths.tolist()
        best = paths[:, 0].tolist()
        output: Dict[str, Any] = {
            "tags": [path[:n] for path, n in zip(best, lengths, strict=True)],
            "top_k_paths": paths,
            "top_k_scores": scores,
        }
        if self.marginals:
            output["marginals"] = chain.marginals
        if tags is not None:
            self._count(output["tags"], tags, lengths, metadata)
        return output

    def make_output_human_readable(self, output_dict: Dict[str, Any]) -> Dict[str, Any]:
        """
        Turns label ids into names, and adds, for every sentence,

        tag_probabilities : `List[float]`
            The marginal probability of each predicted tag.
        entities : `List[Dict[str, Any]]`
            Of span tasks: `label`, `start` and `end` (tokens, the end exclusive) and `probability`,
            that of exactly this entity being there.
        top_k : `List[Dict[str, Any]]`
            `tags`, `score` (unnormalised) and `probability` of the best label sequences.
        marginals : `List[Dict[str, float]]`
            For each token, a probability by label; only if the model was asked for them.
        """
        if isinstance(output_dict, TaggerOutput):
            chain = output_dict.chain
        else:
            chain = self.chain(output_dict["logits"], output_dict["mask"])
        entities = self._entity_probability if self.calculate_span_f1 else None
        output_dict.update(human_readable(output_dict, chain, self.labels, entities))
        for name in ("top_k_paths", "top_k_scores"):
            del output_dict[name]
        return output_dict

    def get_metrics(self, reset: bool = False) -> Dict[str, float]:
        # Nothing has been counted in training, and reading the metrics costs communication there.
        if self.training and not self.decode_in_training:
            return {}
        return self.tagging_metrics.get_metric(reset)

    def _names(self, path: List[int]) -> List[str]:
        return [self.labels[label] for label in path]

    def _count(
        self,
        predicted: List[List[int]],
        tags: Tensor,
        lengths: List[int],
        metadata: Optional[Sequence[Mapping[str, Any]]],
    ) -> None:
        """Counts predictions against gold tags, if there are any, in the metrics."""
        rows = labelled_sentences(tags).nonzero().squeeze(1).tolist()
        sentences = [metadata[b] if metadata is not None else {} for b in rows]
        # The tags of the metadata may be ones that the vocabulary lacks.
        gold = [
            sentence.get("tags") or self._names(tags[b, : lengths[b]].tolist())
            for b, sentence in zip(rows, sentences, strict=True)
        ]
        languages = [sentence.get("language") for sentence in sentences]
        self.tagging_metrics([self._names(predicted[b]) for b in rows], gold, languages)

    def _refuse_unknown_tags(
        self, unknown: Tensor, metadata: Optional[Sequence[Mapping[str, Any]]]
    ) -> None:
        found = set()
        for b, i in unknown.nonzero().tolist():
            if metadata is not None and "tags" in metadata[b]:
                found.add(metadata[b]["tags"][i])
        raise ConfigurationError(
            f"the training data has tags that the vocabulary lacks: {sorted(found)}; it knows "
            f"{sorted(self.labels)}. Let the vocabulary be built from the training data, or "
            "correct the tags"
        )

    def _refuse_forbidden_tags(
        self,
        tags: Tensor,
        mask: Tensor,
        forbidden: Tensor,
        metadata: Optional[Sequence[Mapping[str, Any]]],
    ) -> None:
        b = int(forbidden.nonzero()[0])
        names = self._names(tags[b][mask[b]].tolist())
        words = metadata[b]["words"] if metadata is not None else "(unknown words)"
        raise ConfigurationError(
            f"the tags {names} of the sentence {words} are not a valid {self.label_encoding} "
            "sequence, and constrain_crf forbids others: correct the tags, give the dataset reader "
            f'"label_encoding": "{self.label_encoding}", or set constrain_crf to false'
        )


def labelled_sentences(tags: Tensor) -> Tensor:
    """`(batch,)`, bool: which sentences have gold tags `(batch, length)`."""
    return tags[:, 0] != UNLABELLED_TAG
