"""`allennlp train-folds`: a model for each fold that has not seen it, and only where needed."""

import json
import shlex
import shutil
from pathlib import Path
from unittest import mock

import pytest
from allennlp.commands import main
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Vocabulary
from allennlp.training import GradientDescentTrainer
from faults.kills import outcome

from structkd_allennlp.commands import train_folds as command
from structkd_allennlp.commands.train_folds import train_folds
from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.distillation.teacher import ArchiveSource, archive_digest

TEACHER = "training_configs/teacher.jsonnet"
KD = "training_configs/posterior_kd.jsonnet"
ENGLISH = "fixtures/conll/en/train.txt"
ONE_EPOCH = {"trainer.num_epochs": 1}


@pytest.fixture
def trained(monkeypatch):
    """The directories in which training goes on, and whether that is a recovery."""
    runs = []
    original = command.train_model

    def recording(params, directory, recover=False, **kwargs):
        runs.append((Path(directory).name, recover))
        return original(params, directory, recover=recover, **kwargs)

    monkeypatch.setattr(command, "train_model", recording)
    return runs


@pytest.fixture(scope="module")
def two_folds(tmp_path_factory):
    """A finished call. Tests that change anything take a copy."""
    folder = tmp_path_factory.mktemp("folds") / "en"
    archives = train_folds(TEACHER, str(folder), 2, ONE_EPOCH)
    assert archives == [str(folder / f"fold{i}" / "model.tar.gz") for i in (1, 2)]
    return folder


@pytest.fixture
def copy(two_folds, tmp_path):
    return Path(shutil.copytree(two_folds, tmp_path / "en"))


def read(params, path=None):
    """The words of the sentences that a configuration trains on."""
    reader = DatasetReader.from_params(Params(params["dataset_reader"]).duplicate())
    instances = reader.read(path or params["train_data_path"])
    return [tuple(instance["metadata"]["words"]) for instance in instances]


def config_of(directory):
    return Params.from_file(directory / "config.json").as_dict(quiet=True)


def test_no_model_has_seen_its_fold(two_folds):
    plain = Params.from_file(TEACHER, ONE_EPOCH).as_dict(quiet=True)
    whole = read(plain, ENGLISH)
    assert len(whole) == 45
    together = []
    for fold in (1, 2):
        directory = two_folds / f"fold{fold}"
        assert (directory / "model.tar.gz").is_file()
        config = config_of(directory)
        seen = read(config)
        assert seen == [words for words in whole if fold_of(words, 2) != fold]
        together += seen
        # Words that only the left out sentences have are unknown to it.
        known = Vocabulary.from_files(str(directory / "vocabulary"))
        names = set(known.get_token_to_index_vocabulary("tokens"))
        seen_words = {word for words in seen for word in words}
        left_out = {word for words in whole if fold_of(words, 2) == fold for word in words}
        assert left_out - seen_words
        assert seen_words <= names
        dev_words = {
            word for words in read(config, config["validation_data_path"]) for word in words
        }
        assert not names & (left_out - seen_words - dev_words)
        # All else is as configured.
        assert config.pop("train_data_path") != plain["train_data_path"]
        assert config == {key: plain[key] for key in plain if key != "train_data_path"}
    assert sorted(together) == sorted(whole)
    digests = {archive_digest(str(two_folds / f"fold{i}" / "model.tar.gz")) for i in (1, 2)}
    assert len(digests) == 2


def test_what_is_finished_is_not_trained_again(two_folds, trained):
    def written():
        # In one process the log of the last run stays open.
        files = (path for path in two_folds.rglob("*") if path.suffix != ".log")
        return {path: path.stat().st_mtime_ns for path in files}

    before = written()
    assert two_folds / "fold2" / "model.tar.gz" in before
    assert len(train_folds(TEACHER, str(two_folds), 2, ONE_EPOCH)) == 2
    assert not trained
    assert written() == before


def test_a_fold_that_is_missing_is_trained(copy, two_folds, trained):
    first = (copy / "fold1" / "model.tar.gz").read_bytes()
    shutil.rmtree(copy / "fold2")
    train_folds(TEACHER, str(copy), 2, ONE_EPOCH)
    assert trained == [("fold2", False)]
    assert (copy / "fold1" / "model.tar.gz").read_bytes() == first
    assert config_of(copy / "fold2") == config_of(two_folds / "fold2")
    # The same seed, so the same model.
    paths = (folder / "fold2" / "metrics.json" for folder in (copy, two_folds))
    mine, theirs = (json.loads(path.read_text()) for path in paths)
    assert mine["training_loss"] == pytest.approx(theirs["training_loss"])


class Killed(Exception):
    pass


# At Ctrl-C AllenNLP makes an archive of the best epoch so far, which is no finished model.
@pytest.mark.parametrize("interruption", [Killed, KeyboardInterrupt])
def test_an_interrupted_fold_is_recovered(tmp_path, trained, monkeypatch, interruption):
    overrides = {"trainer.num_epochs": 3}
    step = GradientDescentTrainer.rescale_gradients
    steps = []

    def counting(self):
        steps.append(Path(self._serialization_dir).name)
        return step(self)

    def dying(self):
        if steps.count("fold2") == 2 * steps_per_epoch:
            raise interruption
        return counting(self)

    sentences = read(Params.from_file(TEACHER).as_dict(quiet=True), f"{ENGLISH}#not-fold=2of2")
    # Batches of 8.
    steps_per_epoch = -(-len(sentences) // 8)
    monkeypatch.setattr(GradientDescentTrainer, "rescale_gradients", dying)
    with pytest.raises(interruption):
        train_folds(TEACHER, str(tmp_path / "en"), 2, overrides)
    assert (tmp_path / "en" / "fold1" / "model.tar.gz").exists()
    fold = tmp_path / "en" / "fold2"
    assert [path.name for path in fold.glob("model_state_*")] == ["model_state_e2_b0.th"]

    steps.clear()
    trained.clear()
    monkeypatch.setattr(GradientDescentTrainer, "rescale_gradients", counting)
    train_folds(TEACHER, str(tmp_path / "en"), 2, overrides)
    assert trained == [("fold2", True)]
    # The third epoch.
    assert steps == ["fold2"] * steps_per_epoch
    assert (fold / "model.tar.gz").exists()


def test_a_fold_whose_files_are_torn(tmp_path, trained):
    """By a kill or a full disk, while its last checkpoint, its archive or its start was written."""
    overrides = {"trainer.num_epochs": 2, "trainer.checkpointer": {"keep_most_recent_by_count": 2}}
    archives = [Path(path) for path in train_folds(TEACHER, str(tmp_path / "en"), 2, overrides)]
    expected = [outcome(archive.parent) for archive in archives]
    for archive, name in zip(archives, ["training_state_e2_b0.th", "config.json"], strict=True):
        archive.write_bytes(archive.read_bytes()[:-20])
        torn = archive.with_name(name)
        torn.write_bytes(torn.read_bytes()[:-20])
    trained.clear()
    train_folds(TEACHER, str(tmp_path / "en"), 2, overrides)
    # Of an unknown configuration, nothing is of use.
    assert trained == [("fold1", True), ("fold2", False)]
    assert [outcome(archive.parent) for archive in archives] == expected


def test_a_fold_that_was_trained_but_not_archived(copy, trained):
    (copy / "fold2" / "model.tar.gz").unlink()
    train_folds(TEACHER, str(copy), 2, ONE_EPOCH)
    assert trained == [("fold2", True)]
    assert (copy / "fold2" / "model.tar.gz").exists()


@pytest.mark.parametrize(
    ("folds", "overrides"),
    [
        (2, {"trainer.num_epochs": 2}),
        (3, ONE_EPOCH),
        (2, {**ONE_EPOCH, "dataset_reader.languages": ["es"]}),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_configuration(copy, trained, folds, overrides, finished):
    if not finished:
        (copy / "fold1" / "model.tar.gz").unlink()
    kept = {path for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError) as error:
        train_folds(TEACHER, str(copy), folds, overrides)
    if finished:
        assert f"{copy / 'fold1'} holds a model of another configuration" in str(error.value)
        assert not trained
    assert {path for path in copy.rglob("*") if path.is_file()} >= kept


@pytest.mark.parametrize("folds", [1, 0, -1])
def test_too_few_folds(tmp_path, folds):
    with pytest.raises(ConfigurationError, match=f"2 folds or more, not {folds}"):
        train_folds(TEACHER, str(tmp_path / "en"), folds)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/{language}.txt", "a/{language}.txt#P"),
        ("a.xml#not-fold=1of10", "a.xml#not-fold=1of10#P"),
        ({"en": "a", "es": "b"}, {"en": "a#P", "es": "b#P"}),
        (["a", "b"], ["a#P", "b#P"]),
        (["a", {"unlabelled": {"en": "b"}}], ["a#P", {"unlabelled": {"en": "b#P"}}]),
        ('{"en": "a"}', '{"en": "a#P"}'),
    ],
)
def test_every_file_of_a_path_is_split(tmp_path, monkeypatch, path, expected):
    """In whatever form the path is configured."""
    paths = []

    def recording(params, directory, recover=False, force=False):
        paths.append(params.as_dict(quiet=True)["train_data_path"])

    monkeypatch.setattr(command, "train_model", recording)
    train_folds(TEACHER, str(tmp_path / "en"), 3, {"train_data_path": path})
    assert paths == [
        json.loads(json.dumps(expected).replace("#P", f"#not-fold={i}of3")) for i in (1, 2, 3)
    ]


def test_the_printed_teachers_work(tmp_path, two_folds, capsys, monkeypatch):
    """As the command prints them, in a distillation run that takes targets from a store."""
    arguments = ["train-folds", TEACHER, "-s", str(two_folds), "--folds", "2"]
    arguments += ["--overrides", json.dumps(ONE_EPOCH)]
    arguments += shlex.split("--include-package structkd_allennlp")
    with mock.patch("sys.argv", ["allennlp", *arguments]):
        main()
    printed = [line for line in capsys.readouterr().out.splitlines() if '{"folds"' in line]
    own = json.loads(printed[-1][printed[-1].index("{") :])
    assert own == {"folds": [str(two_folds / f"fold{i}" / "model.tar.gz") for i in (1, 2)]}

    scored = {}
    original = ArchiveSource.emissions

    def recording(self, sentences, device):
        scored.setdefault(self.name, []).extend(words for words, _ in sentences)
        return original(self, sentences, device)

    monkeypatch.setattr(ArchiveSource, "emissions", recording)

    def train(name):
        overrides = {
            "trainer.num_epochs": 1,
            "dataset_reader.languages": ["en"],
            "model.teachers": {"en": own},
            "model.target_store": {"directory": str(tmp_path / "targets")},
        }
        train_model(Params.from_file(KD, overrides), str(tmp_path / name))
        return json.loads((tmp_path / name / "metrics.json").read_text())

    metrics = train("first")
    assert metrics["training_distillation_loss"] > 0
    for fold, archive in enumerate(own["folds"], start=1):
        assert scored[archive]
        assert all(fold_of(words, 2) == fold for words in scored[archive])
        assert not {tuple(x) for x in scored[archive]} & set(read(config_of(Path(archive).parent)))
    assert sum(map(len, scored.values())) == len(
        set(read(Params.from_file(TEACHER).as_dict(quiet=True), ENGLISH))
    )
    scored.clear()
    train("second")
    assert not scored
