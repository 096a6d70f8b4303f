"""The files that the runs of a suite leave."""

from pathlib import Path
from typing import Any, Dict, Optional

from structkd_allennlp.common.files import read_json

RUN_NAME, COUNTS_NAME = "run.json", "counts.json"


def finished_run(directory: Path) -> Optional[Dict[str, Any]]:
    """What a finished run has left."""
    try:
        run = read_json(directory / RUN_NAME)
    except (OSError, ValueError):
        return None
    # One of these may have been deleted to save space, or to have it made again.
    files = (directory / name for name in ("model.tar.gz", COUNTS_NAME))
    return run if all(file.exists() for file in files) else None
