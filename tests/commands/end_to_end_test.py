"""
The commands as a user types them: train, recover, evaluate and predict, where every file of the
teachers is gone once the student is trained.
"""

import json
import shutil
import signal
import tarfile
from pathlib import Path

import pytest
import torch
from faults.kills import compare, outcome

from structkd_allennlp.common.files import read_json
from structkd_allennlp.training.trainer import read_recoveries
from tests.commands.user import (
    EPOCHS,
    KD,
    PLUGIN,
    ROOT,
    allennlp,
    copy_of_what_a_user_has,
    overrides,
    read_json_lines,
)

# Batches of 8 sentences that the 90 of both languages make.
STEPS = 12

# Kills its own process, as a power cut would, in the step after this one; but not a second time.
INTERRUPTION = """
import os
import signal
from allennlp.training.callbacks import TrainerCallback

@TrainerCallback.register("interruption")
class Interruption(TrainerCallback):
    def on_batch(self, trainer, inputs, outputs, metrics, epoch, step, is_training, **kwargs):
        if is_training and f"{epoch}.{step}" == os.environ.get("INTERRUPT_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `run` holds a finished distillation, and no teacher exists any more."""
    folder = copy_of_what_a_user_has(tmp_path_factory.mktemp("trained"))
    allennlp(folder, "train", KD, "-s", "run", *overrides())
    shutil.rmtree(folder / "fixtures" / "teachers")
    return folder


def epochs_of(run, key):
    return [read_json(run / f"metrics_epoch_{i}.json")[key] for i in range(EPOCHS)]


def test_training(trained):
    run = trained / "run"
    metrics = read_json(run / "metrics.json")
    for language in ("en", "es", "macro"):
        assert metrics[f"best_validation_f1-measure/{language}"] > 0.4
    for name in ("distillation_loss", "nll_loss"):
        assert epochs_of(run, f"training_{name}")[-1] < epochs_of(run, f"training_{name}")[0] / 2
    # Lambda falls from 1 by the same amount at each step.
    middle_of_epoch = (STEPS - 1) / (2 * STEPS)
    assert epochs_of(run, "training_lambda") == pytest.approx(
        [1 - (i + middle_of_epoch) / EPOCHS for i in range(EPOCHS)]
    )


def test_archive(trained, tmp_path):
    """It holds the student and nothing of its teachers."""
    archive = trained / "run" / "model.tar.gz"
    with tarfile.open(archive) as tar:
        names = {name for name in tar.getnames() if not name.startswith("vocabulary")}
        tar.extract("weights.th", tmp_path, filter="data")
    assert names == {"config.json", "meta.json", "weights.th"}
    weights = torch.load(tmp_path / "weights.th")
    assert weights
    assert all(name.startswith("student.") for name in weights)
    # Four bytes a parameter, and as much again for the file format and the rest of the archive.
    assert archive.stat().st_size < 2 * 4 * sum(x.numel() for x in weights.values())
    assert archive.stat().st_size < (ROOT / "fixtures/teachers/en.tar.gz").stat().st_size


def test_evaluate(trained):
    """
    Files of several languages, of one that was not trained on and with labels that were not; each
    way to name a file and its language.
    """
    portuguese = (trained / "fixtures/conll/pt/test.txt").read_text(encoding="utf-8")
    events = portuguese.replace("-LOC\n", "-EVENT\n")
    assert events != portuguese
    (trained / "events").mkdir()
    (trained / "events" / "pt.txt").write_text(events, encoding="utf-8")
    paths = {
        "en": "fixtures/conll/en/test.txt",
        "es": "fixtures/conll/es/test.txt",
        "pt": "fixtures/conll/pt/test.txt",
        "nl": "fixtures/conll/nl/test.txt",
        "pattern": "fixtures/conll/{language}/test.txt",
        "stated": "gl=fixtures/conll/pt/test.txt",
        "events": "events/pt.txt",
    }
    outputs = [f"metrics.{name}.json" for name in paths]
    predictions = [f"predictions.{name}.jsonl" for name in paths]
    allennlp(
        trained,
        "evaluate",
        "run/model.tar.gz",
        ",".join(paths.values()),
        "--output-file",
        ",".join(outputs),
        "--predictions-output-file",
        ",".join(predictions),
    )
    scores = {name: read_json(trained / f"metrics.{name}.json") for name in paths}
    for language in ("en", "es", "pt", "nl"):
        own = scores[language]
        assert {x.partition("/")[2] for x in own} == {"", language, "macro"}
        assert own["accuracy"] == own[f"accuracy/{language}"] == own["accuracy/macro"]
        assert own["f1-measure-overall"] == own[f"f1-measure/{language}"]
        assert own["accuracy"] > 0.4
    for name in ("accuracy", "precision", "recall", "f1-measure"):
        for language in ("en", "es"):
            key = f"{name}/{language}"
            assert scores["pattern"][key] == scores[language][key]
        assert scores["stated"][f"{name}/gl"] == scores["pt"][f"{name}/pt"]
    assert scores["pattern"]["f1-measure/macro"] == pytest.approx(
        (scores["en"]["f1-measure/en"] + scores["es"]["f1-measure/es"]) / 2
    )

    # A label that no training corpus has makes errors of the tagger, and not a crash.
    known = count_correct(read_json_lines(trained / "predictions.pt.jsonl"), portuguese)
    unknown = count_correct(read_json_lines(trained / "predictions.events.jsonl"), events)
    assert unknown < known
    size = len(pairs_of(portuguese))
    assert scores["pt"]["accuracy"] == pytest.approx(known / size)
    assert scores["events"]["accuracy"] == pytest.approx(unknown / size)
    assert scores["events"]["loss"] > 0

    # Predictions come a batch a line.
    for batch in read_json_lines(trained / "predictions.pt.jsonl"):
        assert len(batch["words"]) == len(batch["tags"]) == len(batch["top_k"])
        assert [len(x) for x in batch["words"]] == [len(x) for x in batch["tags"]]


def pairs_of(conll):
    rows = [line.split() for line in conll.splitlines() if line and "-DOCSTART-" not in line]
    return [(row[0], row[-1]) for row in rows]


def count_correct(batches, conll):
    """How many tags of a prediction file are those of a file, whatever the order of sentences."""
    text = "\n".join(line for line in conll.splitlines() if "-DOCSTART-" not in line)
    gold = {}
    for block in text.strip().split("\n\n"):
        words, tags = zip(*pairs_of(block), strict=True)
        gold[words] = tags
    predicted = {
        tuple(words): tags
        for batch in batches
        for words, tags in zip(batch["words"], batch["tags"], strict=True)
    }
    assert set(predicted) == set(gold)
    return sum(p == g for words in gold for p, g in zip(predicted[words], gold[words], strict=True))


FIELDS = {"words", "language", "tags", "tag_probabilities", "entities", "top_k"}


def check(result, labels, text=None, fields=FIELDS, k=1):
    """A prediction has the documented form, and its parts agree with each other."""
    assert set(result) == fields
    words, tags = result["words"], result["tags"]
    assert len(tags) == len(words) == len(result["tag_probabilities"])
    assert set(tags) <= labels
    assert all(0 < p <= 1 + 1e-6 for p in result["tag_probabilities"])

    assert len(result["entities"]) == sum(tag.startswith("B-") for tag in tags)
    for entity in result["entities"]:
        characters = {"start_char", "end_char"} if text is not None else set()
        assert set(entity) == {"text", "label", "start", "end", "probability"} | characters
        start, end, label = entity["start"], entity["end"], entity["label"]
        assert tags[start:end] == [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
        assert tags[end : end + 1] != [f"I-{label}"]
        if text is None:
            assert entity["text"] == " ".join(words[start:end])
        else:
            assert entity["text"] == text[entity["start_char"] : entity["end_char"]]
            assert entity["text"].replace(" ", "") == "".join(words[start:end])
        assert 0 < entity["probability"] <= min(result["tag_probabilities"][start:end]) + 1e-5

    paths = result["top_k"]
    if not words:
        assert paths == []
        return
    # A single word has no more paths than it may have labels: it can not go on an entity.
    assert len(paths) == (k if len(words) > 1 else min(k, 5))
    assert paths[0]["tags"] == tags
    assert len({tuple(path["tags"]) for path in paths}) == len(paths)
    for path in paths:
        assert set(path) == {"tags", "score", "probability"}
        assert len(path["tags"]) == len(words)
        assert path["probability"] > 0
    assert [x["score"] for x in paths] == sorted((x["score"] for x in paths), reverse=True)
    assert sum(x["probability"] for x in paths) <= 1 + 1e-5
    if "marginals" in fields:
        assert len(result["marginals"]) == len(words)
        for i, marginals in enumerate(result["marginals"]):
            assert set(marginals) == labels
            assert sum(marginals.values()) == pytest.approx(1, abs=1e-5)
            assert marginals[tags[i]] == pytest.approx(result["tag_probabilities"][i], abs=1e-6)


@pytest.fixture(scope="module")
def labels(trained):
    """All that the student can say."""
    names = (trained / "run/vocabulary/labels.txt").read_text(encoding="utf-8").split()
    assert {"O", "B-PER", "I-PER"} < set(names)
    return set(names)


def predict(folder, given, *arguments, **kwargs):
    """What `allennlp predict` makes of an input file."""
    path = Path(folder) / "predictions.jsonl"
    path.unlink(missing_ok=True)
    allennlp(
        folder,
        "predict",
        "run/model.tar.gz",
        given,
        "--output-file",
        path,
        "--silent",
        *arguments,
        **kwargs,
    )
    return read_json_lines(path)


def test_predict_json(trained, labels):
    inputs = [
        {"words": ["Maria", "Lopes", "lives", "in", "New York", "."]},
        {"words": ["Maria", "Lopes", "lives", "in", "Madrid", "."], "language": "en"},
        {"sentence": "Maria Lopes lives in Madrid, not in Santa Cruz.", "language": "en"},
        {"sentence": "María  López vive en Madrid \u2028 y trabaja en la ONU.", "language": "es"},
        {"sentence": "Мария живёт в Москве"},
        {"words": []},
        {"sentence": ""},
        {"sentence": "Madrid"},
    ]
    given = trained / "input.jsonl"
    lines = [json.dumps(x, ensure_ascii=False) for x in inputs]
    given.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    results = predict(
        trained,
        given,
        "--predictor",
        "structured_tagger",
        "--predictor-args",
        '{"top_k": 3, "marginals": true, "language": "es"}',
    )
    for one, result in zip(inputs, results, strict=True):
        # An empty sentence has no marginals to list.
        fields = FIELDS | {"marginals"} if result["words"] else set(result)
        check(result, labels, one.get("sentence"), fields, k=3)
        assert result["language"] == one.get("language", "es")
        if "words" in one:
            assert result["words"] == one["words"]
    assert results[2]["words"][4:8] == ["Madrid", ",", "not", "in"]
    assert any(result["entities"] for result in results[:3])
    assert results[3]["entities"]


def test_predict_plain_text_by_the_default_predictor(trained, labels):
    """A sentence a line in any script; of blank lines AllenNLP makes nothing."""
    lines = [
        "Maria Lopes lives in Madrid.",
        "",
        "Мария живёт в Москве.",
        "   ",
        "王小明住在北京。",
        "안녕하세요, 서울입니다",
        "مرحبا من القاهرة",
        "👍🏽 from Madrid 👨‍👩‍👧!",
        "A",
    ]
    given = trained / "input.txt"
    given.write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = predict(trained, given)
    texts = [line for line in lines if line.strip()]
    for text, result in zip(texts, results, strict=True):
        check(result, labels, text)
        assert result["language"] is None
        # Nothing is lost on the way, so every word is found in the text.
        assert "".join(result["words"]) == text.replace(" ", "")
    assert results[0]["entities"]


def test_predict_on_a_labelled_file_inside_the_repository(trained, labels):
    """There .allennlp_plugins names the package, so that the command need not."""
    archive = trained / "run" / "model.tar.gz"
    output = trained / "labelled.jsonl"
    allennlp(
        ROOT,
        "predict",
        archive,
        "fixtures/conll/pt/test.txt",
        "--use-dataset-reader",
        "--output-file",
        output,
        "--silent",
        plugin=(),
    )
    results = read_json_lines(output)
    gold = pairs_of((ROOT / "fixtures/conll/pt/test.txt").read_text(encoding="utf-8"))
    # In the order of the file.
    assert [word for result in results for word in result["words"]] == [word for word, _ in gold]
    for result in results:
        check(result, labels)
        assert result["language"] == "pt"


def test_recover(trained, tmp_path):
    """
    A run that is killed ends as one that never was, whether its last checkpoint is from the end of
    an epoch or from within one.
    """
    folder = copy_of_what_a_user_has(tmp_path)
    run = folder / "run"
    (folder / "interruption.py").write_text(INTERRUPTION, encoding="utf-8")
    callbacks = ["structure_kd", "interruption"]
    checkpointer = {"save_every_num_batches": 5, "keep_most_recent_by_count": 1}
    settings = overrides(**{"trainer.callbacks": callbacks, "trainer.checkpointer": checkpointer})
    command = ["train", KD, "-s", "run", *settings]
    plugin = (*PLUGIN, "--include-package", "interruption")

    def train(*arguments, interrupt_at="", last_checkpoint=""):
        killed = -signal.SIGKILL if interrupt_at else 0
        environment = {"INTERRUPT_AT": interrupt_at}
        allennlp(folder, *command, *arguments, plugin=plugin, exit_status=killed, **environment)
        checkpoints = [x.name for x in run.glob("model_state_*")]
        assert checkpoints == [f"model_state_{last_checkpoint}.th"]

    train(interrupt_at="2.3", last_checkpoint="e2_b0")
    first = read_json(run / "metrics_epoch_0.json")
    train("--recover", interrupt_at="4.7", last_checkpoint="e4_b5")
    train("--recover", last_checkpoint=f"e{EPOCHS}_b0")

    # What was done is not done again.
    assert read_json(run / "metrics_epoch_0.json") == first
    # In the end every weight and every metric is that of the run that was not killed.
    assert compare(outcome(run), outcome(trained / "run")) == "the same"
    assert [(x["epochs"], x["steps"]) for x in read_recoveries(run)] == [(2, 0), (4, 5)]
