"""The progress of a suite: live in a terminal, line by line elsewhere."""

import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from statistics import fmean
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from structkd_allennlp.suite.jobs import Step, TrainJob
from structkd_allennlp.suite.process import log_of
from structkd_allennlp.suite.tables import duration
from structkd_allennlp.training.epoch_record import read_record

_STATES = ("running", "waiting", "done", "failed", "blocked")


class SuiteProgress(AbstractContextManager["SuiteProgress"]):
    """
    # Parameters

    steps : `Sequence[Step]`
    directory : `Path`
        Of the suite.
    slots : `int`
        How many steps run at a time.
    console : `Console`
    """

    def __init__(
        self, steps: Sequence[Step[Any]], directory: Path, slots: int, console: Console
    ) -> None:
        self._steps = steps
        self._directory = directory
        self._slots = slots
        self._console = console
        self._started: Dict[str, float] = {}
        self._durations: Dict[str, List[float]] = {}
        for step in steps:
            if step.state == "done":
                self._durations.setdefault(step.like, []).append(step.result["seconds"])
        self._bars = _Bars(self, console)
        self._total = self._bars.add_task("", total=len(steps), what="")
        self._tasks: Dict[str, TaskID] = {}

    def __enter__(self) -> "SuiteProgress":
        if not self._bars.disable:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not self._bars.disable:
            self._bars.stop()

    def say(self, message: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {message}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, step: Step[Any]) -> None:
        """Reports a change of a step's state."""
        log = log_of(step.name, self._directory)
        if step.state == "running":
            self._started[step.name] = time.monotonic()
            self._tasks[step.name] = self._bars.add_task(step.name, total=None, what="")
            self.say(f"{step.name}: started (its log is {log})")
            return
        if step.name in self._tasks:
            self._bars.remove_task(self._tasks.pop(step.name))
            seconds = time.monotonic() - self._started.pop(step.name)
        if step.state == "failed":
            self.say(f"{step.name}: failed. The last lines of {log}:\n{step.error}")
        elif step.state == "done":
            self._durations.setdefault(step.like, []).append(seconds)
            scores = step.result.get("scores", {})
            figures = [f"{language} {score:.2f}" for language, score in scores.items()]
            self.say(
                f"{step.name}: {', '.join([f'done in {duration(seconds)}', *figures])} "
                f"({self._count('done')} of {len(self._steps)} done{self._time_left()})"
            )

    def look(self) -> None:
        """Updates the bars."""
        states = [f"{n} {state}" for state in _STATES if (n := self._count(state))]
        self._bars.update(
            self._total,
            description=", ".join(states) + self._time_left(),
            completed=self._count("done"),
        )
        for step in self._steps:
            task = self._tasks.get(step.name)
            if task is not None:
                completed, total, what = _progress_of(step)
                # This is another thread, so the step may have ended just now.
                with suppress(KeyError):
                    self._bars.update(task, completed=completed, total=total, what=what)

    def _count(self, state: str) -> int:
        return sum(step.state == state for step in self._steps)

    def _time_left(self) -> str:
        """Estimated from the runs that are done."""
        left = 0.0
        for step in self._steps:
            if isinstance(step.job, TrainJob) and step.state in ("waiting", "running"):
                estimate = self._estimate(step.like)
                if estimate is None:
                    return ""
                started = self._started.get(step.name)
                elapsed = 0.0 if started is None else time.monotonic() - started
                left += max(0.0, estimate - elapsed)
        return f"; about {duration(left / self._slots)} left" if left else ""

    def _estimate(self, like: str) -> Optional[float]:
        if like in self._durations:
            return fmean(self._durations[like])
        kind = like.partition("/")[0]
        others = [x for key, own in self._durations.items() if key.startswith(kind) for x in own]
        return fmean(others) if others else None


class _Bars(Progress):
    """Shown in a terminal only. Updates itself whenever it is drawn."""

    def __init__(self, progress: SuiteProgress, console: Console) -> None:
        self._progress = progress
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=2,
            disable=not console.is_interactive,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.tasks:
            self._progress.look()
        return super().get_renderables()


def _progress_of(step: Step[Any]) -> Tuple[int, Optional[int], str]:
    """The number of epochs done, their total, and what the job is doing."""
    if not isinstance(step.job, TrainJob):
        return 0, None, "scoring the training data"
    directory = Path(step.job.directory)
    epochs = len(read_record(directory))
    total = step.job.config["trainer"].get("num_epochs")
    if (directory / "metrics.json").exists():
        return epochs, epochs, "evaluating"
    return epochs, total, f"epoch {epochs} of {total or '?'} done"
