"""What each test sentence adds to those figures of probabilities that are tested."""

import io
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Optional

import numpy as np
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import write_bytes
from structkd_allennlp.suite.comparison import Run
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.files import COUNTS_NAME, PROBABILITIES_NAME
from structkd_allennlp.suite.probabilities import TESTED, figures_of, records_of
from structkd_allennlp.training.calibration import calibration_error_of_sums, ratio_of_sums

ALL_PARTS_NAME = "probability_parts.npz"
_RUNS = "runs"

# Of a nat, a token or a sentence, so that a file of them is small.
_UNIT = 0.01

FIGURES: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nll": ratio_of_sums,
    "token_calibration_error": calibration_error_of_sums,
    "token_brier": ratio_of_sums,
}
"""
By name of each of `TESTED`, what it is of sums of parts: see `calibration.Figure`. All are ratios,
so the unit of the parts is of no account.
"""

Parts = Dict[str, Dict[str, np.ndarray]]
"""By name of the figure and language: `(sentences, quantities)`, int32, in hundredths."""


class ProbabilityParts:
    """
    Those of the runs of a suite, each from the record in the directory of the run or, where that is
    gone, all together from one small file: so whoever has that, the figures and the results has all
    the tests. All are rounded to a hundredth, wherever they come from, so that p-values do not
    depend on that.

    # Parameters

    directory : `Path`
        The suite's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._counts = SentenceCounts(directory)
        self._found: Dict[str, Optional[Parts]] = {}

    def of(self, run: Run) -> Optional[Parts]:
        """
        `None` if there are none.

        # Raises

        `ConfigurationError` for a record that cannot be read.
        """
        name = run["directory"]
        if name not in self._found:
            found = self._from_record(run)
            # The file knows nothing of a run that has been evaluated since.
            if found is None and not (self._directory / name / COUNTS_NAME).exists():
                found = self._together.get(name)
            self._found[name] = found
        return self._found[name]

    def keep_together(self, runs: Iterable[Run]) -> None:
        """Writes those of these runs that are there into one file, if any are."""
        found = {run["directory"]: own for run in runs if (own := self.of(run)) is not None}
        if not found:
            return
        arrays: Dict[str, Any] = {_RUNS: np.array(list(found))}
        for figure in FIGURES:
            for language in next(iter(found.values()))[figure]:
                # By quantity and run: what does not depend on the model packs well that way.
                every = np.stack([own[figure][language].T for own in found.values()], axis=1)
                arrays[f"{figure}/{language}"] = every
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        write_bytes(self._directory / ALL_PARTS_NAME, file.getvalue())

    def _from_record(self, run: Run) -> Optional[Parts]:
        records = records_of(self._directory / run["directory"] / PROBABILITIES_NAME)
        if records is None:
            return None
        counts = self._counts.of(run)
        found: Parts = {}
        for language, record in records.items():
            figures = figures_of(record, counts[language])
            for one in TESTED:
                rounded = np.rint(figures[one.name].parts / _UNIT)
                found.setdefault(one.name, {})[language] = rounded.astype(np.int32)
        return found

    @cached_property
    def _together(self) -> Dict[str, Parts]:
        path = self._directory / ALL_PARTS_NAME
        found: Dict[str, Parts] = {}
        try:
            with np.load(path, allow_pickle=False) as arrays:
                runs = arrays[_RUNS].tolist()
                for key in arrays.files:
                    figure, separator, language = key.partition("/")
                    if separator:
                        for run, own in zip(runs, arrays[key].swapaxes(0, 1), strict=True):
                            found.setdefault(run, {}).setdefault(figure, {})[language] = own.T
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigurationError(
                f"{path} cannot be read ({error}): delete it, and run the suite again to make it"
            ) from error
        return found
