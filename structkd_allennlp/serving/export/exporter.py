"""From an archive to the directory that `serving.tagger` loads."""

import json
import os
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, Token, TokenIndexer, Vocabulary
from allennlp.data.token_indexers import PretrainedTransformerMismatchedIndexer
from allennlp.models.archival import Archive
from allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder
from onnxruntime.quantization import QuantType, quantize_dynamic

from structkd_allennlp.common.files import (
    read_json,
    whole_directory,
    write_json,
    write_text,
)
from structkd_allennlp.common.untrusted_archive import load_untrusted_archive
from structkd_allennlp.data.sentences import Sentence, instance_of_words
from structkd_allennlp.data.tag_schemes import chunk_boundaries
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger
from structkd_allennlp.modules.tagger_chain import (
    Potentials,
    constraints_of,
    crf_potentials,
    emission_scores,
)
from structkd_allennlp.serving.export.card import model_card
from structkd_allennlp.serving.export.graph import (
    embedders_of,
    graphs_of,
    parameters,
    rnn_of,
    write_onnx,
)
from structkd_allennlp.serving.export.indexers import (
    ReaderParts,
    indexer_description,
    reader_parts,
    vocabulary,
    word_rules,
    write_sub_words,
)
from structkd_allennlp.serving.export.samples import sample_sentences
from structkd_allennlp.serving.model_directory import (
    CARD,
    DESCRIPTION,
    FORMAT,
    VOCABULARY,
    WORD_GRAPH,
    WORD_RULES,
    ModelDirectory,
    digest_of_description,
    sha256,
    write_packed,
)
from structkd_allennlp.serving.tagger import Tagger
from structkd_allennlp.suite.environment import revision

QUANTISATIONS = ("int8",)

_TOLERANCE = 1e-4
_BATCH = 16


class Exported(NamedTuple):
    """
    # Parameters

    size : `int`
        Of the directory, in bytes.
    sentences, words : `int`
        How many have been compared.
    difference : `float`
        The largest between any two scores, before quantisation.
    changed : `Optional[int]`
        How many tags quantisation has changed; `None` without.
    """

    size: int
    sentences: int
    words: int
    difference: float
    changed: Optional[int]


def export_tagger(archive: str, directory: Path, quantise: Optional[str] = None) -> Exported:
    """
    Writes a tagger as a directory that `Tagger.load` reads where there is neither AllenNLP nor
    PyTorch. Loads it again, and compares its scores and tags with those of the archive on sentences
    of its validation data, if that is there, and invented ones. It appears whole or not at all.

    # Parameters

    archive : `str`
        Of a `structured_crf_tagger`, or of a `structure_kd`, whose student it is then.
    directory : `Path`
        Which must not exist.
    quantise : `str`, optional (default = `None`)
        `"int8"` for weights of 8 bits.

    # Raises

    `ConfigurationError` for an archive that cannot be loaded, a tagger with parts that have no form
    in an exported one, and where scores or tags differ.
    """
    if quantise is not None and quantise not in QUANTISATIONS:
        raise ConfigurationError(f"{quantise!r} is none of {', '.join(QUANTISATIONS)}")
    if directory.exists():
        raise ConfigurationError(
            f"{directory} exists already: name another directory, or delete it"
        )
    if not os.path.exists(archive):
        raise ConfigurationError(f"there is no archive {archive}: correct its path")
    try:
        with whole_directory(directory) as new:
            return _export(archive, new, directory.name, quantise)
    except (ConfigurationError, ValueError) as error:
        # The latter by what has been written.
        reason = getattr(error, "message", str(error))
        raise ConfigurationError(f"{archive} cannot be exported: {reason}") from error


def _export(archive: str, new: Path, name: str, quantise: Optional[str]) -> Exported:
    loaded = load_untrusted_archive(archive)
    tagger = getattr(loaded.model, "student", loaded.model)
    if not isinstance(tagger, StructuredCrfTagger):
        raise ConfigurationError(
            f"it is a {type(loaded.model).__name__}, and only a structured_crf_tagger or a "
            "structure_kd can be exported"
        )
    tagger.eval()
    reader = reader_parts(loaded.validation_dataset_reader)
    embedders = embedders_of(tagger)
    inputs = [
        _input(key, _indexer(reader, key), embedder, tagger.vocab, new)
        for key, embedder in embedders.items()
    ]
    graphs = graphs_of(tagger)
    for file, graph in graphs.items():
        write_onnx(graph, new / file)
    namespaces = [own["namespace"] for own in inputs if "namespace" in own]
    vocabularies = {own: vocabulary(own, tagger.vocab) for own in namespaces}
    write_packed(new / VOCABULARY, vocabularies)
    write_packed(new / WORD_RULES, word_rules(reader))
    description = _description(
        archive, loaded, tagger, reader, inputs, sum(map(parameters, graphs.values()))
    )
    _write_description(new, name, description)

    sentences = sample_sentences(loaded, next(iter(vocabularies.values()), [])[2:])
    comparison = _compare(loaded, tagger, Tagger.load(new, threads=1), sentences)
    description["info"]["comparison"] = comparison
    if quantise is not None:
        before = _tags(Tagger.load(new, threads=1), sentences)
        for file in graphs:
            # What is computed of a word is not to depend on those that it is computed with, as the
            # range of activations does.
            kinds = ["Gather"] if file == WORD_GRAPH else None
            quantised = new / "quantised"
            quantize_dynamic(new / file, quantised, kinds, weight_type=QuantType.QInt8)
            os.replace(quantised, new / file)
        _write_description(new, name, description)
        after = _tags(Tagger.load(new, threads=1), sentences)
        changed = int(sum(a != b for a, b in zip(before, after, strict=True)))
        description["info"]["quantised"] = {"type": quantise, "changed": changed}
    _write_description(new, name, description)
    size = ModelDirectory.read(new).size()
    return Exported(
        size,
        comparison["sentences"],
        comparison["words"],
        comparison["difference"],
        None if quantise is None else changed,
    )


def _input(
    key: str, indexer: TokenIndexer, embedder: torch.nn.Module, vocab: Vocabulary, new: Path
) -> Dict[str, Any]:
    if not isinstance(indexer, PretrainedTransformerMismatchedIndexer):
        return indexer_description(key, indexer, vocab)
    if not isinstance(embedder, PretrainedTransformerMismatchedEmbedder):
        raise ConfigurationError(
            f"its {key!r} are indexed for a transformer, and embedded by a "
            f"{type(embedder).__name__}"
        )
    return write_sub_words(key, indexer, embedder, new)


def _indexer(reader: ReaderParts, key: str) -> Any:
    if key not in reader.indexers:
        raise ConfigurationError(
            f"it embeds {key!r}, which its dataset reader does not index: it has "
            f"{', '.join(reader.indexers)}"
        )
    return reader.indexers[key]


def _description(
    archive: str,
    loaded: Archive,
    tagger: StructuredCrfTagger,
    reader: ReaderParts,
    inputs: List[Dict[str, Any]],
    size: int,
) -> Dict[str, Any]:
    own = crf_potentials(tagger)
    constraints = constraints_of(tagger)
    constrained = own.plus(constraints)
    same = tagger.constrain_crf or all(map(torch.equal, own, constrained))
    boundaries = chunk_boundaries(tagger.labels) if tagger.calculate_span_f1 else None
    return {
        "format": FORMAT,
        "digests": {},
        "info": {
            "kind": _kind(tagger),
            "languages": reader.languages,
            "labels": tagger.labels,
            "label_encoding": tagger.label_encoding,
            "spans": boundaries is not None,
            "parameters": size,
            "metrics": _metrics(archive),
            "licence": _licence(loaded),
            "archive": os.path.basename(archive),
            "archive_digest": sha256(Path(archive)) if os.path.isfile(archive) else None,
            "revision": revision(),
            "quantised": None,
            "comparison": {},
        },
        "inputs": inputs,
        "text": reader.text,
        "potentials": _json(constrained if tagger.constrain_crf else own),
        # constrain_crf_decoding may restrict what is decoded, though not the distribution.
        "decoding_potentials": None if same else _json(constrained),
        "boundaries": None
        if boundaries is None
        else {
            "types": boundaries.types,
            "starts": boundaries.starts.tolist(),
            "ends": boundaries.ends.tolist(),
        },
    }


def _kind(tagger: StructuredCrfTagger) -> str:
    parts = []
    for embedder in embedders_of(tagger).values():
        if isinstance(embedder, PretrainedTransformerMismatchedEmbedder):
            parts.append(type(embedder._matched_embedder.transformer_model).__name__)
    rnn = rnn_of(tagger.encoder)
    if rnn is not None:
        parts.append(("Bi" if rnn.bidirectional else "") + type(rnn).__name__)
    return ", ".join([*parts, "CRF"])


def _write_description(new: Path, name: str, description: Dict[str, Any]) -> None:
    description["info"]["graph_size"] = sum(x.stat().st_size for x in new.glob("*.onnx"))
    if description["info"]["comparison"]:
        write_text(new / CARD, model_card(name, description["info"]))
    else:
        write_text(new / CARD, "")
    files = sorted(file for file in new.iterdir() if file.name != DESCRIPTION)
    description["digests"] = {file.name: sha256(file) for file in files}
    # As they come back from the file, in which numbers and names may look otherwise.
    written = json.loads(json.dumps(description))
    written["digest"] = digest_of_description(written)
    write_json(new / DESCRIPTION, written)


def _json(potentials: Potentials) -> Dict[str, Any]:
    """`null` for minus infinity, which JSON does not have."""

    def values(own: Any) -> Any:
        if isinstance(own, list):
            return [values(part) for part in own]
        return None if own == -torch.inf else own

    return {name: values(own.tolist()) for name, own in potentials._asdict().items()}


def _metrics(archive: str) -> Dict[str, float]:
    """Of its test data, or else of its validation data, if they lie beside the archive."""
    path = Path(archive)
    try:
        metrics = read_json((path if path.is_dir() else path.parent) / "metrics.json")
    except (OSError, ValueError):
        return {}
    numbers = {k: v for k, v in metrics.items() if isinstance(v, float)}
    for prefix in ("test_", "best_validation_"):
        own = {k: v for k, v in numbers.items() if k.startswith(prefix)}
        if own:
            return own
    return {}


def _licence(loaded: Archive) -> str:
    config = loaded.config.as_dict(quiet=True)
    sources = [f"the training data (`{config.get('train_data_path')}`)"]
    return (
        "structkd_allennlp is under Apache-2.0. A model is also derived from "
        f"{', '.join(sources)}: their licences say who may use it for what."
    )


def _compare(
    loaded: Archive, tagger: StructuredCrfTagger, exported: Tagger, sentences: List[Sentence]
) -> Dict[str, Any]:
    """
    # Raises

    `ConfigurationError` where scores or tags differ.
    """
    difference, wrong = 0.0, 0
    for first in range(0, len(sentences), _BATCH):
        batch = sentences[first : first + _BATCH]
        instances = [
            instance_of_words(
                loaded.validation_dataset_reader, [Token(word) for word in own.words], own.language
            )
            for own in batch
        ]
        together = Batch(instances)
        together.index_instances(tagger.vocab)
        with torch.no_grad():
            tensors: Dict[str, Any] = together.as_tensor_dict()
            logits, mask = emission_scores(tagger, tensors["tokens"])
            paths = tagger.decode(tagger.chain(logits, mask)).paths[:, 0]
        words = [own.words for own in batch]
        for expected, own in zip(logits.numpy(), exported.emission_scores(words), strict=True):
            apart = np.abs(expected[: len(own)] - own).max()
            difference = max(difference, float(apart))
        for result, path in zip(exported.tag(words), paths.tolist(), strict=True):
            names = [tagger.labels[label] for label in path]
            wrong += sum(a != b for a, b in zip(result["tags"], names, strict=False))
    count = sum(len(own.words) for own in sentences)
    if not difference <= _TOLERANCE or wrong:
        raise ConfigurationError(
            f"what was written gives scores that differ by up to {difference:.2g}, and {wrong} of "
            f"{count:,} tags, on {len(sentences)} sentences. It has not been kept. Please report "
            "this, with the archive's config.json"
        )
    return {"sentences": len(sentences), "words": count, "difference": difference}


def _tags(exported: Tagger, sentences: Sequence[Sentence]) -> List[str]:
    results = exported.tag([own.words for own in sentences])
    return [tag for result in results for tag in result["tags"]]
