import pytest
import torch
from allennlp.common.checks import ConfigurationError
from transformers import AutoModelForMaskedLM

from structkd_allennlp.common.transformer_config import max_length
from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer
from structkd_allennlp.modules.masked_lm import masked_lm_from_config, run_masked_lm

SIZE = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
TYPES = {
    "bert": SIZE,
    "roformer": SIZE,
    "roberta": SIZE,
    "xlm-roberta": SIZE,
    "electra": {**SIZE, "embedding_size": 8},
    "distilbert": SIZE,
    # Its head uses the weights of its last layer without calling it.
    "mobilebert": {**SIZE, "embedding_size": 8, "intra_bottleneck_size": 16},
}


@pytest.fixture(scope="module")
def tokenizer():
    return masked_lm_tokenizer("fixtures/tiny_mbert")


@pytest.mark.parametrize("model_type", TYPES)
def test_the_head_runs_where_it_is_asked_to(tokenizer, model_type):
    torch.manual_seed(1)
    config = {"model_type": model_type, "max_position_embeddings": 24, **TYPES[model_type]}
    model = masked_lm_from_config(config, tokenizer).eval()
    ids = torch.randint(5, len(tokenizer), (3, 9))
    mask = torch.ones_like(ids).bool()
    mask[1, 5:] = False
    positions = mask & (torch.rand(3, 9) < 0.5)
    expected = model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    logits, states = run_masked_lm(model, ids, mask, positions, hidden_states=True)
    assert logits.shape == (int(positions.sum()), len(tokenizer))
    torch.testing.assert_close(logits, expected.logits[positions])
    assert len(states) == 3
    for state, whole in zip(states, expected.hidden_states, strict=True):
        torch.testing.assert_close(state, whole)
    # The model is as it was.
    assert model(input_ids=ids).logits.shape == (3, 9, len(tokenizer))


@pytest.mark.parametrize("model_type", ["bert", "roformer", "distilbert"])
def test_without_dropout_in_pretraining_its_configuration_still_has_it(
    tokenizer, tmp_path, model_type
):
    ids = torch.randint(5, len(tokenizer), (3, 9))
    own = {"model_type": model_type, "max_position_embeddings": 24, **SIZE}
    for dropout in (True, False):
        model = masked_lm_from_config(own, tokenizer, dropout=dropout).train()
        logits = [model(input_ids=ids).logits for _ in range(2)]
        assert torch.equal(*logits) != dropout
    model.save_pretrained(tmp_path)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path).train()
    assert not torch.equal(*(loaded(input_ids=ids).logits for _ in range(2)))


@pytest.mark.parametrize(("model_type", "longest"), [("bert", 24), ("roberta", 23)])
def test_the_longest_input_runs_and_no_longer_one(tokenizer, model_type, longest):
    config = {"model_type": model_type, "max_position_embeddings": 24, **SIZE}
    model = masked_lm_from_config(config, tokenizer)
    assert max_length(model.config) == longest
    ids = torch.full((1, longest), 7)
    model(input_ids=ids)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 7))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "brt"}, "'brt' is not a type of model"),
        ({}, "None is not a type of model"),
        ({"model_type": "bert", "hiden_size": 8}, "of type 'bert' has no 'hiden_size'"),
        ({"model_type": "gpt2"}, "no masked language model is made of"),
        ({"model_type": "bert", "hidden_size": 10, "num_attention_heads": 4}, "multiple of"),
    ],
)
def test_configurations_that_make_no_model(tokenizer, config, message):
    with pytest.raises(ConfigurationError, match=message):
        masked_lm_from_config(config, tokenizer)
