"""How far a job is."""

import sys
from contextlib import contextmanager, nullcontext
from typing import Iterator, Optional

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class JobProgress:
    """
    # Parameters

    size : `int`, optional
        Of the input, in bytes.
    """

    def __init__(self, bar: Progress, size: Optional[int]) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=size, sentences=0)
        self._sentences = 0

    def add(self, sentences: int, done: int, note: str = "") -> None:
        """So many sentences more, which makes so many bytes of input in all."""
        self._sentences += sentences
        self._bar.update(self._task, completed=done, sentences=self._sentences, description=note)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        count = task.fields["sentences"]
        rate = count / task.elapsed if task.elapsed else 0
        return Text(f"{count:,} sentences, {rate:,.0f}/s")


@contextmanager
def progress_bar(size: Optional[int]) -> Iterator[JobProgress]:
    """On standard error, where that is a terminal and standard output is not the same one."""
    columns = [BarColumn(), TextColumn("{task.percentage:>3.0f}%")] if size else []
    bar = Progress(
        *columns,
        _Rate(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        *([TimeRemainingColumn()] if size else []),
        console=Console(stderr=True),
    )
    shown = sys.stderr.isatty() and not sys.stdout.isatty()
    with bar if shown else nullcontext():
        yield JobProgress(bar, size)
