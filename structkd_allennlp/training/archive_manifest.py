from pathlib import Path
from typing import Any

from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.common.archive_manifest import write_manifest


@TrainerCallback.register("archive_manifest")
class ArchiveManifestCallback(TrainerCallback):
    """
    Has the archive of this training say what it holds, so that a damaged one is refused when a
    `structured_crf_tagger` or a `structure_kd` is loaded from it. It costs nothing.

    Registered as a `TrainerCallback` with name "archive_manifest".
    """

    def on_start(
        self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs: Any
    ) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        # Configuration and vocabulary are what they will be when training ends.
        if is_primary:
            write_manifest(Path(self.serialization_dir))
