"""IOB1 teachers of BIO students, against an enumeration of all label sequences."""

from itertools import pairwise, product

import numpy
import pytest
import torch
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.data.tag_schemes import recode, schemes_of_tags
from structkd_allennlp.distillation.matching import match
from structkd_allennlp.distillation.target_store import Head
from structkd_allennlp.distillation.teacher import TeacherSource
from structkd_allennlp.distillation.teachers import Teachers
from structkd_allennlp.modules.tagger_chain import LabelSpace, Potentials

CPU = torch.device("cpu")
BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]
LENGTHS = (1, 2, 3, 5)
SENTENCES = [Sentence([f"{n}{i}" for i in range(n)], "en") for n in LENGTHS]


class Scores(TeacherSource):
    """A teacher with random scores."""

    def __init__(self, labels, potentials):
        super().__init__("scores")
        self.labels, self.potentials = labels, potentials

    def check(self, language=None):
        pass

    def head(self):
        return Head(self.labels, "IOB1", self.potentials)

    def emissions(self, sentences, device):
        return [self.scores(len(words)) for words, _ in sentences]

    def scores(self, length):
        generator = numpy.random.default_rng(length)
        return generator.normal(0, 2, (length, len(self.labels))).astype(numpy.float32)

    def score(self, tags):
        """Of a sequence, by definition."""
        y = [self.labels.index(tag) for tag in tags]
        transitions, start, end = self.potentials
        score = start[y[0]] + end[y[-1]] + sum(transitions[a, b] for a, b in pairwise(y))
        return float(score) + sum(self.scores(len(y))[i, label] for i, label in enumerate(y))


def softmax(labels):
    zeros = torch.zeros(len(labels))
    return Scores(labels, Potentials(zeros.repeat(len(labels), 1), zeros, zeros))


def crf(labels, same=()):
    """Random potentials; those after `B-X` are as after `I-X` for each X of `same`."""
    generator = torch.Generator().manual_seed(1)
    n = len(labels)
    shapes = (n, n), (n,), (n,)
    transitions, start, end = (torch.randn(*shape, generator=generator) for shape in shapes)
    for type_ in same:
        b, i = labels.index(f"B-{type_}"), labels.index(f"I-{type_}")
        transitions[b], end[b] = transitions[i], end[i]
    return Scores(labels, Potentials(transitions, start, end))


def assert_exact(source, renormalise=False, keep=lambda tags: True):
    """Every BIO sequence has the probability of its IOB1 sequence among all valid ones."""
    space = LabelSpace(BIO, "BIO")
    unmatched = "renormalise" if renormalise else "error"
    ((chain, _),) = Teachers(source, space, unmatched_labels=unmatched).chains(SENTENCES, CPU)
    for row, n in enumerate(LENGTHS):
        valid = [
            tags
            for tags in product(source.labels, repeat=n)
            if "IOB1" in schemes_of_tags(tags) and keep(tags)
        ]
        scores = torch.tensor([source.score(tags) for tags in valid], dtype=torch.float64)
        expected = dict(
            zip(
                (tuple(recode(tags, "BIO", "IOB1")) for tags in valid),
                torch.log_softmax(scores, 0).tolist(),
                strict=True,
            )
        )
        # The two schemes have the same sequences.
        assert len(expected) == len(valid)
        every = list(product(range(len(BIO)), repeat=n))
        paths = torch.zeros(len(LENGTHS), len(every), max(LENGTHS), dtype=torch.long)
        paths[row, :, :n] = torch.tensor(every)
        impossible = -float("inf")
        torch.testing.assert_close(
            chain.log_prob(paths)[row],
            torch.tensor([expected.get(tuple(BIO[y] for y in own), impossible) for own in every]),
        )
        best = chain.k_best(3).paths[row, :, :n].tolist()
        best = [tuple(BIO[y] for y in path) for path in best][: len(expected)]
        assert best == sorted(expected, key=expected.__getitem__, reverse=True)[:3]


def test_a_crf_without_adjacent_entities():
    """The labels of most IOB1 corpora: no entity follows another of its type."""
    assert_exact(crf(["I-Y", "O", "I-X"]))


def test_a_softmax():
    assert_exact(softmax(["O", "I-X", "B-X", "I-Y", "B-Y"]))
    assert_exact(softmax(["I-Y", "B-X", "I-X", "O"]))


def test_a_crf_that_goes_on_in_the_same_way():
    assert_exact(crf(["O", "I-X", "B-X", "I-Y"], same="X"))
    assert_exact(crf(["B-Y", "O", "I-X", "B-X", "I-Y"], same="XY"))


def test_a_crf_that_does_not():
    source = crf(["B-Y", "O", "I-X", "B-X", "I-Y"], same="X")
    with pytest.raises(ConfigurationError, match=r"teacher scores has IOB1.*after \['B-Y'\]"):
        assert_exact(source)
    assert_exact(source, renormalise=True, keep=lambda tags: "B-Y" not in tags)


def test_batches_with_other_teachers():
    """Which have no transitions that differ by position."""
    bio = crf(BIO)
    bio.head = lambda: Head(BIO, "BIO", bio.potentials)
    iob1 = softmax(["O", "I-X", "B-X", "I-Y"])
    space = LabelSpace(BIO, "BIO")
    sentences = [Sentence(words, x) for words, _ in SENTENCES for x in ("en", "de")]
    ((joined, _),) = Teachers({"en": iob1, "de": bio}, space).chains(sentences, CPU)
    for language, source, rows in (("en", iob1, slice(0, None, 2)), ("de", bio, slice(1, None, 2))):
        own = [Sentence(words, language) for words, _ in SENTENCES]
        ((alone, _),) = Teachers(source, space).chains(own, CPU)
        torch.testing.assert_close(joined.marginals[rows], alone.marginals)
        torch.testing.assert_close(joined.entropy[rows], alone.entropy)


def test_the_students_constraints_hold():
    space = LabelSpace(BIO, "BIO", Potentials(*(torch.zeros(s) for s in ((5, 5), (5,), (5,)))))
    space.constraints.start[1] = -torch.inf
    ((chain, _),) = Teachers(softmax(["O", "I-X", "B-X"]), space).chains(SENTENCES, CPU)
    assert not chain.marginals[:, 0, 1].any()
    torch.testing.assert_close(chain.marginals.sum(-1), chain.mask.float())


@pytest.mark.parametrize(
    ("labels", "encoding", "student", "own", "problem"),
    [
        # Of labels that only one scheme can have, whatever is declared.
        (["O", "I-X"], "BIO", ["O", "B-X", "I-X", "B-Y"], None, None),
        (["O", "B-X", "I-X", "B-Y"], "IOB1", BIO, None, None),
        (["O", "I-X", "B-X"], "IOB1", ["O", "I-X", "I-Y"], None, "lacks: ['B-X']"),
        (["O", "I-X"], None, ["O", "I-X", "B-X"], None, 'give the student a "label_encoding"'),
        (["O", "B-X"], None, ["O", "I-X"], None, "encoding is BIO and the student's IOB1"),
        (["O", "I-X"], None, BIO[:2], "BIO", "labels that the student lacks: ['I-X']"),
        (
            ["O", "I-X"],
            None,
            ["O", "U-X", "B-X", "L-X", "I-X"],
            None,
            "IOB1 and the student's BIOUL",
        ),
        (["O", "I-Z"], None, BIO, "BIO", "lacks: ['B-Z', 'I-Z']"),
    ],
)
def test_schemes(labels, encoding, student, own, problem):
    zeros = torch.zeros(len(labels))
    head = Head(labels, encoding, Potentials(zeros.repeat(len(labels), 1), zeros, zeros))
    if problem is None:
        match(head, LabelSpace(student, own))
    else:
        with pytest.raises(ConfigurationError) as error:
            match(head, LabelSpace(student, own))
        assert problem in error.value.message


def test_objectives_that_compare_emissions():
    head = softmax(["O", "I-X"]).head()
    with pytest.raises(ConfigurationError, match=r'the objective "emission".*another objective'):
        match(head, LabelSpace(BIO, "BIO"), compares_emissions=True)
    match(Head(BIO, "BIO", crf(BIO).potentials), LabelSpace(BIO, "BIO"), compares_emissions=True)
