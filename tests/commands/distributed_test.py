"""Training by several processes, as a user starts them."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.common.util import find_open_port

from structkd_allennlp.common.files import read_json
from tests.commands.user import (
    ROOT,
    allennlp,
    copy_of_what_a_user_has,
    overrides,
)

NODES = "training_configs/distributed/several_nodes.jsonnet"


def test_distributed_training(tmp_path):
    """
    Two nodes, whose workers have different numbers of batches, some of them without labels, and
    take two to a step: metrics cover the sentences of both, in validation and in the test at the
    end, and both nodes have the same model.
    """
    folder = copy_of_what_a_user_has(tmp_path)
    (folder / "text.txt").write_text("Bob saw York\nAda sleeps\n" * 8, encoding="utf-8")
    text = {"unlabelled": {"en": "text.txt", "es": "text.txt"}}
    dev = [
        f"{x}=fixtures/conll/{x}/{y}.txt" for x, y in (("en", "dev"), ("es", "dev"), ("pt", "test"))
    ]
    test = ["nl=fixtures/conll/nl/test.txt"]
    settings = overrides(
        1,
        **{"distributed.primary_port": find_open_port()},
        train_data_path=[*dev[:2], text],
        # A batch either has labels or it has not.
        data_loader={"batch_sampler": {"type": "max_tokens_sampler", "max_tokens": 1}},
        validation_data_path=dev,
        # 45 sentences, 3 batches for one and 2 for the other.
        validation_data_loader={"batch_size": 11},
        test_data_path=test,
        evaluate_on_test=True,
        # It leaves the transitions out, and so makes no gradient of them where there is no label.
        **{"model.objective": {"type": "emission"}},
        **{"model.target_store": {"directory": "targets"}},
        **{"trainer.num_gradient_accumulation_steps": 2},
    )
    variables = {"TASK": "fixtures", "DEVICES": "[-1]", "NODES": "2", "ADDRESS": "127.0.0.1"}

    def node(rank):
        command = ["train", NODES, "-s", f"node{rank}", "--node-rank", rank, *settings]
        return allennlp(folder, *command, **variables)

    with ThreadPoolExecutor() as pool:
        list(pool.map(node, [0, 1]))
    metrics = read_json(folder / "node0" / "metrics.json")
    first, second = (torch.load(folder / f"node{i}" / "best.th") for i in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {"training_lambda", "training_distillation_loss", "training_nll_loss"} <= set(metrics)

    archive = str(folder / "node0" / "model.tar.gz")
    for prefix, paths in (("best_validation", dev), ("test", test)):
        whole = [path.replace("fixtures", str(ROOT / "fixtures")) for path in paths]
        # One process that sees all sentences.
        evaluated = evaluate_from_archive(archive, json.dumps(whole))
        # AllenNLP's mean over batches, which are others.
        evaluated.pop("loss")
        languages = [path[:2] for path in paths]
        names = {f"{name}/{x}" for name in ("accuracy", "f1-measure") for x in languages}
        assert names <= set(evaluated)
        found = {name: metrics[f"{prefix}_{name}"] for name in evaluated}
        assert found == pytest.approx(evaluated)
        assert 0 < metrics[f"{prefix}_accuracy"] < 1
