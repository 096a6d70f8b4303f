"""What a run of a suite leaves: counts by sentence, and how training went."""

import torch

from structkd_allennlp.suite.worker import _has_checkpoint


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
