"""All that is known of tag strings: chunk schemes, recoding, and the entities that tags hold."""

from contextlib import suppress
from typing import Iterable, List, NamedTuple, Optional, Sequence, Set

import numpy as np
from allennlp.data.dataset_readers.dataset_utils.span_utils import (
    TypedStringSpan,
    bio_tags_to_spans,
    bioul_tags_to_spans,
    to_bioul,
)
from allennlp.modules.conditional_random_field.conditional_random_field import (
    is_transition_allowed,
)
from seqeval.metrics.sequence_labeling import end_of_chunk, get_entities, start_of_chunk

from structkd_allennlp.common.text import quoted
from structkd_allennlp.modules.entity_probability import ChunkBoundaries, EntitySpan

OUTPUT_SCHEMES = ("BIO", "BIOUL")
INPUT_SCHEMES = ("IOB1", *OUTPUT_SCHEMES)

# seqeval reads BIO, IOB1 and BIOES. BIOUL and BMES differ from BIOES only in letters.
_TO_BIOES = {"L": "E", "U": "S", "M": "I"}

_PREFIXES = {"IOB1": "BIO", "BIO": "BIO", "BIOUL": "BIOUL"}


class TagSchemeError(Exception):
    """
    A tag that cannot be read.

    # Parameters

    index : `int`
        Of the tag in its sentence.
    problem : `str`
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(index, problem)
        self.index = index
        self.problem = problem


def recode(tags: Sequence[str], output: str, scheme: Optional[str] = None) -> List[str]:
    """
    The same entities in another scheme.

    # Parameters

    tags : `Sequence[str]`
    output : `str`
        One of `OUTPUT_SCHEMES`.
    scheme : `str`, optional (default=`None`)
        The one of `INPUT_SCHEMES` that the tags must follow. `None` accepts IOB1, BIO and a mixture
        of both, as conlleval does: an `I-X` that does not continue an entity starts one.

    Raises `TagSchemeError` for the first tag that `scheme` does not allow.
    """
    _check(tags, scheme)
    to_spans = bioul_tags_to_spans if scheme == "BIOUL" else bio_tags_to_spans
    bio = spans_to_bio(to_spans(list(tags)), len(tags))
    return to_bioul(bio, encoding="BIO") if output == "BIOUL" else bio


def spans_to_bio(spans: Iterable[TypedStringSpan], length: int) -> List[str]:
    """BIO tags of typed spans that do not overlap; like AllenNLP's, a span includes its end."""
    tags = ["O"] * length
    for type_, (start, end) in spans:
        for i in range(start, end + 1):
            tags[i] = "-".join(filter(None, ("B" if i == start else "I", type_)))
    return tags


def _check(tags: Sequence[str], scheme: Optional[str]) -> None:
    prefixes = _PREFIXES[scheme or "BIO"]
    name = scheme or "IOB1 or BIO"
    previous, previous_prefix, previous_type = "", "START", ""
    for i, tag in enumerate(tags):
        prefix, dash, type_ = tag.partition("-")
        # AllenNLP's decoders look at the first letter only, so `Other` would count as `O`.
        known = len(prefix) == 1 and prefix in prefixes
        if not known or bool(dash) != bool(type_) or (prefix == "O" and dash):
            raise TagSchemeError(i, f"{quoted(tag)} is not a valid {name} tag")
        if scheme and not is_transition_allowed(
            scheme, previous_prefix, previous_type, prefix, type_
        ):
            where = f"follow {quoted(previous)}" if i else "start a sentence"
            raise TagSchemeError(i, f"{quoted(tag)} cannot {where} in {scheme}")
        previous, previous_prefix, previous_type = tag, prefix, type_
    if (
        scheme
        and tags
        and not is_transition_allowed(scheme, previous_prefix, previous_type, "END", "")
    ):
        raise TagSchemeError(len(tags) - 1, f"{quoted(previous)} cannot end a sentence in {scheme}")


def entity_spans(tags: Sequence[str]) -> List[EntitySpan]:
    """
    The entities of one sentence as conlleval counts them: an ill-formed start, such as an `I-PER`
    after `O`, starts an entity. Reads BIO, IOB1, BIOUL, BIOES and BMES.
    """
    return [
        EntitySpan(label, start, end + 1)
        for label, start, end in get_entities([_bioes(tag) for tag in tags])
    ]


def chunk_boundaries(labels: Sequence[str]) -> ChunkBoundaries:
    """Where entities start and end between these labels, by the rules of `entity_spans`."""
    split = []
    for tag in map(_bioes, [*labels, "O"]):
        split.append((tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"))
    starts, ends = (
        np.array([[bool(rule(a, b, a_type, b_type)) for b, b_type in split] for a, a_type in split])
        for rule in (start_of_chunk, end_of_chunk)
    )
    return ChunkBoundaries([type_ for _, type_ in split], starts, ends)


def scheme_of(labels: Iterable[str]) -> Optional[str]:
    """
    The scheme that a set of labels shows: `BIOUL` or `BMES` by letters that only these have, `BIO`
    (or IOB1) by `B` and `I` alone, and `None` where none encodes a span.
    """
    letters = {label[:1] for label in labels if label[1:2] in ("", "-")}
    if letters & {"U", "L"}:
        return "BIOUL"
    if letters & {"M", "E", "S"}:
        return "BMES"
    return "BIO" if letters & {"B", "I"} else None


def possible_schemes(labels: Iterable[str]) -> Set[str]:
    """
    Which of `IOB1` and `BIO` can need exactly these labels: in BIO every `I-X` follows a `B-X`, in
    IOB1 every `B-X` follows an `I-X`. Labels that have both of every type tell nothing.
    """
    labels = [label for label in labels if label[1:2] in ("", "-")]
    begin, inside = ({x[1:] for x in labels if x[:1] == letter} for letter in "BI")
    schemes = (("IOB1", begin - inside), ("BIO", inside - begin))
    return {scheme for scheme, missing in schemes if not missing}


def chunk_scheme(labels: Iterable[str], declared: Optional[str]) -> Optional[str]:
    """
    `scheme_of`, and whether `BIO` means IOB1, which the labels may leave open: then it is what is
    declared, or BIO.
    """
    labels = list(labels)
    scheme = scheme_of(labels)
    if scheme != "BIO":
        return scheme or declared
    possible = possible_schemes(labels)
    return possible.pop() if len(possible) == 1 else "IOB1" if declared == "IOB1" else "BIO"


def bio_labels(labels: Iterable[str]) -> Set[str]:
    """What IOB1 labels are called in BIO."""
    return {own for x in labels for own in ([x, "B" + x[1:]] if x[:1] == "I" else [x])}


def schemes_of_tags(tags: Sequence[str]) -> Set[str]:
    """Which of `IOB1` and `BIO` the tags of a sentence are valid in."""
    valid = set()
    for scheme in ("IOB1", "BIO"):
        with suppress(TagSchemeError):
            _check(tags, scheme)
            valid.add(scheme)
    return valid


class Iob1Reading(NamedTuple):
    """
    What BIO labels are called in IOB1. Every valid sequence of one scheme is a valid sequence of
    the other, label by label, but for the start of an entity: it is an `I-X` in IOB1, or a `B-X`
    if an entity of the same type ends right before it.

    # Parameters

    usual : `List[str]`
        What each BIO label is called, unless `adjacent`.
    adjacent : `List[List[bool]]`
        `[from][to]`: whether `to` starts an entity right after one of its own type, and keeps its
        name.
    start : `List[bool]`
        Whether BIO lets a sentence start with the label.
    follow : `List[List[bool]]`
        `[from][to]`: whether BIO lets `to` follow `from`.
    """

    usual: List[str]
    adjacent: List[List[bool]]
    start: List[bool]
    follow: List[List[bool]]


def iob1_reading(labels: Sequence[str]) -> Iob1Reading:
    """Of these BIO labels."""
    split = [(label[:1], label[1:]) for label in labels]
    return Iob1Reading(
        ["I" + type_ if letter == "B" else letter + type_ for letter, type_ in split],
        [[a[0] in "BI" and b == ("B", a[1]) for b in split] for a in split],
        [letter != "I" for letter, _ in split],
        [[b[0] != "I" or (a[0] in "BI" and a[1] == b[1]) for b in split] for a in split],
    )


def _bioes(tag: str) -> str:
    return _TO_BIOES.get(tag[:1], tag[:1]) + tag[1:]
