"""From raw text to words, by the rules that the archive's dataset reader has."""

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from structkd_allennlp.common.word_rules import Piece, WordRules
from structkd_allennlp.common.word_splitting import MULTI_LANGUAGE, split_by_spacy, split_words
from structkd_allennlp.serving.model_directory import WORD_RULES, read_packed

logger = logging.getLogger(__name__)

# Input may name any number of languages.
_MOST_WARNINGS = 100


class WordSplitter:
    """
    # Parameters

    directory : `Path`
        Of the exported tagger. Its rules are read when they are first needed.
    description : `Dict[str, Any]`
        `language`, of text that does not name its own, and `rules`: by language, `""` for none and
        `"*"` for any other, the language whose rules split raw text, or `None` where nothing here
        can. Where a language is not there, the rules are its own.
    """

    def __init__(self, directory: Path, description: Dict[str, Any]) -> None:
        self._path = directory / WORD_RULES
        self.language: Optional[str] = description["language"]
        self._names: Dict[str, Optional[str]] = description["rules"]
        self._descriptions: Optional[Dict[str, Any]] = None
        self._rules: Dict[str, WordRules] = {}
        self._warned: Set[str] = set()

    def __call__(self, text: str, language: Optional[str]) -> List[Piece]:
        """
        # Raises

        `ValueError` where the tokenizer of the archive is one that nothing here can stand for.
        """
        default = language or self.language or MULTI_LANGUAGE
        name = self._names.get(language or "", self._names.get("*", default))
        if name is None:
            raise ValueError(
                "this tagger was trained with a tokenizer that it does not have here: give words "
                "in place of raw text"
            )
        known = self.load()
        if name not in known and find_spec("spacy") is not None:
            return split_by_spacy(text, name)
        if name not in known:
            self._warn(name)
            name = MULTI_LANGUAGE
        if known[name] is None:
            # spaCy has none of its own.
            name = MULTI_LANGUAGE
        if name not in self._rules:
            self._rules[name] = WordRules(known[name])
        return split_words(text, self._rules[name], name == MULTI_LANGUAGE)

    def load(self) -> Dict[str, Any]:
        """Reads the rules of all languages, so that the directory is not needed any more."""
        if self._descriptions is None:
            self._descriptions = read_packed(self._path)
        return self._descriptions

    def _warn(self, language: str) -> None:
        if language in self._warned or len(self._warned) == _MOST_WARNINGS:
            return
        self._warned.add(language)
        logger.warning(
            "this tagger has no rules that split text in the language %r into words, so its "
            "multi-language rules split it. To have those of spaCy, install spaCy, or give words",
            language,
        )
