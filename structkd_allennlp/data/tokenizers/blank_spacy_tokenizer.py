"""Tokenisation of raw text in many languages, without a model to download."""

import logging
from bisect import bisect_right
from functools import cache
from itertools import accumulate, pairwise
from typing import List

import regex
import spacy
from allennlp.data.tokenizers import Token, Tokenizer
from spacy.language import Language

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


@cache
def _blank(language: str) -> Language:
    try:
        return spacy.blank(language)
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
        return _blank(MULTI_LANGUAGE)


@Tokenizer.register("blank_spacy")
class BlankSpacyTokenizer(Tokenizer):
    """
    The rule-based tokenizer of a blank spaCy pipeline. The tokens carry their offsets, in code
    points, as `idx` and `idx_end`; tokens of white space alone are dropped. No token has more than
    250 characters.

    A language that spaCy does not know, or whose tokenizer needs a package that is not installed,
    falls back to the multi-language rules with one logged warning. Under these rules each character
    of a script without spaces between words, such as Chinese, Japanese or Thai, is a token.

    Registered as a `Tokenizer` with name "blank_spacy".

    # Parameters

    language : `str`, optional (default=`"xx"`)
        A language code that spaCy knows; `"xx"` means its multi-language rules.
    """

    def __init__(self, language: str = MULTI_LANGUAGE) -> None:
        self.language = language

    def tokenize(self, text: str) -> List[Token]:
        # The pipeline is looked up at each call, so that this object stays small to pickle.
        pipeline = _blank(self.language)
        cuts = {match.end() for match in _LONG.finditer(text)}
        if pipeline.lang == MULTI_LANGUAGE:
            cuts.update(cut for match in _UNSPACED.finditer(text) for cut in match.span())
        pieces = [text[a:b] for a, b in pairwise(sorted({0, *cuts, len(text)}))]
        # Where each of them starts once there is a space between any two.
        starts = list(accumulate((len(piece) + 1 for piece in pieces), initial=0))
        tokens = []
        # Not `make_doc`, which takes no more than a million characters.
        for token in pipeline.tokenizer(" ".join(pieces)):
            if not token.is_space:
                start = token.idx - (bisect_right(starts, token.idx) - 1)
                tokens.append(Token(token.text, start, start + len(token.text)))
        return tokens


@cache
def blank_spacy_tokenizer(language: str) -> BlankSpacyTokenizer:
    """The one `BlankSpacyTokenizer` of this language in this process."""
    return BlankSpacyTokenizer(language)
