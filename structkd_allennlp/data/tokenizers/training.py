"""Trains sub-word tokenizers with the `tokenizers` library."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable, Iterable, Sequence

from allennlp.common.checks import ConfigurationError
from tokenizers import (  # type: ignore[import-untyped]
    BertWordPieceTokenizer,
    ByteLevelBPETokenizer,
    pre_tokenizers,
    processors,
)
from transformers import BertTokenizerFast, PreTrainedTokenizerFast, RobertaTokenizerFast

from structkd_allennlp.common.files import whole_directory

Texts = Callable[[], Iterable[Sequence[str]]]
"""Gives the words of one sentence after another, from the start at each call."""

FALLBACKS = ("character", "byte")
"""What a word of no known pieces is split into."""

_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_BYTES = 256


def train_tokenizer(
    texts: Texts, vocabulary_size: int, fallback: str = "character", min_frequency: int = 2
) -> PreTrainedTokenizerFast:
    """
    Trains a cased sub-word tokenizer. It splits each word alone, so a tagger sees the same pieces
    as the encoder has been trained on. The same text always gives the same tokenizer.

    # Parameters

    texts : `Texts`
    vocabulary_size : `int`
        The number of pieces, special tokens included.
    fallback : `str`, optional (default=`"character"`)
        `"character"` trains WordPiece, as multilingual BERT has it: a word of no known pieces is
        split into characters, and is `[UNK]` only if it has a character that the vocabulary lacks.
        `"byte"` trains byte-level BPE, as RoBERTa has it, which knows every word.
    min_frequency : `int`, optional (default=`2`)
        What is rarer gets no place in the vocabulary: pieces and, with WordPiece, characters.

    # Raises

    `ConfigurationError` for another fallback, and for a vocabulary too small for the characters.
    """
    if fallback not in FALLBACKS:
        raise ConfigurationError(f"fallback: {fallback!r} is not one of {', '.join(FALLBACKS)}")
    if min_frequency < 1:
        raise ConfigurationError(f"min_frequency must be 1 or more, not {min_frequency}")
    train = _train_word_pieces if fallback == "character" else _train_byte_pairs
    return train(texts, vocabulary_size, min_frequency)


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Writes a directory that `AutoTokenizer` loads, whole or not at all."""
    with whole_directory(directory) as new:
        tokenizer.save_pretrained(str(new))


def _lines(texts: Texts) -> Iterable[str]:
    return (" ".join(words) for words in texts())


def _train_word_pieces(
    texts: Texts, vocabulary_size: int, min_frequency: int
) -> PreTrainedTokenizerFast:
    trainer = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    normalizer, splitter = trainer._tokenizer.normalizer, pre_tokenizers.BertPreTokenizer()
    firsts: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for line in _lines(texts):
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(line)):
            firsts[word[0]] += 1
            others.update(word[1:])
    alphabet = sorted(x for x, n in (firsts + others).items() if n >= min_frequency)
    # The library numbers these pieces in the order of a hash table, and breaks ties by number. As
    # special tokens they have a fixed one.
    continuations = [f"##{x}" for x in alphabet if others[x]]
    special = _BERT + continuations
    _check_size(vocabulary_size, len(special) + len(alphabet), "characters", min_frequency)
    trainer.train_from_iterator(
        _lines(texts),
        vocab_size=vocabulary_size,
        min_frequency=min_frequency,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=special,
        show_progress=False,
    )
    ids = trainer.get_vocab()
    # Made anew from the pieces, so that no continuation stays a special token.
    with TemporaryDirectory() as directory:
        vocabulary = Path(directory, "vocab.txt")
        vocabulary.write_text("".join(f"{x}\n" for x in sorted(ids, key=ids.get)), encoding="utf-8")
        return BertTokenizerFast(str(vocabulary), do_lower_case=False, strip_accents=False)


def _train_byte_pairs(
    texts: Texts, vocabulary_size: int, min_frequency: int
) -> PreTrainedTokenizerFast:
    _check_size(vocabulary_size, len(_ROBERTA) + _BYTES, "bytes", min_frequency)
    trainer = ByteLevelBPETokenizer(add_prefix_space=True)
    trainer.train_from_iterator(
        _lines(texts),
        vocab_size=vocabulary_size,
        min_frequency=min_frequency,
        special_tokens=_ROBERTA,
        show_progress=False,
    )
    start, _, end, *_ = _ROBERTA
    trainer._tokenizer.post_processor = processors.RobertaProcessing(
        sep=(end, trainer.token_to_id(end)), cls=(start, trainer.token_to_id(start))
    )
    # Every word is taken as one that follows a space, wherever it stands.
    return RobertaTokenizerFast(
        tokenizer_object=trainer._tokenizer, add_prefix_space=True, trim_offsets=True
    )


def _check_size(vocabulary_size: int, least: int, units: str, min_frequency: int) -> None:
    if vocabulary_size < least:
        remedy = f", or min_frequency (now {min_frequency})" if units == "characters" else ""
        raise ConfigurationError(
            f"a vocabulary of {vocabulary_size} is too small: {units} and special tokens alone "
            f"take {least}. Raise its size{remedy}."
        )
