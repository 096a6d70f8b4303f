"""The tables of what models take: data, parameters, time."""

from typing import Any, Dict, Iterable, List, Optional

from structkd_allennlp.suite.comparison import Comparison, Run, mean_of
from structkd_allennlp.suite.tables import NOTHING, Cell, Table, duration, seeds_of

_AMOUNTS = {
    "labelled sentences": "labelled_sentences",
    "labelled tokens": "labelled_tokens",
    "teachers' labelled sentences": "teachers_labelled_sentences",
    "teachers' labelled tokens": "teachers_labelled_tokens",
    "unlabelled sentences": "unlabelled_sentences",
    "unlabelled tokens": "unlabelled_tokens",
}
# What AllenNLP's indexers call the vocabularies of words and of a transformer's sub-words.
_WORDS = ("tokens", "tags")


def resources_table(comparison: Comparison) -> Table:
    """What each model has seen, and how large it is."""
    table = Table(
        "Resources",
        ["", *_AMOUNTS, "parameters", "words", "labels"],
        notes=[
            "Of one run, as read from its training data; from to where runs differ. Teachers': "
            "what all models have seen together that the run has learnt or been copied from, and "
            "theirs in turn; a sentence that several have seen counts once.",
            "Words: the size of the vocabulary, with padding and the unknown word.",
        ],
    )
    for system in comparison.systems:
        data: List[Dict[str, Any]] = [dict(own) for run in system.runs if (own := run.get("data"))]
        cells = [system.name, *(_range(own[name] for own in data) for name in _AMOUNTS.values())]
        cells.append(_range(run["parameters"] for run in system.runs))
        cells.append(_range(_vocabulary(run, _WORDS) for run in system.runs))
        cells.append(_range(_vocabulary(run, ("labels",)) for run in system.runs))
        table.rows.append([Cell(cell) for cell in cells])
    return table


def _vocabulary(run: Run, namespaces: Iterable[str]) -> Optional[int]:
    sizes = run.get("vocabulary", {})
    return next((sizes[name] for name in namespaces if name in sizes), None)


def _range(values: Iterable[Optional[int]]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return NOTHING
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def cost_table(comparison: Comparison) -> Table:
    table = Table(
        "Size and time",
        ["", "runs", "seeds", "parameters", "archive, MB", "training time"],
        notes=["Means over runs. The time of a student does not include that of its teachers."],
    )
    for group in comparison.teachers.values():
        if group.runs:
            table.notes.append(
                f"{group.name} together: {len(group.runs)} models, "
                f"{sum(run['parameters'] for run in group.runs):,} parameters, "
                f"{sum(run['archive_bytes'] for run in group.runs) / 1e6:.1f} MB, "
                f"{duration(sum(run['seconds'] for run in group.runs))}."
            )
    for system in comparison.systems:
        runs = system.runs
        parameters = mean_of(run["parameters"] for run in runs)
        size = mean_of(run["archive_bytes"] / 1e6 for run in runs)
        seconds = mean_of(run["seconds"] for run in runs)
        cells = [
            system.name,
            f"{len(runs)} of {len(system.planned)}",
            seeds_of(system),
            NOTHING if parameters is None else f"{parameters:,.0f}",
            NOTHING if size is None else f"{size:.1f}",
            NOTHING if seconds is None else duration(seconds),
        ]
        table.rows.append([Cell(cell) for cell in cells])
    recovered = [run["directory"] for run in comparison.results["runs"] if run.get("recovered")]
    if recovered:
        table.notes.append(f"Interrupted, and recovered from a checkpoint: {', '.join(recovered)}.")
    return table
