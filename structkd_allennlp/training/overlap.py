import logging
from pathlib import Path
from typing import Any, Dict, NamedTuple, Union

from allennlp.models.archival import CONFIG_NAME
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.common.files import read_json
from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader
from structkd_allennlp.data.overlap import check_folds, labelled_digests, repeated

logger = logging.getLogger(__name__)

TRAIN, VALIDATION, TEST = (f"{part}_data_path" for part in ("train", "validation", "test"))


class _Data(NamedTuple):
    reader: Union[TaggingReader, MultilingualReader]
    path: Any


@TrainerCallback.register("overlap_check")
class OverlapCheckCallback(TrainerCallback):
    """
    Before the first step, it looks for sentences of the validation and test data in the training
    data, and warns with their number. It reads the files once more for that, and needs one of our
    dataset readers. Test data that the vocabulary is made from (`datasets_for_vocab_creation`) and
    that is not tested on (`evaluate_on_test`) is not looked at.

    Registered as a `TrainerCallback` with name "overlap_check".

    # Raises

    `ConfigurationError` where the paths of two of these name folds of one file that overlap.
    """

    def on_start(
        self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs: Any
    ) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        if not is_primary:
            return
        data = self._data(trainer)
        check_folds({name: reader.files(path) for name, (reader, path) in data.items()})
        if TRAIN not in data or len(data) == 1:
            return
        train = data.pop(TRAIN)
        known = labelled_digests(train.reader.sentences(train.path))
        for name, (reader, path) in data.items():
            for language, (count, of) in repeated(reader.sentences(path), known).items():
                if count:
                    logger.warning(
                        "%s: %s of the %s sentences in the language %s are in the training data "
                        "too, so the scores on them also tell what the model remembers",
                        name,
                        f"{count:,}",
                        f"{of:,}",
                        language,
                    )

    def _data(self, trainer: GradientDescentTrainer) -> Dict[str, _Data]:
        found = {}
        loaders = {TRAIN: trainer.data_loader, VALIDATION: trainer._validation_data_loader}
        for name, loader in loaders.items():
            reader = getattr(loader, "reader", None)
            if isinstance(reader, (TaggingReader, MultilingualReader)):
                found[name] = _Data(reader, getattr(loader, "data_path"))  # noqa: B009
        path = Path(self.serialization_dir, CONFIG_NAME)
        config = read_json(path) if path.exists() else {}
        if config.get(TEST) is not None and VALIDATION in found and not _for_words_alone(config):
            found[TEST] = _Data(found[VALIDATION].reader, config[TEST])
        return found


def _for_words_alone(config: Dict[str, Any]) -> bool:
    """Whether the test data is there for the vocabulary, and nothing is tested on it."""
    for_vocabulary = "test" in (config.get("datasets_for_vocab_creation") or ())
    return for_vocabulary and not config.get("evaluate_on_test", False)
