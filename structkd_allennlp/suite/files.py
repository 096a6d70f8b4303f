"""The files that the runs of a suite leave."""

import json
import os
from pathlib import Path
from typing import Any, Dict, Optional

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


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any, indent: Optional[int] = 1) -> None:
    """As `write_text`; makes the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
