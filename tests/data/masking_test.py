import pytest
import torch
from allennlp.data.data_loaders.data_collator import DataCollator
from allennlp.data.fields import TransformerTextField
from allennlp.data.instance import Instance

from structkd_allennlp.data.masking import MaskingDataCollator
from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer

TOKENIZER = "fixtures/tiny_mbert"


@pytest.fixture
def instances():
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    texts = ["The house . " * 40, "She said so . " * 20]
    return [
        Instance({"tokens": TransformerTextField(tokenizer.encode(x), padding_token_id=0)})
        for x in texts
    ]


def ids_of(instances):
    batch = DataCollator.by_name("allennlp")()(instances)
    return batch["tokens"]["input_ids"]


def test_masks_as_bert_does(instances):
    """Of ordinary sub-words alone, and 80, 10 and 10 of a hundred in its three ways."""
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    special = torch.tensor(tokenizer.all_special_ids)
    ids = ids_of(instances)
    ordinary = ~torch.isin(ids, special)
    collator = MaskingDataCollator(TOKENIZER)
    torch.manual_seed(1)
    chosen = masked = kept = total = 0
    for _ in range(100):
        tokens = collator(instances)["tokens"]
        predicted = tokens["labels"] != -100
        assert not (predicted & ~ordinary).any()
        assert (tokens["labels"][predicted] == ids[predicted]).all()
        assert (tokens["input_ids"][~predicted] == ids[~predicted]).all()
        total += int(ordinary.sum())
        chosen += int(predicted.sum())
        masked += int((tokens["input_ids"][predicted] == tokenizer.mask_token_id).sum())
        kept += int((tokens["input_ids"][predicted] == ids[predicted]).sum())
    assert chosen / total == pytest.approx(0.15, abs=0.01)
    assert masked / chosen == pytest.approx(0.8, abs=0.03)
    assert kept / chosen == pytest.approx(0.1, abs=0.03)


def test_with_a_seed_always_the_same_and_no_chance_used_up(instances):
    collator = MaskingDataCollator(TOKENIZER, seed=7)
    before = torch.get_rng_state()
    first, again = collator(instances)["tokens"], collator(instances)["tokens"]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first["labels"], again["labels"])
    assert torch.equal(first["input_ids"], again["input_ids"])
    other = MaskingDataCollator(TOKENIZER, seed=8)(instances)["tokens"]
    assert not torch.equal(first["labels"], other["labels"])
