"""Runs a suite: whatever is not done yet, then the results and the report."""

import logging
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from allennlp.common.checks import ConfigurationError
from filelock import FileLock, Timeout
from rich.console import Console

from structkd_allennlp.common.files import write_json
from structkd_allennlp.suite import environment
from structkd_allennlp.suite.comparison import RESULTS_NAME
from structkd_allennlp.suite.executor import Executor
from structkd_allennlp.suite.jobs import Step, TrainJob
from structkd_allennlp.suite.plan import digest, plan
from structkd_allennlp.suite.progress import SuiteProgress
from structkd_allennlp.suite.report import write_report
from structkd_allennlp.suite.specification import Suite
from structkd_allennlp.suite.summary import repeated_sentences

logger = logging.getLogger(__name__)


def run_suite(
    suite: Suite,
    directory: Path,
    executor: Executor,
    packages: Sequence[str] = (),
    console: Optional[Console] = None,
) -> List[str]:
    """
    Runs whatever of a suite is not done yet, and writes its results and its report. A run that
    fails stops only what depends on it.

    # Parameters

    suite : `Suite`
    directory : `Path`
    executor : `Executor`
        Where the jobs run.
    packages : `Sequence[str]`, optional
        What else the jobs have to import.
    console : `Console`, optional
        Where to show progress.

    # Returns

    `List[str]` : what failed, and what could not run for that reason.

    # Raises

    `ConfigurationError` for a directory that cannot be created, or in which another process is
    running a suite.
    """
    with _lock(directory):
        steps = plan(suite, directory, packages)
        made_with = {
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            **environment.circumstances(),
            "jobs": executor.slots,
        }
        progress = SuiteProgress(steps, directory, executor.slots, console or Console())

        def save() -> None:
            write_json(directory / RESULTS_NAME, _results(suite, steps, made_with))

        def on_event(step: Step[Any]) -> None:
            progress.show(step)
            if step.state != "running":
                save()

        write_json(directory / "suite.json", suite.as_dict())
        save()
        done = sum(step.state == "done" for step in steps)
        progress.say(f"{done} of {len(steps)} done already; {executor.slots} at a time")
        try:
            with progress:
                executor.run(steps, directory, on_event)
        finally:
            save()
            reported = _report(directory)
            if reported:
                progress.say(f"the report is {directory / 'report.html'}")
        for sentence in repeated_sentences([step.result for step in steps if step.result]):
            progress.say(sentence)
        for step in steps:
            if step.state in ("failed", "blocked"):
                progress.say(f"{step.name}: {'failed' if step.state == 'failed' else step.error}")
        lacking = [step.name for step in steps if _is_run(step) and step.state != "done"]
        return lacking if reported else [*lacking, "the report"]


def _lock(directory: Path) -> AbstractContextManager[Any]:
    """Creates the directory, and locks it until the context ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be created ({error.strerror}): choose another directory"
        ) from error
    try:
        return FileLock(str(directory / "suite.lock")).acquire(timeout=0)
    except Timeout as error:
        raise ConfigurationError(
            f"{directory}: another process is running a suite in this directory: wait for it, stop "
            "it, or choose another directory"
        ) from error


def _is_run(step: Step[Any]) -> bool:
    """Whether it trains a model, and so appears in the results."""
    return isinstance(step.job, TrainJob)


def _results(suite: Suite, steps: Sequence[Step[Any]], made_with: Dict[str, Any]) -> Dict[str, Any]:
    summary: Dict[str, Any] = {
        "title": suite.title,
        "description": suite.description,
        "metric": suite.metric,
        "languages": list(suite.test),
        "zero_shot": list(suite.zero_shot),
        "baseline": suite.baseline,
        "rows": [row.name for row in suite.rows],
        "teacher_groups": list(suite.teachers),
        "digest": digest(suite.as_dict()),
    }
    baselines = {row.name: row.baseline for row in suite.rows if row.baseline is not None}
    if baselines:
        summary["baselines"] = baselines
    if suite.contrasts:
        summary["contrasts"] = [asdict(contrast) for contrast in suite.contrasts]
    runs = [_entry(step) for step in steps if _is_run(step)]
    return {"suite": summary, "environment": made_with, "runs": runs}


def _entry(step: Step[TrainJob]) -> Dict[str, Any]:
    status = step.state if step.state in ("done", "failed") else "waiting"
    return {**step.result, **vars(step.job.entry), "status": status, "error": step.error}


def _report(directory: Path) -> bool:
    """Whether it could be written."""
    try:
        write_report(directory)
    except Exception:
        # The results are what matters, and they are written.
        logger.exception("the report could not be written")
        return False
    return True
