"""
What changes in AllenNLP's own `allennlp evaluate` and `allennlp predict`. Both read all of a file:
the `max_instances` in an archive's configuration is one of its training, and `--overrides` can set
another. `evaluate` ends with a table of all files.
"""

import os
from typing import Any, Dict, Optional, Union

from allennlp.commands import evaluate, predict
from allennlp.models.archival import Archive, load_archive

from structkd_allennlp.common.reading_limits import without_limits
from structkd_allennlp.training.evaluator import one_table


def load_archive_without_limits(
    archive_file: Union[str, os.PathLike],
    cuda_device: int = -1,
    overrides: Union[str, Dict[str, Any]] = "",
    weights_file: Optional[str] = None,
) -> Archive:
    """AllenNLP's `load_archive`, with `without_limits`."""
    overrides = without_limits(archive_file, overrides)
    return load_archive(archive_file, cuda_device, overrides, weights_file)  # type: ignore[arg-type]


# AllenNLP has made its own commands by the time that it imports a plugin, which therefore cannot
# register others by these names.
for command in (evaluate, predict):
    command.load_archive = load_archive_without_limits  # type: ignore[attr-defined]
# One evaluator serves all files of the command, which does not tell it the last.
evaluate.evaluate_from_archive = one_table()(evaluate.evaluate_from_archive)
