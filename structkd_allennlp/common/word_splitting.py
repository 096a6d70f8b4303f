"""Tokenisation of raw text in many languages, without a model to download."""

import logging
from bisect import bisect_right
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, Callable, Iterable, Iterator, List

import regex

from structkd_allennlp.common.word_rules import Piece

logger = logging.getLogger(__name__)

MULTI_LANGUAGE = "xx"
"""spaCy's name for its multi-language rules."""

# A character, with its marks, of a script that puts no spaces between words.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
)
# spaCy takes time quadratic in the length of what has no white space in it.
_LONGEST_TOKEN = 250
_LONG = regex.compile(rf"\S{{{_LONGEST_TOKEN}}}")

_MOST_WORDS = 100_000
"""spaCy forgets no word that it has seen, at 400 bytes each: so many, and it begins anew."""


def _spacy_blank(language: str) -> Any:
    import spacy

    return spacy.blank(language)


@cache
def blank_pipeline(language: str) -> Any:
    try:
        return _spacy_blank(language)
    except (ImportError, AttributeError) as error:
        # Also for languages such as Japanese, whose tokenizer is a package of its own, and for
        # names of other modules of spaCy, such as "punctuation".
        logger.warning(
            "spaCy has no tokenizer for the language %r here, so its multi-language rules (%r) "
            "split the text, at white space and punctuation, and between the characters of scripts "
            "such as Chinese and Thai. To change that, install what spaCy asks for (%s), or name "
            "another language or tokenizer in the configuration.",
            language,
            MULTI_LANGUAGE,
            " ".join(str(error).split()),
        )
        # One for all: input may name any number of languages.
        return blank_pipeline(MULTI_LANGUAGE)


def split_by_spacy(text: str, language: str = MULTI_LANGUAGE) -> List[Piece]:
    """
    By the rules of a blank spaCy pipeline: see `BlankSpacyTokenizer`. Imports spaCy, which takes
    more than a second, at the first call.
    """
    pipeline = blank_pipeline(language)
    if len(pipeline.tokenizer.vocab) > _MOST_WORDS:
        pipeline.tokenizer = _spacy_blank(pipeline.lang).tokenizer

    # Not `make_doc`, which takes no more than a million characters.
    def tokenize(text: str) -> Iterator[Piece]:
        for token in pipeline.tokenizer(text):
            yield Piece(token.text, token.idx, token.idx + len(token.text))

    return split_words(text, tokenize, pipeline.lang == MULTI_LANGUAGE)


def split_words(
    text: str, tokenize: Callable[[str], Iterable[Piece]], by_character: bool
) -> List[Piece]:
    """
    # Parameters

    text : `str`
    tokenize : `Callable[[str], Iterable[Piece]]`
        By the rules of spaCy.
    by_character : `bool`
        Whether each character of a script without spaces between words is a word.

    # Returns

    `List[Piece]`
        The words, none of them white space alone or of more than 250 characters.
    """
    cuts = {match.end() for match in _LONG.finditer(text)}
    if by_character:
        cuts.update(cut for match in _UNSPACED.finditer(text) for cut in match.span())
    parts = [text[a:b] for a, b in pairwise(sorted({0, *cuts, len(text)}))]
    # Where each of them starts once there is a space between any two.
    starts = list(accumulate((len(part) + 1 for part in parts), initial=0))
    words = []
    for word in tokenize(" ".join(parts)):
        if not word.text.isspace():
            start = word.start - (bisect_right(starts, word.start) - 1)
            words.append(Piece(word.text, start, start + len(word.text)))
    return words
