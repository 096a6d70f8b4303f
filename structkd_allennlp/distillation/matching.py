"""A teacher's labels and potentials in terms of a student's labels."""

from typing import List, NamedTuple, Optional, Sequence

import numpy
import torch
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.tag_schemes import (
    bio_labels,
    chunk_scheme,
    iob1_reading,
    possible_schemes,
)
from structkd_allennlp.distillation.target_store import Head
from structkd_allennlp.modules.tagger_chain import LabelSpace, Potentials


class Adjacency(NamedTuple):
    """
    Where a student's label is another of the teacher's than usual: see `_match_iob1`.

    # Parameters

    pairs : `numpy.ndarray`
        `(labels, labels)`, as `[from, to]`, bool: after which labels.
    columns : `numpy.ndarray`
        `(labels,)`: which of the teacher's labels it is there.
    """

    pairs: numpy.ndarray
    columns: numpy.ndarray


class Matched(NamedTuple):
    """
    All of a teacher's chain over the student's labels that does not depend on the sentence.

    # Parameters

    columns : `numpy.ndarray`
        Of each of the student's labels, the teacher's label, or -1.
    potentials : `Potentials`
        The teacher's distribution given that the student can say it at all.
    adjacency : `Optional[Adjacency]`
    """

    columns: numpy.ndarray
    potentials: Potentials
    adjacency: Optional[Adjacency] = None


def match(
    head: Head,
    student: LabelSpace,
    unmatched_labels: str = "error",
    compares_emissions: bool = False,
) -> Matched:
    """
    # Parameters

    head : `Head`
        The teacher's.
    student : `LabelSpace`
    unmatched_labels : `str`, optional (default = `"error"`)
        See `Teachers`.
    compares_emissions : `bool`, optional (default = `False`)
        Likewise.

    # Raises

    `ConfigurationError`, in words that go on a sentence about the teacher, where the labels do not
    fit together.
    """
    own = chunk_scheme(head.labels, head.encoding)
    expected = chunk_scheme(student.labels, student.encoding)
    labels, converted = set(head.labels), (own, expected) == ("IOB1", "BIO")
    if converted:
        labels = bio_labels(labels)
        _check_conversion(student, compares_emissions)
    elif own != expected:
        raise ConfigurationError(
            f"has labels of another scheme than the student: the teacher's label encoding is "
            f"{own} and the student's {expected}; train both with the same label_encoding. The "
            f"teacher has {sorted(head.labels)}, the student {sorted(student.labels)}"
        )
    lacking = sorted(labels - set(student.labels))
    if lacking and unmatched_labels == "error":
        raise ConfigurationError(
            f"has labels that the student lacks: {lacking}; the student has "
            f"{sorted(student.labels)}; train the student on data with all of the teacher's "
            'labels, or set "unmatched_labels": "renormalise"'
        )
    if not labels & set(student.labels):
        raise ConfigurationError(
            f"and the student have no label in common: {head.labels} and {student.labels}; they "
            "were trained for different tasks"
        )
    if converted:
        matched = _match_iob1(head, student.labels, unmatched_labels == "renormalise")
    else:
        matched = _match_by_name(head, student.labels)
    return matched._replace(potentials=matched.potentials.plus(student.constraints))


def _columns(head: Head, labels: Sequence[str]) -> List[int]:
    index = {label: i for i, label in enumerate(head.labels)}
    return [index.get(label, -1) for label in labels]


def _match_by_name(head: Head, labels: Sequence[str]) -> Matched:
    columns = _columns(head, labels)
    transitions, start, end = head.potentials
    potentials = Potentials(transitions[columns][:, columns], start[columns], end[columns])
    return Matched(numpy.array(columns), potentials)


def _check_conversion(student: LabelSpace, compares_emissions: bool) -> None:
    """Whether IOB1 labels can teach this student of BIO labels at all."""
    if compares_emissions:
        raise ConfigurationError(
            'has IOB1 labels and the student BIO labels, so the objective "emission", which '
            "compares them token by token, has nothing to compare: choose another objective, or "
            'train the teacher with "label_encoding": "BIO"'
        )
    if student.encoding is None and len(possible_schemes(student.labels)) > 1:
        raise ConfigurationError(
            f"has IOB1 labels, and the student's {sorted(student.labels)} may be IOB1 or BIO: give "
            'the student a "label_encoding"'
        )


def _match_iob1(head: Head, labels: Sequence[str], renormalise: bool) -> Matched:
    """
    The teacher's distribution over valid IOB1 sequences, as one over the BIO sequences of the same
    entities.

    A BIO label has one name in IOB1 wherever it stands, but for a `B-X` right after an entity of
    its own type, which depends on the label before it: its emission becomes a part of the
    transition to it. So every BIO sequence keeps the score of its IOB1 sequence, unless transitions
    from `B-X` and from `I-X` differ: then the score of a BIO label would depend on the two before.

    # Parameters

    labels : `Sequence[str]`
        The student's, in BIO.
    renormalise : `bool`
        Whether to take, in that case, the distribution over sequences without such a `B-X`.
    """
    reading = iob1_reading(labels)
    usual, adjacent = _columns(head, reading.usual), _columns(head, labels)
    transitions, start, end = head.potentials
    differing = [
        label
        for label, b, i in zip(labels, adjacent, usual, strict=True)
        if b != i
        and min(b, i) >= 0
        and not (torch.equal(transitions[b], transitions[i]) and end[b] == end[i])
    ]
    if differing and not renormalise:
        raise ConfigurationError(
            f"has IOB1 labels and the student BIO labels, and what it says after {differing}, the "
            "starts of entities right after another of their type, cannot be said exactly in BIO: "
            'train it with "label_encoding": "BIO" (structkd_conll recodes IOB1), or set '
            '"unmatched_labels": "renormalise", which takes its distribution over the sequences '
            "without such entities"
        )
    possible = [
        b >= 0 and label not in differing for label, b in zip(labels, adjacent, strict=True)
    ]
    pairs = torch.tensor(reading.adjacent)
    forbidden = ~torch.tensor(reading.follow) | (pairs & ~torch.tensor(possible))
    own = torch.where(pairs, transitions[usual][:, adjacent], transitions[usual][:, usual])
    potentials = Potentials(
        own.masked_fill(forbidden, -torch.inf),
        start[usual].masked_fill(~torch.tensor(reading.start), -torch.inf),
        end[usual],
    )
    pairs = pairs & ~forbidden
    adjacency = Adjacency(pairs.numpy(), numpy.array(adjacent)) if pairs.any() else None
    return Matched(numpy.array(usual), potentials, adjacency)
