"""
The algorithm of spaCy's rule-based tokenizer, over the rules that one of its languages has, without
spaCy: to import it takes seconds, and to install it takes more than all else that serves a tagger.
"""

import re
from itertools import groupby
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

# Whose tokens are kept in memory.
_KNOWN_SPANS = 20_000


class Piece(NamedTuple):
    """A word of a text, with its offsets in code points, the end exclusive."""

    text: str
    start: int
    end: int


class WordRules:
    """
    The rules of a language. See https://spacy.io/usage/linguistic-features#how-tokenizer-works.

    # Parameters

    description : `Mapping[str, Any]`
        What `describe` has made of spaCy's tokenizer.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._prefix, self._suffix, self._infix, self._match, self._url = (
            None if own is None else re.compile(*own)
            for own in map(description["patterns"].get, _PATTERNS)
        )
        self._specials: Dict[str, List[str]] = description["specials"]
        # By first word.
        self._phrases: Dict[str, List[Tuple[str, ...]]] = {}
        for phrase in description["phrases"]:
            self._phrases.setdefault(phrase[0], []).append(tuple(phrase))
        self._known: Dict[str, List[str]] = {}

    def __call__(self, text: str) -> List[Piece]:
        """All tokens, also those of white space alone."""
        pieces = []
        for start, span in _spans(text):
            for token in self._of_span(span):
                pieces.append(Piece(token, start, start + len(token)))
                start += len(token)
        return self._with_phrases(pieces, text)

    def affixes(self, text: str) -> List[str]:
        """The tokens, special cases left alone."""
        return [token for _, span in _spans(text) for token in self._split(span, {})]

    def has_affixes(self, text: str) -> bool:
        searches = (self._prefix, self._suffix, self._infix)
        return any(own is not None and own.search(text) is not None for own in searches)

    def _of_span(self, span: str) -> List[str]:
        found = self._specials.get(span) or self._known.get(span)
        if found is None:
            if len(self._known) >= _KNOWN_SPANS:
                self._known.clear()
            found = self._known[span] = self._split(span, self._specials)
        return found

    def _split(self, text: str, specials: Mapping[str, List[str]]) -> List[str]:
        if text in specials:
            return specials[text]
        prefixes: List[str] = []
        suffixes: List[str] = []
        size = 0
        while text and len(text) != size:
            if self._matches(self._match, text) or text in specials:
                break
            size = len(text)
            before = _length(self._prefix, text)
            without = text[before:]
            if before and without in specials:
                prefixes.append(text[:before])
                text = without
                break
            after = _length(self._suffix, without)
            if after and text[:-after] in specials:
                suffixes.append(text[-after:])
                text = text[:-after]
                break
            if before and before + after <= len(text):
                prefixes.append(text[:before])
                if after:
                    suffixes.append(text[-after:])
                text = text[before : len(text) - after]
            elif before:
                prefixes.append(text[:before])
                text = without
            elif after:
                suffixes.append(text[-after:])
                text = text[:-after]
        return [*prefixes, *self._inner(text, specials), *reversed(suffixes)]

    def _inner(self, text: str, specials: Mapping[str, List[str]]) -> List[str]:
        if not text:
            return []
        if text in specials:
            return specials[text]
        if self._matches(self._match, text) or self._matches(self._url, text):
            return [text]
        tokens, start = [], 0
        for match in () if self._infix is None else self._infix.finditer(text):
            first, last = match.span()
            if first == 0:
                continue
            tokens += [text[start:first], text[first:last]]
            start = last
        # Infixes may be empty.
        return [token for token in (*tokens, text[start:]) if token]

    @staticmethod
    def _matches(pattern: Optional["re.Pattern[str]"], text: str) -> bool:
        return pattern is not None and pattern.match(text) is not None

    def _with_phrases(self, pieces: List[Piece], text: str) -> List[Piece]:
        """Special cases that only several tokens together show."""
        found = [
            (start, start + len(phrase))
            for start, piece in enumerate(pieces)
            for phrase in self._phrases.get(piece.text, ())
            if phrase == tuple(own.text for own in pieces[start : start + len(phrase)])
        ]
        if not found:
            return pieces
        seen: set[int] = set()
        chosen = {}
        # The longest first, and of these the first.
        for start, end in sorted(found, key=lambda span: (span[0] - span[1], span[0])):
            if start not in seen and end - 1 not in seen:
                chosen[start] = end
            seen.update(range(start, end))
        result: List[Piece] = []
        i = 0
        while i < len(pieces):
            end = chosen.get(i, i + 1)
            place = pieces[i].start
            special = self._specials.get(text[place : pieces[end - 1].end])
            if i not in chosen or special is None:
                result += pieces[i:end]
            else:
                for token in special:
                    result.append(Piece(token, place, place + len(token)))
                    place += len(token)
            i = end
        return result


_PATTERNS = ("prefix_search", "suffix_search", "infix_finditer", "token_match", "url_match")


def describe(tokenizer: Any) -> Dict[str, Any]:
    """The rules of a `spacy.tokenizer.Tokenizer`, as JSON can hold them."""
    from spacy.symbols import ORTH

    patterns = {}
    for name in _PATTERNS:
        # Methods of compiled patterns.
        own = getattr(getattr(tokenizer, name), "__self__", None)
        patterns[name] = None if own is None else [own.pattern, own.flags]
    specials = {
        text: [part[ORTH] for part in parts] for text, parts in sorted(tokenizer.rules.items())
    }
    description: Dict[str, Any] = {"patterns": patterns, "specials": specials, "phrases": []}
    rules = WordRules(description)
    description["phrases"] = [
        rules.affixes(text) for text in specials if " " in text or rules.has_affixes(text)
    ]
    return description


def _spans(text: str) -> Iterator[Tuple[int, str]]:
    """
    Where they start, and what they are: runs of white space, less a space that follows a word, and
    runs of others.
    """
    start = 0
    for space, characters in groupby(text, str.isspace):
        span = "".join(characters)
        if start and space and span[0] == " ":
            yield from [(start + 1, span[1:])] if len(span) > 1 else []
        else:
            yield start, span
        start += len(span)


def _length(pattern: Optional["re.Pattern[str]"], text: str) -> int:
    match = None if pattern is None else pattern.search(text)
    return 0 if match is None else match.end() - match.start()
