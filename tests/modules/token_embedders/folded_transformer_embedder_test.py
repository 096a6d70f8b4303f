"""Sentences of any length and any words, through indexer and embedder."""

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, Instance, Token, Vocabulary
from allennlp.data.fields import TextField
from allennlp.data.token_indexers import PretrainedTransformerMismatchedIndexer
from allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder
from transformers import (
    AutoModel,
    AutoTokenizer,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
)

from structkd_allennlp.data.tokenizers.training import train_tokenizer
from structkd_allennlp.registrables import FoldedTransformerEmbedder, FoldedTransformerIndexer

ENCODER = "fixtures/tiny_mbert"
# Zero-width characters and control characters leave no sub-word.
NOTHING = ["\u200b", "\u200b\u200d", "\x07"]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A RoBERTa of 24 positions, of which 22 can be used; its sub-words are those of the BERT."""
    directory = tmp_path_factory.mktemp("roberta")
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(13)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=24,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(directory)
    return str(directory)


def tensors(sentences, indexer):
    fields = [TextField([Token(word) for word in words], {"x": indexer}) for words in sentences]
    batch = Batch([Instance({"tokens": field}) for field in fields])
    batch.index_instances(Vocabulary())
    return batch.as_tensor_dict()["tokens"]["x"]


def embedded(sentences, encoder, **kwargs):
    embedder = FoldedTransformerEmbedder(encoder, **kwargs).eval()
    with torch.no_grad():
        return embedder(**tensors(sentences, FoldedTransformerIndexer(encoder, **kwargs)))


def by_hand(words, encoder, longest):
    """The mean over sub-words, of segments that are run one by one; 0 for a word that has none."""
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder)
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    flat = [piece for word in pieces for piece in word]
    states = []
    for start in range(0, len(flat), longest - 2):
        segment = tokenizer.build_inputs_with_special_tokens(flat[start : start + longest - 2])
        with torch.no_grad():
            output = model.eval()(torch.tensor([segment])).last_hidden_state
        states.append(output[0, 1:-1])
    split = torch.cat(states).split([len(word) for word in pieces])
    return torch.stack([x.mean(0) if len(x) else x.new_zeros(x.shape[1:]) for x in split])


def test_longer_sentences_are_folded_and_no_word_is_lost(roberta):
    long = ["Hello", "unsegmentable", "\u200b", "Wörter", "😀"] * 20
    for encoder, longest in ((ENCODER, 512), (roberta, 22)):
        sentences = [["London", "."], long * (1 + longest // 100), ["\u200b", "überlange"]]
        vectors = embedded(sentences, encoder)
        for words, own in zip(sentences, vectors, strict=True):
            torch.testing.assert_close(
                own[: len(words)], by_hand(words, encoder, longest), rtol=1e-4, atol=1e-5
            )
            assert not own[len(words) :].any()


@pytest.mark.parametrize("beside", [[], [["London"] * 30]])
@pytest.mark.parametrize(
    "words", [NOTHING[:1], NOTHING, ["👩‍👩‍👧‍👦", "🏳️‍🌈", "\ud83d"], ["x" * 5000], ["-" * 5000, "a"]]
)
def test_hostile_words(words, beside, roberta):
    embedder = FoldedTransformerEmbedder(roberta)
    vectors = embedder(**tensors([words, *beside], FoldedTransformerIndexer(roberta)))
    assert vectors.shape[:2] == (1 + len(beside), max(map(len, [words, *beside])))
    assert torch.isfinite(vectors).all()
    vectors.sum().backward()
    gradients = [x.grad for x in embedder.parameters() if x.grad is not None]
    assert gradients
    assert all(torch.isfinite(x).all() for x in gradients)


def test_short_sentences_are_embedded_as_by_the_parent():
    sentences = [["Anna", "Miller", "flew"], ["überlange", "\u200b"]]
    theirs = PretrainedTransformerMismatchedEmbedder(ENCODER)
    ours = FoldedTransformerEmbedder(ENCODER)
    ours.load_state_dict(theirs.state_dict())
    expected = theirs.eval()(**tensors(sentences, PretrainedTransformerMismatchedIndexer(ENCODER)))
    found = ours.eval()(**tensors(sentences, FoldedTransformerIndexer(ENCODER)))
    # In the place of padding theirs has a special token.
    mask = torch.tensor([[True, True, True], [True, True, False]])
    torch.testing.assert_close(found[mask], expected[mask])


def test_a_word_is_one_inside_of_a_text(tmp_path):
    """Where a space before it makes a difference, as in byte-level BPE."""
    words = ["say", "hello", "again"]
    made = train_tokenizer(lambda: [words, ["a", "b"]] * 9, 280, "byte", 1)
    made = RobertaTokenizerFast(tokenizer_object=made.backend_tokenizer, add_prefix_space=False)
    made.save_pretrained(tmp_path)
    RobertaConfig(max_position_embeddings=24).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer(" say")["input_ids"] != tokenizer("say")["input_ids"]
    ids = tensors([words], FoldedTransformerIndexer(str(tmp_path)))["token_ids"]
    assert ids.tolist() == [tokenizer(" say hello again")["input_ids"]]


def test_shorter_segments_and_longer_ones(roberta):
    words = ["Hello", "unsegmentable", "Wörter"]
    found = embedded([words], roberta, max_length=7)
    torch.testing.assert_close(found[0], by_hand(words, roberta, 7))
    for part in (FoldedTransformerIndexer, FoldedTransformerEmbedder):
        with pytest.raises(ConfigurationError, match=r"23, but .* takes 22 sub-words"):
            part(roberta, max_length=23)
        with pytest.raises(ConfigurationError, match="nowhere: no transformer can be loaded"):
            part("./nowhere")


def test_a_frozen_one_is_the_same_in_training():
    batch = tensors([["Anna", "Miller"]], FoldedTransformerIndexer(ENCODER))
    frozen = FoldedTransformerEmbedder(ENCODER, train_parameters=False, last_layer_only=False)
    frozen.train()
    first, second = frozen(**batch), frozen(**batch)
    assert torch.equal(first, second)
    first.sum().backward()
    trained = {name for name, x in frozen.named_parameters() if x.grad is not None}
    assert trained
    assert not any("transformer_model" in name for name in trained)

    fine_tuned = FoldedTransformerEmbedder(ENCODER).train()
    assert not torch.equal(fine_tuned(**batch), fine_tuned(**batch))
