import logging
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import allennlp.nn.util as util
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models.model import Model
from allennlp.models.simple_tagger import SimpleTagger
from allennlp.modules import Seq2SeqEncoder, TextFieldEmbedder
from allennlp.modules.conditional_random_field import (
    ConditionalRandomFieldWeightEmission,
    ConditionalRandomFieldWeightLannoy,
    ConditionalRandomFieldWeightTrans,
)
from allennlp_models.tagging.models.crf_tagger import CrfTagger
from torch import Tensor

from structkd_allennlp.data.fields.tag_sequence_field import UNKNOWN_TAG, UNLABELLED_TAG
from structkd_allennlp.modules.entity_spans import EntityProbability, entity_spans, scheme_of
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.training.metrics import MultilingualTaggingMetrics

logger = logging.getLogger(__name__)


@Model.register("structured_crf_tagger")
class StructuredCrfTagger(CrfTagger):
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

    # Raises

    `ConfigurationError` for `constrain_crf` without a `label_encoding` or with one that the labels
    are not in, and, in training, for gold tags that the vocabulary does not know or that
    `constrain_crf` forbids.
    """

    default_predictor = "structured_tagger"

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Seq2SeqEncoder,
        label_encoding: Optional[str] = None,
        constrain_crf: bool = False,
        constrain_crf_decoding: Optional[bool] = None,
        marginals: bool = False,
        decode_in_training: bool = False,
        verbose_metrics: bool = False,
        **kwargs: Any,
    ) -> None:
        if constrain_crf and not label_encoding:
            raise ConfigurationError(
                "constrain_crf is true, but there is no label_encoding that says which transitions "
                'are allowed: add e.g. "label_encoding": "BIO" to the tagger'
            )
        super().__init__(
            vocab,
            text_field_embedder,
            encoder,
            label_encoding=label_encoding,
            constrain_crf_decoding=True if constrain_crf else constrain_crf_decoding,
            verbose_metrics=verbose_metrics,
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

    def chain(self, logits: Tensor, mask: Tensor) -> LinearChain:
        """
        The distribution over label sequences, from emission scores `(batch, length, labels)` and
        a mask `(batch, length)`.
        """
        return linear_chain(self, logits, mask, constrained=self.constrain_crf)

    def decode(self, chain: LinearChain, logits: Tensor, mask: Tensor) -> Tuple[Tensor, Tensor]:
        """
        The `top_k` paths `(batch, k, length)` and their scores `(batch, k)`; minus infinity where
        there are fewer.
        """
        if not self.constrain_crf:
            # constrain_crf_decoding may restrict what is decoded, though not the distribution.
            chain = linear_chain(self, logits, mask, constrained=True)
        return chain.k_best(self.top_k)

    def negative_log_likelihood(
        self,
        chain: LinearChain,
        logits: Tensor,
        mask: Tensor,
        tags: Tensor,
        metadata: Optional[Sequence[Mapping[str, Any]]] = None,
        ignore_loss_on_o_tags: Optional[bool] = None,
    ) -> Tensor:
        """
        The negative log-likelihood of each sentence's gold tags, `(batch,)`: 0 for an unlabelled
        sentence, and, in evaluation, infinite for one whose tags the constraints forbid.

        # Parameters

        chain : `LinearChain`
            `self.chain(logits, mask)`.
        tags : `Tensor`
            `(batch, length)`, with `UNKNOWN_TAG` where the vocabulary lacks the label, and
            `UNLABELLED_TAG` throughout an unlabelled sentence.
        """
        if ignore_loss_on_o_tags is None:
            ignore_loss_on_o_tags = self.ignore_loss_on_o_tags
        unknown = mask & (tags == UNKNOWN_TAG)
        if self.training and unknown.any():
            self._refuse_unknown_tags(unknown, metadata)
        free = unknown | (mask & (tags == UNLABELLED_TAG))
        if ignore_loss_on_o_tags:
            outside = self.vocab.get_token_index("O", namespace=self.label_namespace)
            free = free | (mask & (tags == outside))
        if isinstance(self.crf, ConditionalRandomFieldWeightLannoy):
            # This weighting is no longer a distribution, so there is no chain for it.
            one_by_one = zip(logits, tags.clamp(min=0), mask, strict=True)
            losses = [-self.crf(*(x.unsqueeze(0) for x in one)) for one in one_by_one]
            return torch.stack(losses) * labelled_sentences(tags)

        chain = self._loss_chain(chain, logits, mask)
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
    ) -> Dict[str, Any]:
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
            `(batch, k, length)` and `(batch, k)`: see `KBest`.
        marginals : `torch.FloatTensor`
            `(batch, length, labels)`; only if the model was asked for them.
        """
        logits, mask = emission_scores(self, tokens)
        chain = self.chain(logits, mask)
        output: Dict[str, Any] = {"logits": logits, "mask": mask}
        if metadata is not None:
            output["words"] = [sentence["words"] for sentence in metadata]
        if tags is not None:
            losses = self.negative_log_likelihood(
                chain, logits, mask, tags, metadata, ignore_loss_on_o_tags
            )
            counted = labelled_sentences(tags) & ~torch.isposinf(losses)
            output["loss"] = losses[counted].sum() / counted.sum().clamp(min=1)
        if self.training and not self.decode_in_training:
            return output

        paths, scores = self.decode(chain, logits, mask)
        lengths = mask.sum(1).tolist()
        best = paths[:, 0].tolist()
        output["tags"] = [path[:n] for path, n in zip(best, lengths, strict=True)]
        output["top_k_paths"], output["top_k_scores"] = paths, scores
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
        chain = self.chain(output_dict["logits"], output_dict["mask"])
        marginals = chain.marginals
        paths = output_dict["tags"]
        output_dict["tags"] = [self._names(path) for path in paths]
        output_dict["tag_probabilities"] = [
            marginals[b, torch.arange(len(path)), path].tolist() for b, path in enumerate(paths)
        ]
        if self.calculate_span_f1:
            probability = EntityProbability(self.labels)
            pairs = chain.pair_marginals
            output_dict["entities"] = [
                [
                    {
                        **span._asdict(),
                        "probability": probability(
                            marginals[b, : len(tags)], pairs[b, : len(tags) - 1], span
                        ),
                    }
                    for span in entity_spans(tags)
                ]
                for b, tags in enumerate(output_dict["tags"])
            ]
        top_k_paths = output_dict.pop("top_k_paths")
        output_dict["top_k"] = [
            self._ranked_paths(*row)
            for row in zip(
                top_k_paths.tolist(),
                output_dict.pop("top_k_scores").tolist(),
                chain.log_prob(top_k_paths).exp().tolist(),
                chain.lengths.tolist(),
                strict=True,
            )
        ]
        if "marginals" in output_dict:
            output_dict["marginals"] = [
                [dict(zip(self.labels, row, strict=True)) for row in sentence[:n].tolist()]
                for sentence, n in zip(
                    output_dict["marginals"], chain.lengths.tolist(), strict=True
                )
            ]
        return output_dict

    def get_metrics(self, reset: bool = False) -> Dict[str, float]:
        # Nothing has been counted in training, and reading the metrics costs communication there.
        if self.training and not self.decode_in_training:
            return {}
        return self.tagging_metrics.get_metric(reset)

    def _names(self, path: List[int]) -> List[str]:
        return [self.labels[label] for label in path]

    def _ranked_paths(
        self,
        paths: List[List[int]],
        scores: List[float],
        probabilities: List[float],
        length: int,
    ) -> List[Dict[str, Any]]:
        return [
            {"tags": self._names(path[:length]), "score": score, "probability": probability}
            for path, score, probability in zip(paths, scores, probabilities, strict=True)
            if score > -float("inf")
        ]

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

    def _loss_chain(self, chain: LinearChain, logits: Tensor, mask: Tensor) -> LinearChain:
        """`chain`, or with the parent's `label_weights` the one that these make of it."""
        by_emission = isinstance(self.crf, ConditionalRandomFieldWeightEmission)
        by_transition = isinstance(self.crf, ConditionalRandomFieldWeightTrans)
        if not by_emission and not by_transition:
            return chain
        weights = torch.as_tensor(self.crf.label_weights)
        transitions = self.crf.transitions * weights.unsqueeze(1) if by_transition else None
        return linear_chain(self, logits * weights, mask, self.constrain_crf, transitions)

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


def label_names(tagger: Union[CrfTagger, SimpleTagger]) -> List[str]:
    """The labels of a tagger in the order of its scores."""
    namespace = tagger.label_namespace
    names = tagger.vocab.get_index_to_token_vocabulary(namespace)
    return [names[i] for i in range(tagger.vocab.get_vocab_size(namespace))]


def labelled_sentences(tags: Tensor) -> Tensor:
    """`(batch,)`, bool: which sentences have gold tags `(batch, length)`."""
    return tags[:, 0] != UNLABELLED_TAG


def emission_scores(
    tagger: Union[CrfTagger, SimpleTagger], tokens: TextFieldTensors
) -> Tuple[Tensor, Tensor]:
    """
    The part of a tagger's forward pass before any inference, of our tagger or one of AllenNLP's:
    the logits `(batch, length, labels)` and the mask `(batch, length)`.
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


def forbidden_transitions(tagger: CrfTagger) -> Tuple[Tensor, Tensor, Tensor]:
    """
    What the tagger's label encoding does not allow: `(labels, labels)` as `[from, to]`, `(labels,)`
    at the start and `(labels,)` at the end; all false for a tagger without constraints.
    """
    allowed = tagger.crf._constraint_mask > 0
    n = tagger.num_tags
    return ~allowed[:n, :n], ~allowed[n, :n], ~allowed[:n, n + 1]


def crf_potentials(tagger: CrfTagger) -> Tuple[Tensor, Tensor, Tensor]:
    """
    The potentials of the transitions, `(labels, labels)` as `[from, to]`, of the start and of the
    end, `(labels,)`, of a CRF tagger, ours or AllenNLP's, without its constraints.
    """
    crf = tagger.crf
    if tagger.include_start_end_transitions:
        return crf.transitions, crf.start_transitions, crf.end_transitions
    zeros = crf.transitions.new_zeros(tagger.num_tags)
    return crf.transitions, zeros, zeros


def constrained_potentials(
    tagger: CrfTagger, transitions: Tensor, start: Tensor, end: Tensor
) -> Tuple[Tensor, Tensor, Tensor]:
    """These potentials, minus infinity where the tagger's label encoding does not allow a label."""
    no_step, no_start, no_end = (
        forbidden.to(transitions.device) for forbidden in forbidden_transitions(tagger)
    )
    return (
        transitions.masked_fill(no_step, -torch.inf),
        start.masked_fill(no_start, -torch.inf),
        end.masked_fill(no_end, -torch.inf),
    )


def linear_chain(
    tagger: CrfTagger,
    logits: Tensor,
    mask: Tensor,
    constrained: bool,
    transitions: Optional[Tensor] = None,
) -> LinearChain:
    """
    The distribution of a CRF tagger, ours or AllenNLP's.

    # Parameters

    logits : `Tensor`
        `(batch, length, labels)`.
    mask : `Tensor`
        `(batch, length)`.
    constrained : `bool`
        Whether the transitions that the tagger's constraints do not allow are forbidden.
    transitions : `Tensor`, optional
        `(labels, labels)`, in place of the tagger's own.
    """
    own, start, end = crf_potentials(tagger)
    potentials = (own if transitions is None else transitions, start, end)
    if constrained:
        potentials = constrained_potentials(tagger, *potentials)
    transitions, start, end = potentials
    return LinearChain(logits, transitions, mask, start, end)
