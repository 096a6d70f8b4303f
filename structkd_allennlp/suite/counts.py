"""The counts of every test sentence, which tests of significance resample."""

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

import numpy as np
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json, write_bytes
from structkd_allennlp.suite.comparison import Run
from structkd_allennlp.suite.files import COUNTS_NAME

ALL_COUNTS_NAME = "counts.json.gz"


class SentenceCounts:
    """
    Those of the runs of a suite, each in the directory of the run or, where that is gone, all
    together in one small file. So whoever has that file and the results has all the tests.

    # Parameters

    directory : `Path`
        The suite's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, run: Run) -> Dict[str, np.ndarray]:
        """
        By language, `(sentences, 2 or 3)`: the counts that `training.metrics.score` takes.

        # Raises

        `ConfigurationError` if they are missing.
        """
        return _arrays(self._read(run))

    def find(self, run: Run) -> Optional[Dict[str, np.ndarray]]:
        """The same, or `None` if they are missing."""
        try:
            return _arrays(self._read(run))
        except ConfigurationError:
            return None

    def keep_together(self, runs: Iterable[Run]) -> None:
        """Writes those of these runs that are there into one file."""
        runs = [run for run in runs if self.find(run) is not None]
        counts = {run["directory"]: self._read(run) for run in runs}
        text = json.dumps(counts, separators=(",", ":"))
        # Without the time, so that the same counts are the same file.
        write_bytes(self._directory / ALL_COUNTS_NAME, gzip.compress(text.encode("utf-8"), mtime=0))

    def _read(self, run: Run) -> Any:
        path = self._directory / run["directory"] / COUNTS_NAME
        try:
            return read_json(path)
        except (OSError, ValueError) as error:
            if run["directory"] in self._together:
                return self._together[run["directory"]]
            raise ConfigurationError(
                f"{path} cannot be read ({error}): run the suite again to make it"
            ) from error

    @cached_property
    def _together(self) -> Dict[str, Any]:
        try:
            found: Dict[str, Any] = json.loads(
                gzip.decompress((self._directory / ALL_COUNTS_NAME).read_bytes())
            )
        except FileNotFoundError:
            return {}
        return found


def _arrays(counts: Dict[str, Any]) -> Dict[str, np.ndarray]:
    return {language: np.asarray(own) for language, own in counts.items()}
