"""What a tagger's probabilities were on each sentence of a test file, small enough to be kept."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from structkd_allennlp.common.files import write_bytes
from structkd_allennlp.data.tag_schemes import chunk_boundaries, entity_spans
from structkd_allennlp.modules.entity_probability import EntityProbability
from structkd_allennlp.modules.linear_chain import KBest, LinearChain
from structkd_allennlp.modules.linear_chain.spans import step_of_pairs
from structkd_allennlp.training.calibration import brier_scores

# Probabilities of tokens and entities are kept in these units, as integers.
UNIT = 1e-4
DEPTH = 10
"""How many of the best sequences are searched for the gold sequence."""


class ProbabilityRecord(NamedTuple):
    """
    Of the sentences of a test file, in order, and of their tokens and entities, sentence by
    sentence. A gold tag that the tagger's labels lack has probability 0.

    # Parameters

    gold_nll : `np.ndarray`
        `(sentences,)`, float32: -log p of the gold sequence, in nats; infinite for one that the
        tagger cannot give.
    predicted_nll : `np.ndarray`
        `(sentences,)`, float32: -log p of the predicted sequence, in nats.
    gold_rank : `np.ndarray`
        `(sentences,)`, uint8: the place of the gold sequence among the `DEPTH` best, from 1; 0 if
        it is none of them.
    brier : `np.ndarray`
        `(sentences,)`, float32: the sum of the Brier scores of the tokens, over all labels.
    tokens : `np.ndarray`
        `(sentences,)`, uint32: how many there are.
    token_probability : `np.ndarray`
        `(tokens,)`, uint16, in `UNIT`: the marginal probability of each predicted tag.
    token_correct : `np.ndarray`
        `(tokens,)`, bool.
    entities : `np.ndarray`
        `(sentences,)`, uint32: how many are predicted, gold or both.
    entity_probability : `np.ndarray`
        `(entities,)`, uint16, in `UNIT`: that of exactly this entity being there.
    entity_predicted, entity_gold : `np.ndarray`
        `(entities,)`, bool.
    """

    gold_nll: np.ndarray
    predicted_nll: np.ndarray
    gold_rank: np.ndarray
    brier: np.ndarray
    tokens: np.ndarray
    token_probability: np.ndarray
    token_correct: np.ndarray
    entities: np.ndarray
    entity_probability: np.ndarray
    entity_predicted: np.ndarray
    entity_gold: np.ndarray


_TYPES: Dict[str, Any] = {
    "gold_nll": np.float32,
    "predicted_nll": np.float32,
    "gold_rank": np.uint8,
    "brier": np.float32,
    "tokens": np.uint32,
    "token_probability": np.uint16,
    "token_correct": np.bool_,
    "entities": np.uint32,
    "entity_probability": np.uint16,
    "entity_predicted": np.bool_,
    "entity_gold": np.bool_,
}


class ProbabilityRecorder:
    """
    Makes a `ProbabilityRecord` batch by batch.

    # Parameters

    labels : `Sequence[str]`
        In the order of the chains.
    spans : `bool`
        Whether they encode entities. Otherwise the record has none.
    """

    def __init__(self, labels: Sequence[str], spans: bool) -> None:
        self._labels = list(labels)
        self._ids = {label: i for i, label in enumerate(labels)}
        self._entity_probability = EntityProbability(chunk_boundaries(labels)) if spans else None
        self._rows: Dict[str, List[np.ndarray]] = {name: [] for name in ProbabilityRecord._fields}

    @torch.no_grad()
    def __call__(
        self, chain: LinearChain, best: KBest, gold_tags: Sequence[Optional[Sequence[str]]]
    ) -> None:
        """
        # Parameters

        chain : `LinearChain`
            The tagger's, of a batch.
        best : `KBest`
            What the tagger lists: at least `DEPTH` sequences, or all. The first is its prediction.
        gold_tags : `Sequence[Optional[Sequence[str]]]`
            Of each sentence; `None` for one without, of which nothing is recorded.
        """
        device, lengths = chain.mask.device, chain.lengths.tolist()
        gold = torch.zeros(chain.mask.shape, dtype=torch.long)
        for b, tags in enumerate(gold_tags):
            if tags is not None:
                gold[b, : len(tags)] = torch.tensor([self._ids.get(tag, -1) for tag in tags])
        gold = gold.to(device)
        # Shape: (batch,)
        gold_nll = -chain.log_prob(gold.clamp(min=0))
        gold_nll = gold_nll.masked_fill((gold < 0).any(1), torch.inf)
        predicted_nll = -chain.log_prob(best.paths[:, 0])
        # Shape: (batch, k)
        same = (best.paths == gold.unsqueeze(1)).all(2) & ~torch.isneginf(best.scores)
        same = same[:, :DEPTH]
        ranks = torch.where(same.any(1), same.int().argmax(1) + 1, 0)
        # From here on sentence by sentence.
        gold, gold_nll, predicted_nll, ranks, paths, marginals = (
            x.cpu()
            for x in (gold, gold_nll, predicted_nll, ranks, best.paths[:, 0], chain.marginals)
        )
        pairs = None if self._entity_probability is None else chain.pair_marginals.cpu()
        for b, tags in enumerate(gold_tags):
            if tags is None:
                continue
            n = lengths[b]
            own, path = marginals[b, :n], paths[b, :n]
            self._add("gold_nll", gold_nll[b])
            self._add("predicted_nll", predicted_nll[b])
            self._add("gold_rank", ranks[b])
            self._add("brier", brier_scores(own.numpy(), gold[b, :n].numpy()).sum())
            self._add("tokens", n)
            self._add("token_probability", _in_units(own[torch.arange(n), path].numpy()))
            self._add("token_correct", (path == gold[b, :n]).numpy())
            if pairs is not None:
                predicted = [self._labels[label] for label in path.tolist()]
                self._add_entities(own, pairs[b, : n - 1], predicted, tags)
            else:
                self._add("entities", 0)

    def _add_entities(
        self,
        marginals: Tensor,
        pair_marginals: Tensor,
        predicted_tags: Sequence[str],
        gold_tags: Sequence[str],
    ) -> None:
        assert self._entity_probability is not None
        predicted, gold = set(entity_spans(predicted_tags)), set(entity_spans(gold_tags))
        spans = sorted(predicted | gold)
        (probabilities,) = self._entity_probability(
            marginals.unsqueeze(0).numpy(),
            step_of_pairs(pair_marginals.unsqueeze(0).numpy()),
            [len(marginals)],
            [spans],
        )
        self._add("entities", len(spans))
        self._add("entity_probability", _in_units(np.asarray(probabilities)))
        self._add("entity_predicted", [span in predicted for span in spans])
        self._add("entity_gold", [span in gold for span in spans])

    def _add(self, name: str, values: object) -> None:
        self._rows[name].append(np.atleast_1d(np.asarray(values)))

    def record(self) -> ProbabilityRecord:
        """Of all batches so far."""
        return ProbabilityRecord(
            **{
                name: np.concatenate([np.zeros(0), *rows]).astype(_TYPES[name])
                for name, rows in self._rows.items()
            }
        )


def _in_units(probabilities: np.ndarray) -> np.ndarray:
    # In float32 a probability may come out a little above 1.
    return np.rint(np.clip(probabilities, 0, 1) / UNIT)


def write_records(path: Path, records: Dict[str, ProbabilityRecord]) -> None:
    """
    Writes the records of several languages to a compressed file of NumPy (`.npz`), in which
    `gold_nll/en` is the array of this name of English; whole or not at all.
    """
    arrays = {
        f"{name}/{language}": array
        for language, record in records.items()
        for name, array in record._asdict().items()
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_bytes(path, file.getvalue())


def read_records(path: Path) -> Dict[str, ProbabilityRecord]:
    """
    By language, what `write_records` has written.

    # Raises

    `OSError` or `ValueError` for a file that cannot be read.
    """
    fields: Dict[str, Dict[str, np.ndarray]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                name, _, language = key.partition("/")
                fields.setdefault(language, {})[name] = arrays[key]
        return {language: ProbabilityRecord(**own) for language, own in fields.items()}
    except (AttributeError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a record of probabilities ({error})") from error
