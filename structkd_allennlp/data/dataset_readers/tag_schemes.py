"""Reading tags in one chunk scheme and writing them in another."""

from typing import Iterable, List, Optional, Sequence

from allennlp.data.dataset_readers.dataset_utils.span_utils import (
    TypedStringSpan,
    bio_tags_to_spans,
    bioul_tags_to_spans,
    to_bioul,
)
from allennlp.modules.conditional_random_field.conditional_random_field import (
    is_transition_allowed,
)

OUTPUT_SCHEMES = ("BIO", "BIOUL")
INPUT_SCHEMES = ("IOB1", *OUTPUT_SCHEMES)

_PREFIXES = {"IOB1": "BIO", "BIO": "BIO", "BIOUL": "BIOUL"}


class TagSchemeError(Exception):
    """
    A tag that can not be read.

    # Parameters

    index : `int`
        Of the tag in its sentence.
    problem : `str`
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(index, problem)
        self.index = index
        self.problem = problem


def is_bioul(tags: Iterable[str]) -> bool:
    """Whether these tags are told from IOB1 and BIO by an `L-` or a `U-`."""
    return any(tag[:2] in ("L-", "U-", "L", "U") for tag in tags)


def recode(tags: Sequence[str], output: str, scheme: Optional[str] = None) -> List[str]:
    """
    The same entities in another scheme.

    # Parameters

    tags : `Sequence[str]`
    output : `str`
        One of `OUTPUT_SCHEMES`.
    scheme : `str`, optional (default=`None`)
        The one of `INPUT_SCHEMES` that the tags keep to. `None` accepts IOB1 and BIO, and a
        mixture of both, as conlleval does: an `I-X` that does not go on an entity starts one.

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
        if len(prefix) != 1 or prefix not in prefixes or bool(dash) != bool(type_):
            raise TagSchemeError(i, f"{tag!r} is no {name} tag")
        if prefix == "O" and dash:
            raise TagSchemeError(i, f"{tag!r} is no {name} tag")
        if scheme and not is_transition_allowed(
            scheme, previous_prefix, previous_type, prefix, type_
        ):
            where = f"follow {previous!r}" if i else "start a sentence"
            raise TagSchemeError(i, f"{tag!r} can not {where} in {scheme}")
        previous, previous_prefix, previous_type = tag, prefix, type_
    if (
        scheme
        and tags
        and not is_transition_allowed(scheme, previous_prefix, previous_type, "END", "")
    ):
        raise TagSchemeError(len(tags) - 1, f"{previous!r} can not end a sentence in {scheme}")
