"""Copying from and into transformers."""

import shutil

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from transformers import (
    AutoTokenizer,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
)

from structkd_allennlp.modules.crf_file import CRF_FILE, StoredCrf, write_crf
from structkd_allennlp.modules.tagger_chain import Potentials
from tests.training.copies import (
    BERT,
    HEAD,
    LABELS,
    TRANSFORMER,
    bilstm,
    changed,
    copied,
    make,
    parameters,
    saved,
    transformer,
    twins,
)


@pytest.mark.parametrize("type_", ["folded_transformer", "pretrained_transformer_mismatched"])
def test_every_second_layer_of_a_teacher(type_, deep, tmp_path):
    _, folder, _, _ = deep
    teacher, config = make(labels=LABELS[::-1], **transformer(str(folder)))
    # A fine-tuned one differs from what it was made of.
    for parameter in teacher.parameters():
        parameter.data += 0.5 if parameter.requires_grad else 0
    archive = saved(tmp_path / "archive", teacher, config)
    shallow = transformer(str(folder), type_, transformer_kwargs={"num_hidden_layers": 2})
    student, _ = make(**shallow, **copied(archive, layers="every_second"))
    own, its = parameters(student), parameters(teacher)
    layers = {int(n[len(TRANSFORMER) :].split(".")[2]) for n in own if ".encoder.layer." in n}
    assert layers == {0, 1}
    for name, values in own.items():
        its_name = name.replace("layer.1.", "layer.3.").replace("layer.0.", "layer.1.")
        if name.startswith(TRANSFORMER):
            assert torch.equal(values, its[its_name]), name
    assert torch.equal(own[HEAD], its[HEAD].flip(0))


def test_a_depth_by_transformer_kwargs_gets_the_first_layers(deep):
    """By Hugging Face itself, and after the whole of it was loaded in the same process."""
    model, folder, _, _ = deep
    for depth in (4, 1, 3):
        params = transformer(str(folder), transformer_kwargs={"num_hidden_layers": depth})
        own = parameters(make(**params)[0])
        assert sum(name.endswith("query.weight") for name in own) == depth
        for name, values in model.named_parameters():
            if TRANSFORMER + name in own:
                assert torch.equal(own[TRANSFORMER + name], values)


@pytest.mark.parametrize("type_", ["folded_transformer", "pretrained_transformer_mismatched"])
def test_random_weights_are_random(type_):
    params = transformer(type_=type_, load_weights=False)
    first, second = (parameters(make(**params)[0]) for _ in range(2))
    query = TRANSFORMER + "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(first[query], second[query])
    pretrained = dict(BertModel.from_pretrained(BERT).named_parameters())
    for name, values in parameters(make(**transformer())[0]).items():
        if name.startswith(TRANSFORMER):
            assert torch.equal(values, pretrained[name[len(TRANSFORMER) :]])


@pytest.mark.parametrize("head", [None, BertForMaskedLM])
def test_a_hugging_face_directory_with_other_sub_words(deep, head, tmp_path):
    model, folder, pieces, own_pieces = deep
    if head is not None:
        masked = head(model.config)
        masked.bert.load_state_dict(model.state_dict(), strict=False)
        masked.save_pretrained(folder)
    student, start = twins(**transformer(), **copied(folder, layers={"last": 2}))
    own, before = parameters(student), parameters(start)
    its = {TRANSFORMER + name: values for name, values in model.named_parameters()}
    words = TRANSFORMER + "embeddings.word_embeddings.weight"
    for i, piece in enumerate(pieces):
        if piece in own_pieces:
            assert torch.equal(own[words][i], its[words][own_pieces.index(piece)])
        else:
            assert torch.equal(own[words][i], before[words][i])
    query = TRANSFORMER + "encoder.layer.{}.attention.self.query.weight"
    for i in range(2):
        assert torch.equal(own[query.format(i)], its[query.format(i + 2)])
    names = changed(student, start)
    assert all(name.startswith(TRANSFORMER) for name in names)
    # A masked language model has no pooler, and what Hugging Face draws for it is not copied.
    assert any("pooler" in name for name in names) == (head is None)


def test_a_token_classifier_gives_its_head(tmp_path):
    torch.manual_seed(4)
    config = BertModel.from_pretrained(BERT).config
    labels = ["B-LOC", "O", "B-ORG", "I-LOC"]
    config.update({"id2label": dict(enumerate(labels)), "num_labels": 4})
    config.label2id = {label: i for i, label in enumerate(labels)}
    model = BertForTokenClassification(config)
    folder = tmp_path / "classifier"
    shutil.copytree(BERT, folder)
    model.save_pretrained(folder)
    # The CRF that `export-transformer` leaves beside it.
    transitions = torch.rand(4, 4)
    transitions[1, 3] = -torch.inf
    potentials = Potentials(transitions, torch.rand(4), torch.rand(4))
    write_crf(folder / CRF_FILE, StoredCrf(labels, "BIO", "first", potentials))
    student, start = twins(**transformer(), **copied(folder))
    own, before = parameters(student), parameters(start)
    for name in (HEAD, HEAD.replace("weight", "bias")):
        its = model.classifier.weight if name == HEAD else model.classifier.bias
        for i, label in enumerate(LABELS):
            known = label in labels
            expected = its[labels.index(label)] if known else before[name][i]
            assert torch.equal(own[name][i], expected), (name, label)
    assert own["crf.end_transitions"][0] == potentials.end[labels.index("O")]
    assert own["crf.end_transitions"][1] == before["crf.end_transitions"][1]
    assert own["crf.transitions"][3, 4] == transitions[0, 3]
    # A score that no weight can have.
    assert own["crf.transitions"][0, 4] == 0
    query = "encoder.layer.1.attention.self.query.weight"
    assert torch.equal(own[TRANSFORMER + query], model.bert.state_dict()[query])


def test_special_tokens_go_by_their_role(deep, tmp_path):
    """`<s>` is to one vocabulary what `[CLS]` is to another."""
    model, folder, _, own = deep
    renamed = tmp_path / "renamed"
    shutil.copytree(folder, renamed)
    text = (renamed / "vocab.txt").read_text(encoding="utf-8").replace("[CLS]", "<s>")
    (renamed / "vocab.txt").write_text(text, encoding="utf-8")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        text = (renamed / name).read_text(encoding="utf-8").replace("[CLS]", "<s>")
        (renamed / name).write_text(text, encoding="utf-8")
    assert AutoTokenizer.from_pretrained(renamed).cls_token == "<s>"
    student, _ = make(**transformer(), **copied(renamed, layers={"first": 2}))
    words = "embeddings.word_embeddings.weight"
    expected = model.get_parameter(words)[own.index("[CLS]")]
    assert torch.equal(parameters(student)[TRANSFORMER + words][2], expected)


def test_a_directory_without_its_tokenizer(deep):
    _, folder, _, _ = deep
    for path in folder.glob("*token*"):
        path.unlink()
    (folder / "vocab.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"deep, which the student .*tokenizer"):
        make(**transformer(), **copied(folder, layers={"first": 2}))


def test_layers_that_do_not_fit():
    with pytest.raises(ConfigurationError, match=r"copying from .*tiny_mbert: .*the student has"):
        make(**bilstm(), **copied(BERT, layers="every_second"))
    one = transformer(transformer_kwargs={"num_hidden_layers": 1})
    with pytest.raises(ConfigurationError, match='say by "layers" which are copied'):
        make(**one, **copied(BERT))
    with pytest.raises(ConfigurationError, match='use "every_second"'):
        make(**one, **copied(BERT, layers="second"))
