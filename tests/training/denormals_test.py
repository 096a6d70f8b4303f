import platform

import pytest
from allennlp.commands.train import train_model
from allennlp.common import Params

from structkd_allennlp.training.denormals import denormals_are_flushed, flushed_denormals


@pytest.mark.skipif(platform.machine() != "x86_64", reason="others may not be able to")
def test_until_the_context_ends():
    assert not denormals_are_flushed()
    with flushed_denormals():
        with flushed_denormals():
            pass
        assert denormals_are_flushed()
    assert not denormals_are_flushed()


def test_an_error_within():
    with pytest.raises(ZeroDivisionError), flushed_denormals():
        raise ZeroDivisionError
    assert not denormals_are_flushed()


def test_training_leaves_the_process_as_it_was(tmp_path):
    overrides = '{"trainer.num_epochs": 1}'
    params = Params.from_file("training_configs/baseline.jsonnet", overrides)
    train_model(params, str(tmp_path / "run"))
    assert not denormals_are_flushed()
