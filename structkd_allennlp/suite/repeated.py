"""Test sentences that models of a suite were also trained on, and the scores without these."""

from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Set

import numpy as np

from structkd_allennlp.suite.comparison import Comparison, Run
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.training.metrics import score


class Repeated(NamedTuple):
    """
    The numbers, from 0, of those test sentences of each language that are in the training data of
    any model of a suite, a teacher or a student.

    # Parameters

    labelled, unlabelled : `Dict[str, Set[int]]`
    sentences : `Dict[str, int]`
        How many there are in all.
    unknown : `int`
        The number of finished runs that have no record of it.
    """

    labelled: Dict[str, Set[int]]
    unlabelled: Dict[str, Set[int]]
    sentences: Dict[str, int]
    unknown: int

    def of(self, language: str) -> Set[int]:
        return self.labelled.get(language, set()) | self.unlabelled.get(language, set())

    @property
    def any(self) -> bool:
        return any(self.of(language) for language in self.sentences)


def repeated_in(comparison: Comparison) -> Repeated:
    """In the runs that are done."""
    found = Repeated({}, {}, {}, 0)
    for run in (run for system in comparison.systems for run in system.runs):
        if "repeated_sentences" not in run:
            found = found._replace(unknown=found.unknown + 1)
            continue
        for language, (_, of) in run["repeated"].items():
            found.sentences[language] = of
        for kind, by_language in run["repeated_sentences"].items():
            union = found.labelled if kind == "labelled" else found.unlabelled
            for language, text in by_language.items():
                union.setdefault(language, set()).update(indexes(text))
    return found


def comparison_without(comparison: Comparison, repeated: Repeated, directory: Path) -> Comparison:
    """
    The comparison of the same runs by their scores on the other test sentences. A run whose counts
    are not there has none, nor has a language of which no sentence is left.

    # Parameters

    comparison : `Comparison`
    repeated : `Repeated`
    directory : `Path`
        The suite's, with the counts of its runs.
    """
    sentence_counts = SentenceCounts(directory)
    runs: List[Run] = []
    for run in comparison.results["runs"]:
        counts = sentence_counts.find(run) if run["status"] == "done" else None
        if counts is None:
            runs.append({**run, "status": "waiting"})
            continue
        left = {
            language: np.delete(own, sorted(repeated.of(language)), axis=0)
            for language, own in counts.items()
        }
        scores = {x: 100 * float(score(own.sum(axis=0))) for x, own in left.items() if len(own)}
        runs.append({**run, "scores": scores})
    return Comparison({**comparison.results, "runs": runs})


def ranges(numbers: Iterable[int]) -> str:
    """Some numbers as short as can be, such as `"0-4,9"`."""
    spans: List[List[int]] = []
    for number in sorted(set(numbers)):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in spans)


def indexes(text: str) -> List[int]:
    """The inverse of `ranges`."""
    found: List[int] = []
    for span in text.split(",") if text else ():
        low, _, high = span.partition("-")
        found += range(int(low), int(high or low) + 1)
    return found
