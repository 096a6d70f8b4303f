"""Distributed training: whether its metrics are those of one process that sees every sentence."""

import json
import tempfile
from pathlib import Path
from typing import Any, Dict

from faults.kills import run
from structkd_allennlp.data.dataset_readers.conll import ConllReader

CONFIG = "training_configs/posterior_kd.jsonnet"


def distributed_training(
    workers: int,
    store: bool = False,
    unlabelled: bool = False,
    batch_size: int = 8,
    objective: str = "posterior",
) -> Dict[str, float]:
    """
    Two epochs by several workers, and by one, on the fixtures. The learning rate is 0 and there is
    no dropout, so that both have the same weights throughout.

    # Parameters

    workers : `int`
    store : `bool`
        Whether the teachers' scores are kept in a target store, which all workers fill.
    unlabelled : `bool`
        Whether there is text without labels.
    batch_size : `int`
        With 1, a batch is either labelled or not.
    objective : `str`

    # Returns

    `Dict[str, float]`
        By metric, the difference between both. It is 0 for all that counts sentences, tokens or
        entities in validation and test. AllenNLP's losses are means over batches, which are others;
        and in training it ends an epoch with the first worker that has no batch left.
    """
    with tempfile.TemporaryDirectory() as folder:
        overrides = {
            "trainer.num_epochs": 2,
            "trainer.optimizer.lr": 0.0,
            "model.student.dropout": 0.0,
            "model.objective": {"type": objective},
            "model.interpolation": {"type": "constant", "value": 0.5},
            "data_loader.batch_size": batch_size,
            "validation_data_loader.batch_size": 4,
            "test_data_path": "fixtures/conll/{language}/test.txt",
            "evaluate_on_test": True,
        }
        if unlabelled:
            text = _text(folder)
            paths = ["fixtures/conll/{language}/train.txt", {"unlabelled": {"en": text}}]
            overrides["train_data_path"] = paths
        found = []
        for devices in (None, [-1] * workers):
            own: Dict[str, Any] = {**overrides}
            directory = Path(folder, f"{len(devices or [])}")
            if devices:
                own["distributed"] = {"cuda_devices": devices}
            if store:
                own["model.target_store"] = {"directory": f"{directory}.targets"}
            run(CONFIG, own, directory)
            found.append(json.loads((directory / "metrics.json").read_text()))
    alone, together = found
    names = [n for n in alone if n.startswith(("training_", "best_validation_", "test_"))]
    return {
        name: together[name] - alone[name]
        for name in names
        if not name.endswith(("_duration", "_MB"))
    }


def _text(folder: str) -> str:
    """The sentences of a file, without their labels."""
    path = Path(folder, "text.txt")
    sentences = ConllReader().sentences("fixtures/conll/en/test.txt")
    text = [" ".join(sentence.words) for sentence in sentences]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return str(path)
