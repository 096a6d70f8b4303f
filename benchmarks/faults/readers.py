"""Files that no corpus should hold: whether readers answer with sentences or with an error."""

import logging
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

from allennlp.common.checks import ConfigurationError
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.data import (
    ConllReader,
    SemEvalAspectReader,
    TaggingReader,
    UniversalDependenciesPosReader,
    WikiAnnReader,
)
from structkd_allennlp.data.dataset_readers.unlabelled_text import UnlabelledTextReader

LONGEST_MESSAGE = 1_000
"""In characters, without the path: each quotes a few values of at most a hundred characters."""

_CONLL = "-DOCSTART- -X- O\n\nAda NNP B-PER\nmet VBD O\nNew NNP B-LOC\nYork NNP I-LOC\n\n# x O\n"
_WIKIANN = "en:Ada\tB-PER\nen:met\tO\n\nde:Köln\tB-LOC\nde::\tO\n"
_UD = (
    "# text = I don't\n1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\tdo\tdo\tAUX\tVB\t_\t0\troot\t_\t_\n3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_\n"
    "3.1\t_\t_\tVERB\t_\t_\t_\t_\t_\t_\n\n1\tÅ\t_\tX\tFW\t_\t0\troot\t_\t_\n"
)
_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Reviews><Review rid="1"><sentences>'
    '<sentence id="1:0"><text>The wine list 😎 &amp; all.</text><Opinions>'
    '<Opinion target="wine list" category="DRINKS#STYLE" polarity="positive" from="4" to="13"/>'
    '<Opinion target="NULL" from="0" to="0"/></Opinions></sentence>'
    "</sentences></Review></Reviews>\n"
)
_TEXT = "Ada met Bob .\n\n今天很好\nMaria vive en Oporto .\n"

_ODD = (
    *("\r", "\r\n", "\n", "\n\n", "\t", " ", "\u00a0", "\u2028", "\x85", "\ufeff", "\x00", "\x1f"),
    *("_", "-", "#", ":", ",", '"', "'", "<", ">", "&", "&#0;", "&#xD800;", "&x;", "<!--", "]]>"),
    *("B-", "I-", "O", "L-X", "U-X", "B-X-Y", "-DOCSTART-", "en:", "xx-yy:", "0", "-1", "1.5"),
    *("9" * 5_000, "x" * 20_000, "(" * 2_000, "a b " * 5_000, "e\u0301", "😀", "\u202e", "ß"),
    *('<!DOCTYPE a [<!ENTITY b "c">]>', "<a>" * 500, 'from="9999999999"', 'to="x"', "1-", "1\t_"),
)
_BYTES = (
    b"\xff",
    b"\xfe",
    b"\x80",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\x00",
    b"\xff\xfe",
    b"\x1f\x8b",
)

_PIECES = st.one_of(
    st.sampled_from(_ODD).map(str.encode),
    st.sampled_from(_BYTES),
    st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=3),
)
# A piece takes the place of nothing, some bytes, or all that follows.
CHANGES = st.lists(
    st.tuples(st.integers(0, 999), st.sampled_from([0, 0, 1, 3, 20, 999]), _PIECES), max_size=6
)

FORMATS: Dict[str, Tuple[Callable[[], TaggingReader], str]] = {
    "CoNLL": (lambda: ConllReader(language="en"), _CONLL),
    "CoNLL, comments": (lambda: ConllReader(label_encoding="BIOUL", comment="#"), _CONLL),
    "CoNLL, ISO-8859-1": (lambda: ConllReader(input_encoding="IOB1", encoding="latin-1"), _CONLL),
    "CoNLL, UTF-16": (lambda: ConllReader(encoding="utf-16"), _CONLL),
    "WikiAnn": (WikiAnnReader, _WIKIANN),
    "CoNLL-U": (UniversalDependenciesPosReader, _UD),
    "CoNLL-U, XPOS": (lambda: UniversalDependenciesPosReader("xpos", missing_tag="_"), _UD),
    "SemEval": (SemEvalAspectReader, _XML),
    "text": (UnlabelledTextReader, _TEXT),
    "raw text": (lambda: UnlabelledTextReader(tokenized=False), _TEXT),
}
"""A reader of each format, and a file that it reads."""


@dataclass
class Findings:
    """
    # Parameters

    outcomes : `Counter[str]`
        How often a file was `read`, or `refused` with its path.
    faults : `List[str]`
        All else: another error, a message that is long or lacks the path, sentences without words
        or with another number of tags, and files that took ten seconds of the processor.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: List[str] = field(default_factory=list)


def changed(text: str, changes: Sequence[Tuple[int, int, bytes]]) -> bytes:
    """The text with bytes in the place of others: where (from any number), how many, and which."""
    data = text.encode()
    for place, length, piece in changes:
        start = place % (len(data) + 1)
        data = data[:start] + piece + data[start + length :]
    return data


def check(reader: TaggingReader, path: Path, findings: Findings, name: str) -> None:
    """Reads a file, and adds what comes of it to the findings."""
    started = time.process_time()
    try:
        for sentence in reader.sentences(path):
            words, tags = sentence.words, sentence.tags
            if not words or not all(words) or (tags is not None and len(tags) != len(words)):
                findings.faults.append(f"{name}: a sentence of {words[:5]} and {(tags or [])[:5]}")
        findings.outcomes["read"] += 1
    except ConfigurationError as error:
        findings.outcomes["refused"] += 1
        message = error.message.replace(str(path), "")
        if len(message) > LONGEST_MESSAGE or not error.message.startswith(str(path)):
            findings.faults.append(f"{name}: the message {message[:200]!r}")
    except Exception:
        findings.faults.append(f"{name}: {traceback.format_exc()[-300:]}")
    if time.process_time() - started > 10:
        findings.faults.append(f"{name}: {time.process_time() - started:.0f} s")


def fuzz_readers(cases: int) -> Findings:
    """Has the readers of all formats read `cases` files that hypothesis makes."""
    findings = Findings()
    readers = {name: (make(), text) for name, (make, text) in FORMATS.items()}

    @settings(max_examples=cases, deadline=None, database=None, derandomize=True)
    @given(st.sampled_from(list(FORMATS)), CHANGES, st.booleans())
    def read_one(name: str, changes: List[Tuple[int, int, bytes]], recode: bool) -> None:
        reader, text = readers[name]
        data = changed(text, changes)
        if recode:
            data = data.decode("utf-8", "replace").encode(reader.encoding, "replace")
        path.write_bytes(data)
        check(reader, path, findings, f"{name}, {changes}"[:300])

    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            read_one()
    finally:
        logging.disable(logging.NOTSET)
    return findings


if __name__ == "__main__":
    import sys

    found = fuzz_readers(int(sys.argv[1]))
    print(dict(found.outcomes), *found.faults, sep="\n")
