"""Tokenisation of raw text in many languages, without a model to download."""

import logging
from functools import cache
from typing import List

import spacy
from allennlp.data.tokenizers import Token, Tokenizer
from spacy.language import Language

logger = logging.getLogger(__name__)

MULTI_LANGUAGE = "xx"
"""spaCy's name for its multi-language rules."""


@cache
def _blank(language: str) -> Language:
    try:
        return spacy.blank(language)
    except ImportError as error:
        # Also raised for languages such as Japanese, whose tokenizer is a package of its own.
        logger.warning(
            "spaCy has no tokenizer for the language %r here, so its multi-language rules (%r) "
            "split the text, mostly at white space. To change that, install what spaCy asks for "
            "(%s), or name another language or tokenizer in the configuration.",
            language,
            MULTI_LANGUAGE,
            " ".join(str(error).split()),
        )
        return spacy.blank(MULTI_LANGUAGE)


@Tokenizer.register("blank_spacy")
class BlankSpacyTokenizer(Tokenizer):
    """
    The rule-based tokenizer of a blank spaCy pipeline. The tokens carry their offsets, in code
    points, as `idx` and `idx_end`; tokens of white space alone are dropped.

    A language that spaCy does not know, or whose tokenizer needs a package that is not installed,
    falls back to the multi-language rules with one logged warning.

    Registered as a `Tokenizer` with name "blank_spacy".

    # Parameters

    language : `str`, optional (default=`"xx"`)
        A language code that spaCy knows; `"xx"` means its multi-language rules.
    """

    def __init__(self, language: str = MULTI_LANGUAGE) -> None:
        self.language = language

    def tokenize(self, text: str) -> List[Token]:
        # The pipeline is looked up at each call, so that this object stays small to pickle.
        return [
            Token(token.text, token.idx, token.idx + len(token.text))
            for token in _blank(self.language).make_doc(text)
            if not token.is_space
        ]


@cache
def blank_spacy_tokenizer(language: str) -> BlankSpacyTokenizer:
    """The one `BlankSpacyTokenizer` of this language in this process."""
    return BlankSpacyTokenizer(language)
