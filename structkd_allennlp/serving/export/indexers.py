"""What an archive's dataset reader does to words, as far as an exported tagger can do the same."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import spacy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TokenIndexer, Tokenizer, Vocabulary
from allennlp.data.token_indexers import (
    PretrainedTransformerMismatchedIndexer,
    SingleIdTokenIndexer,
    TokenCharactersIndexer,
)
from allennlp.data.tokenizers import CharacterTokenizer
from allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder
from tokenizers import Tokenizer as Backend  # type: ignore[import-untyped]

from structkd_allennlp.common.transformer_config import max_length
from structkd_allennlp.common.word_rules import describe
from structkd_allennlp.common.word_splitting import blank_pipeline
from structkd_allennlp.data.dataset_readers import MultilingualReader, TaggingReader
from structkd_allennlp.data.token_indexers import FoldedTransformerIndexer
from structkd_allennlp.data.tokenizers import BlankSpacyTokenizer
from structkd_allennlp.serving.inputs import UNKNOWN


class ReaderParts(NamedTuple):
    """
    # Parameters

    languages : `List[str]`
        Those that it names.
    indexers : `Dict[str, TokenIndexer]`
    text : `Dict[str, Any]`
        See `serving.words.WordSplitter`.
    """

    languages: List[str]
    indexers: Dict[str, TokenIndexer]
    text: Dict[str, Any]


def reader_parts(reader: Any) -> ReaderParts:
    """
    # Raises

    `ConfigurationError` for a reader of another package, and for one that indexes languages
    differently.
    """
    if isinstance(reader, MultilingualReader):
        languages = list(dict.fromkeys([*reader.languages, *reader.readers]))
        by_language = {language: reader._any_reader(language) for language in reader.readers}
        default = reader._any_reader(None)
    elif isinstance(reader, TaggingReader):
        languages = [reader.language] if reader.language else []
        by_language, default = {}, reader
    else:
        raise ConfigurationError(
            f"its dataset reader is a {type(reader).__name__}: only the readers of "
            "structkd_allennlp can be exported"
        )
    indexers = default.token_indexers
    for language, own in by_language.items():
        if own.token_indexers != indexers:
            raise ConfigurationError(
                f"its reader of {language!r} indexes words in another way than that of "
                f"{languages[0]!r}: an exported tagger has one way for all"
            )
    rules: Dict[str, Optional[str]] = {}
    for language, own in {**by_language, "": default}.items():
        if own.tokenizer is not None:
            rules[language] = _rules(own.tokenizer)
        elif language:
            rules[language] = language
        else:
            rules[language] = own.language or "xx"
    if default.tokenizer is not None:
        rules["*"] = _rules(default.tokenizer)
    return ReaderParts(languages, indexers, {"language": default.language, "rules": rules})


def word_rules(reader: ReaderParts) -> Dict[str, Any]:
    """
    By language, the rules of spaCy that split raw text: `None` where the multi-language rules do.
    Those of a language that spaCy splits by other means than rules are not there.
    """
    names = {"xx", *reader.languages, *filter(None, reader.text["rules"].values())}
    found: Dict[str, Optional[Dict[str, Any]]] = {}
    for name in sorted(names):
        pipeline = blank_pipeline(name)
        if pipeline.lang != name:
            found[name] = None
        elif type(pipeline.tokenizer) is spacy.tokenizer.Tokenizer:
            found[name] = describe(pipeline.tokenizer)
    return found


def _rules(tokenizer: Tokenizer) -> Optional[str]:
    return tokenizer.language if isinstance(tokenizer, BlankSpacyTokenizer) else None


def indexer_description(name: str, indexer: TokenIndexer, vocab: Vocabulary) -> Dict[str, Any]:
    """
    What `serving.inputs.input_of` makes an input of.

    # Raises

    `ConfigurationError` for an indexer that has no input there.
    """
    if type(indexer) is SingleIdTokenIndexer and indexer.namespace is not None:
        own: Dict[str, Any] = {
            "type": "words",
            "namespace": indexer.namespace,
            "lowercase": indexer.lowercase_tokens,
        }
        plain = indexer._feature_name == "text" and not _adds_tokens(indexer)
    elif type(indexer) is TokenCharactersIndexer:
        characters = indexer._character_tokenizer
        own = {
            "type": "characters",
            "namespace": indexer._namespace,
            "lowercase": characters._lowercase_characters,
            "shortest": indexer._min_padding_length,
        }
        plain = not _adds_tokens(indexer) and type(characters) is CharacterTokenizer
        plain = plain and characters._byte_encoding is None and not _adds_tokens(characters)
    else:
        raise ConfigurationError(
            f"its {name!r} are indexed by a {type(indexer).__name__}, which an exported tagger "
            "does not have. There are single_id, characters, folded_transformer and "
            "pretrained_transformer_mismatched"
        )
    if not plain:
        raise ConfigurationError(
            f"its indexer {name!r} has start_tokens, end_tokens, byte_encoding or another "
            "feature_name, which an exported tagger does not have: train it without"
        )
    names = vocab.get_index_to_token_vocabulary(own["namespace"])
    if UNKNOWN not in names.values() or names.get(0) != vocab._padding_token:
        raise ConfigurationError(
            f"its vocabulary {own['namespace']!r} has no {UNKNOWN}, or no padding: train it "
            'without "non_padded_namespaces" and "oov_token"'
        )
    return {"name": name, **own}


def write_sub_words(
    name: str,
    indexer: PretrainedTransformerMismatchedIndexer,
    embedder: PretrainedTransformerMismatchedEmbedder,
    directory: Path,
) -> Dict[str, Any]:
    """
    Writes the tokenizer of a transformer. Returns what `serving.sub_words.SubWordInput` reads.

    # Raises

    `ConfigurationError` for a tokenizer or an embedder that it cannot stand for.
    """
    own, matched = indexer._allennlp_tokenizer, embedder._matched_embedder
    tokenizer = indexer._tokenizer
    special = [*own.single_sequence_start_tokens, *own.single_sequence_end_tokens]
    length = indexer._matched_indexer._max_length
    if not tokenizer.is_fast:
        raise ConfigurationError(
            f"its {type(tokenizer).__name__} is no fast tokenizer, and an exported tagger has no "
            "other"
        )
    if own.single_sequence_token_type_id or any(token.type_id for token in special):
        raise ConfigurationError(
            f"its transformer {own._model_name} has token types other than 0, which an exported "
            "tagger does not have"
        )
    if length != matched._max_length:
        raise ConfigurationError(
            f"its indexer {name!r} folds sentences at {length}, and its embedder at "
            f"{matched._max_length}: give both the same max_length"
        )
    backend = Backend.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    file = f"tokenizer-{name}.json"
    backend.save(str(directory / file))
    unknown = None
    if isinstance(indexer, FoldedTransformerIndexer):
        unknown = backend.encode(tokenizer.unk_token, add_special_tokens=False).ids
    return {
        "type": "sub_words",
        "name": name,
        "tokenizer": file,
        "start": [token.text_id for token in own.single_sequence_start_tokens],
        "end": [token.text_id for token in own.single_sequence_end_tokens],
        "padding": tokenizer.pad_token_id,
        "max_length": length,
        "longest": max_length(matched.config),
        "unknown": unknown,
        "mode": embedder.sub_token_mode or "avg",
    }


def _adds_tokens(indexer: Any) -> bool:
    return bool(indexer._start_tokens or indexer._end_tokens)


def vocabulary(namespace: str, vocab: Vocabulary) -> List[str]:
    """By number."""
    names = vocab.get_index_to_token_vocabulary(namespace)
    return [names[number] for number in range(len(names))]
