"""The opinion targets of SemEval-2016 Task 5."""

import logging
from collections import Counter
from enum import StrEnum
from typing import Any, Iterator, List, Optional, TextIO, Tuple
from xml.etree.ElementTree import Element

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Token
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.dataset_readers.tagging_reader import ParsedSentence, TaggingReader
from structkd_allennlp.data.dataset_readers.text_files import LONGEST_TEXT, input_error, too_long
from structkd_allennlp.data.sentences import TaggedSentence
from structkd_allennlp.data.tag_schemes import spans_to_bio

logger = logging.getLogger(__name__)

Span = Tuple[int, int]

LABEL = "TARGET"


class _Counted(StrEnum):
    """What is counted in a file, in the words of the log."""

    SENTENCES = "sentences"
    TARGETS = "targets"
    IMPLICIT = "opinions without a target"
    REPEATED = "opinions on a target already counted"
    OVERLAPPING = "targets dropped for a longer one that overlaps"
    WIDENED = "targets widened to whole tokens"
    UTF16 = "targets with offsets in UTF-16 units"
    UNFIT = "targets dropped because the text at their offsets differs"
    NO_TEXT = "sentences dropped because they have no text"


@DatasetReader.register("semeval_aspect")
class SemEvalAspectReader(TaggingReader):
    """
    Reads the XML of SemEval-2016 Task 5, subtask 1, into one `TARGET` entity for each distinct
    opinion target.

    Offsets may count code points or UTF-16 units: whichever yields the target's text, ignoring
    case, is right, and a target for which neither does is dropped. A target that starts or ends
    inside a token covers the whole token. Of targets that overlap, the longest is kept. Sentences
    without opinions, such as those marked `OutOfScope`, are read as sentences without entities;
    sentences without text are left out. The log says how often each of these happened in a file.

    Files are decoded by the reader's `encoding`, whatever their XML declaration says.

    Registered as a `DatasetReader` with name "semeval_aspect".

    # Parameters

    label_encoding : `str`, optional (default=`"BIO"`)
    """

    def __init__(self, label_encoding: Optional[str] = "BIO", **kwargs: Any) -> None:
        super().__init__(label_encoding=label_encoding, **kwargs)

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        counts: Counter[_Counted] = Counter()
        try:
            source = _Bounded(file, path)
            for event, element in iterparse(source, events=("start", "end")):
                source.length = 0
                if event == "start":
                    continue
                if element.tag == "sentence":
                    sentence = self._sentence(element, path, language, counts)
                    if sentence is not None:
                        # The tags made here are valid, so no message needs their lines.
                        yield sentence, ()
                if element.tag in ("sentence", "Review"):
                    element.clear()
        except ParseError as error:
            raise input_error(
                path,
                f"malformed XML ({error})",
                "Correct the file, or name one in the format of SemEval-2016 Task 5",
                line=error.position[0],
            ) from error
        except DefusedXmlException as error:
            raise input_error(
                path,
                f"refused, since XML entities can be used for an attack ({quoted(error)})",
                "Remove the entity declarations of the DOCTYPE",
            ) from error
        logger.log(
            logging.WARNING if counts[_Counted.UNFIT] or counts[_Counted.NO_TEXT] else logging.INFO,
            "%s: %s",
            path,
            ", ".join(f"{counts[what]} {what}" for what in _Counted if counts[what]),
        )

    def _sentence(
        self, element: Element, path: str, language: Optional[str], counts: Counter[_Counted]
    ) -> Optional[TaggedSentence]:
        place = f"{path}, sentence {quoted(element.get('id'))}"
        text = element.findtext("text") or ""
        tokens = self.tokenize(text, language)
        if not tokens:
            counts[_Counted.NO_TEXT] += 1
            return None
        counts[_Counted.SENTENCES] += 1
        spans = []
        for opinion in element.iter("Opinion"):
            target, start, end = _attributes(opinion, place)
            # The word NULL decides: the offsets are not always zero.
            if target.strip() in ("", "NULL"):
                counts[_Counted.IMPLICIT] += 1
                continue
            span = _characters(text, target, start, end, counts)
            if span is None:
                counts[_Counted.UNFIT] += 1
            elif span in spans:
                counts[_Counted.REPEATED] += 1
            else:
                spans.append(span)
        chosen = _tokens(spans, tokens, place, counts)
        counts[_Counted.TARGETS] += len(chosen)
        tags = spans_to_bio(((LABEL, span) for span in chosen), len(tokens))
        return TaggedSentence(tokens, tags, language)


class _Bounded:
    """
    Refuses what would take the parser minutes and as much memory: it looks at an attribute, a text
    or a comment from its start each time that there is more of it.
    """

    def __init__(self, file: TextIO, path: str) -> None:
        self._file = file
        self._path = path
        self._start = ""
        self.length = 0

    def read(self, size: int) -> str:
        text = self._file.read(size)
        if not self.length:
            self._start = text
        self.length += len(text)
        if self.length > LONGEST_TEXT:
            raise too_long(self._path, self._start)
        return text


def _attributes(opinion: Element, place: str) -> Tuple[str, int, int]:
    values = [opinion.get(name) for name in ("target", "from", "to")]
    try:
        target, start, end = values
        if target is None or start is None or end is None:
            raise ValueError
        return target, int(start), int(end)
    except ValueError as error:
        raise input_error(
            place,
            "an <Opinion> with target={} from={} to={}".format(*map(quoted, values)),
            'Give it a target (or "NULL") and whole numbers as offsets',
        ) from error


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()


def _characters(
    text: str, target: str, start: int, end: int, counts: Counter[_Counted]
) -> Optional[Span]:
    """The code points of a target, without outer white space; `None` if its text differs."""
    code_points = (start, end)
    utf16 = (_from_utf16(text, start), _from_utf16(text, end))
    for first, last in dict.fromkeys((code_points, utf16)):
        covered = text[first:last] if 0 <= first < last else ""
        if _normal(covered) == _normal(target):
            counts[_Counted.UTF16] += (first, last) != code_points
            first += len(covered) - len(covered.lstrip())
            return first, first + len(covered.strip())
    return None


def _from_utf16(text: str, offset: int) -> int:
    units = text.encode("utf-16-le")[: 2 * max(offset, 0)]
    return len(units.decode("utf-16-le", errors="ignore"))


def _tokens(
    spans: List[Span], tokens: List[Token], place: str, counts: Counter[_Counted]
) -> List[Span]:
    """The tokens, both ends included, of each target that is kept; no token is in two."""
    bounds = []
    for token in tokens:
        if token.idx is None or token.text is None:
            raise ConfigurationError(
                f"{place}: the tokenizer of the dataset reader gives no offsets. "
                'Use one that does, such as "blank_spacy" or "spacy".'
            )
        bounds.append((token.idx, token.idx_end or token.idx + len(token.text)))
    chosen: List[Span] = []
    # The sort is stable, so of two equally long targets the first is kept.
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        touched = [i for i, (left, right) in enumerate(bounds) if left < end and start < right]
        if not touched:
            counts[_Counted.UNFIT] += 1
            continue
        first, last = touched[0], touched[-1]
        if any(first <= other[1] and other[0] <= last for other in chosen):
            counts[_Counted.OVERLAPPING] += 1
            continue
        counts[_Counted.WIDENED] += (bounds[first][0], bounds[last][1]) != (start, end)
        chosen.append((first, last))
    return chosen
