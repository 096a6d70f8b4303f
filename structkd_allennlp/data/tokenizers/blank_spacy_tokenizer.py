"""Tokenisation of raw text in many languages, without a model to download."""

from functools import cache
from typing import List

from allennlp.data.tokenizers import Token, Tokenizer

from structkd_allennlp.common.word_splitting import MULTI_LANGUAGE, split_by_spacy


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
        return [Token(*word) for word in split_by_spacy(text, self.language)]


@cache
def blank_spacy_tokenizer(language: str) -> BlankSpacyTokenizer:
    """The one `BlankSpacyTokenizer` of this language in this process."""
    return BlankSpacyTokenizer(language)
