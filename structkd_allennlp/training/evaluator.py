"""`allennlp evaluate` on several files: one table for all of them."""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from allennlp.common.checks import ConfigurationError
from allennlp.data import DataLoader
from allennlp.evaluation import Evaluator, SimpleEvaluator
from allennlp.models import Model

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.corpus_paths import files_of
from structkd_allennlp.data.dataset_readers import MultilingualReader

SCORES = ("accuracy", "precision", "recall", "f1-measure")


class Row(NamedTuple):
    """The scores of one language in one file, by name; between 0 and 1."""

    file: str
    language: str
    scores: Dict[str, float]


@dataclass
class _Table:
    rows: List[Row] = field(default_factory=list)
    trained: Sequence[str] = ()


_TABLE: ContextVar[Optional[_Table]] = ContextVar("_TABLE", default=None)


@contextmanager
def one_table() -> Iterator[None]:
    """Prints at its end what was evaluated in it as one table, also where an error ends it."""
    table = _Table()
    token = _TABLE.set(table)
    try:
        yield
    finally:
        _TABLE.reset(token)
        if table.rows:
            print(scores_table(table.rows, table.trained))


@Evaluator.register("multilingual_tagging")
class MultilingualTaggingEvaluator(SimpleEvaluator):
    """
    Evaluates like AllenNLP's own, and gives `allennlp evaluate` what it prints at its end
    (`one_table`): a row for each language of each file, and the means over all languages, over
    those that the model was trained on and over the others, which it tags zero-shot. (Of a language
    with several files, the mean over these counts.)

    Registered as an `Evaluator` with name "multilingual_tagging", and the default where a
    configuration has no `evaluation`, so that archives of any age are evaluated by it. Of a model
    without metrics by language it prints nothing.

    # Parameters

    languages : `List[str]`, optional
        Those that the model was trained on; by default the `languages` of a `multilingual` dataset
        reader. If there are none either, nothing is called zero-shot.

    # Raises

    `ConfigurationError` where a dictionary of paths names a language that the reader leaves out.
    """

    def __init__(self, languages: Optional[List[str]] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._trained = list(languages or [])

    def __call__(
        self, model: Model, data_loader: DataLoader, *args: Any, **kwargs: Any
    ) -> Dict[str, Any]:
        metrics: Dict[str, Any] = super().__call__(model, data_loader, *args, **kwargs)
        # All but AllenNLP's SimpleDataLoader have these.
        path: Any = getattr(data_loader, "data_path", None)
        reader = getattr(data_loader, "reader", None)
        file = path if isinstance(path, str) else quoted(path)
        rows = _rows(file, metrics)
        if isinstance(reader, MultilingualReader):
            _check_all_read(path, reader.languages, rows)
            if not self._trained:
                self._trained.extend(reader.languages)
        table = _TABLE.get()
        if table is not None:
            table.rows.extend(rows)
            table.trained = self._trained
        return metrics


def _rows(file: str, metrics: Dict[str, Any]) -> List[Row]:
    rows = []
    for metric in metrics:
        score, _, language = metric.partition("/")
        if score == "accuracy" and language not in ("", "macro"):
            found = {name: metrics.get(f"{name}/{language}") for name in SCORES}
            scores = {name: value for name, value in found.items() if value is not None}
            rows.append(Row(file, language, scores))
    return rows


def _check_all_read(path: Any, known: List[str], rows: List[Row]) -> None:
    """That the reader, which knows these languages, has not passed over others."""
    named = {file.language or "" for file in files_of(path, known) if not file.unlabelled}
    unread = named.difference(known, [""], [row.language for row in rows])
    if unread:
        raise ConfigurationError(
            f"{quoted(path)}: {', '.join(map(quoted, sorted(unread)))} were not evaluated, since "
            f'from a dictionary the dataset reader reads only its "languages", {quoted(known)}. To '
            "evaluate on others, name each file by itself, as in 'en=path,nl=path'"
        )


# `allennlp evaluate` takes this one unless an archive or --overrides names another.
Evaluator.default_implementation = "multilingual_tagging"


def scores_table(rows: Sequence[Row], trained: Sequence[str]) -> str:
    """
    # Parameters

    rows : `Sequence[Row]`
    trained : `Sequence[str]`
        The languages that the model was trained on; none if that is unknown.

    # Returns

    `str`
        A table in Markdown.
    """
    names = [name for name in SCORES if any(name in row.scores for row in rows)]

    def line(first: str, second: str, scores: Dict[str, float]) -> List[str]:
        return [first, second, *(f"{scores[x]:.3f}" if x in scores else "" for x in names)]

    languages = list(dict.fromkeys(row.language for row in rows))
    zero_shot = [x for x in languages if trained and x not in trained]
    lines = [["file", "language", *names]]
    for row in rows:
        note = " (zero-shot)" if row.language in zero_shot else ""
        lines.append(line(row.file, row.language + note, row.scores))
    kinds = {
        "all languages": languages,
        "languages trained on": [x for x in languages if x not in zero_shot],
        "zero-shot languages": zero_shot,
    }
    for kind, members in kinds.items():
        if members and (kind == "all languages" or zero_shot):
            lines.append(line(f"mean over {kind}", ", ".join(members), _mean(rows, members)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        [
            cell.ljust(n) if i < 2 else cell.rjust(n)
            for i, (cell, n) in enumerate(zip(x, widths, strict=True))
        ]
        for x in lines
    ]
    aligned.insert(1, ["-" * n if i < 2 else "-" * (n - 1) + ":" for i, n in enumerate(widths)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in aligned)


def _mean(rows: Sequence[Row], languages: Sequence[str]) -> Dict[str, float]:
    """Over languages, each the mean over its files."""
    means = {}
    for name in SCORES:
        own = [
            [row.scores[name] for row in rows if row.language == language and name in row.scores]
            for language in languages
        ]
        if all(own):
            means[name] = sum(sum(scores) / len(scores) for scores in own) / len(own)
    return means
