"""Automatic mixed precision where there is no GPU."""

import pytest
import torch
from allennlp.commands.train import TrainModel
from allennlp.common import Params


@pytest.mark.parametrize("supported", [True, False])
def test_amp_on_a_cpu(tmp_path, monkeypatch, caplog, supported):
    """
    In bfloat16, but for the characters of words shorter than a filter, which it would spoil; and in
    float32 where the CPU has no instructions for it.
    """
    monkeypatch.setattr("structkd_allennlp.training.trainer.cpu_has_bfloat16", lambda: supported)
    params = Params.from_file(
        "training_configs/baseline.jsonnet",
        {
            "trainer.use_amp": True,
            "trainer.cuda_device": -1,
            "trainer.num_epochs": 2,
            "model.text_field_embedder.token_embedders.token_characters.encoder"
            ".ngram_filter_sizes": [7],
            "dataset_reader.reader.token_indexers.token_characters.min_padding_length": 7,
        },
    )
    training = TrainModel.from_params(
        params=params, serialization_dir=str(tmp_path), local_rank=0, batch_weight_key=""
    )
    tagger = training.model
    types = []
    tagger.tag_projection_layer.register_forward_hook(lambda *x: types.append(x[-1].dtype))
    embedder = tagger.text_field_embedder
    features = []
    embedder.register_forward_hook(lambda *x: features.append(x[-1].abs().max().item()))
    metrics = training.run()
    assert set(types) == {torch.bfloat16 if supported else torch.float32}
    assert ("no instructions for bfloat16" in caplog.text) == (not supported)
    assert max(features) < 100
    assert metrics["training_loss"] < 100
    assert all(x.dtype == torch.float32 for x in tagger.parameters())
