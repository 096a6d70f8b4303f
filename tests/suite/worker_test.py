"""What a run of a suite leaves: counts by sentence, and how training went."""

import torch

from structkd_allennlp.suite.plan import Entry, TrainJob
from structkd_allennlp.suite.worker import _has_checkpoint, repeated_tests


def test_checkpoints_that_were_being_written(tmp_path):
    assert not _has_checkpoint(tmp_path)
    for kind in ("model", "training"):
        torch.save({"x": torch.zeros(9)}, tmp_path / f"{kind}_state_e2_b0.th")
    assert _has_checkpoint(tmp_path)
    whole = (tmp_path / "model_state_e2_b0.th").read_bytes()
    (tmp_path / "model_state_e3_b0.th").write_bytes(whole)
    (tmp_path / "training_state_e3_b0.th").write_bytes(whole[:-100])
    (tmp_path / "model_state_e4_b0.th").write_bytes(whole)
    assert _has_checkpoint(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "model_state_e2_b0.th",
        "training_state_e2_b0.th",
    }
    (tmp_path / "training_state_e2_b0.th").unlink()
    assert not _has_checkpoint(tmp_path)


def test_how_many_test_sentences_are_in_the_training_data(tmp_path):
    for name, text in {"en": "a O\n\nb O\n", "es": "c O\n", "pt": "a O\n\nd O\n\na O\n"}.items():
        (tmp_path / name).write_text(text)
    paths = {name: str(tmp_path / name) for name in ("en", "es", "pt")}
    reader = {"type": "multilingual", "languages": ["en", "es"], "reader": "structkd_conll"}

    def job(config, *tests):
        entry = Entry("student", "", "", None)
        own = {name: paths[name] for name in tests}
        return TrainJob(entry, "", config, own, "f1-measure", "", [])

    train = {"en": paths["en"], "es": paths["es"]}
    config = {"dataset_reader": reader, "train_data_path": train}
    assert repeated_tests(job(config, "es", "pt")) == {"es": (1, 1), "pt": (2, 3)}
    config = {"dataset_reader": {"type": "structkd_conll"}, "train_data_path": paths["pt"]}
    assert repeated_tests(job(config, "en")) == {"en": (1, 2)}
    config = {"dataset_reader": {"type": "conll2003"}, "train_data_path": paths["pt"]}
    assert repeated_tests(job(config, "en")) == {}
