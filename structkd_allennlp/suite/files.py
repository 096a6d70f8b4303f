"""The files that the runs of a suite leave."""

from pathlib import Path
from typing import Any, Dict, Optional

from structkd_allennlp.common.files import read_json

RUN_NAME, COUNTS_NAME = "run.json", "counts.json"
# Not of taggers without a distribution over label sequences, nor of runs from before there was it.
PROBABILITIES_NAME = "probabilities.npz"


def finished_run(directory: Path) -> Optional[Dict[str, Any]]:
    """The record of a finished run, or `None` if it is not finished."""
    try:
        run = read_json(directory / RUN_NAME)
    except (OSError, ValueError):
        return None
    # These may have been deleted, to save space or to have them made again.
    files = (directory / name for name in ("model.tar.gz", COUNTS_NAME))
    return run if all(file.exists() for file in files) else None


def revisions_file(directory: Path) -> Path:
    """
    Where the revisions are that have trained a run: beside its directory, which has to be empty
    for a new training.
    """
    return directory.with_name(f"{directory.name}.revisions.json")
