"""Students that start from a teacher: exactly its weights, wherever they have a counterpart."""

import json
import logging
import re
import shutil
from pathlib import Path

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.models import Model
from allennlp.models.archival import archive_model, load_archive
from faults.kills import compare
from transformers import (
    AutoTokenizer,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
)

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.untrusted_archive import load_untrusted_archive
from structkd_allennlp.modules.crf_file import CRF_FILE, StoredCrf, write_crf
from structkd_allennlp.modules.tagger_chain import Potentials, label_names
from structkd_allennlp.training.initializers import TABLE_NAME
from tests.training.recovery_test import stop_at_step, train

BERT = "fixtures/tiny_mbert"
TEACHER = "fixtures/teachers/en.tar.gz"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORDS = ["Ada", "met", "Bob", "in", "New", "York"]
CHARACTERS = list("AdametBobinNwYrk")
TOKENS = "text_field_embedder.token_embedder_tokens.weight"
LETTERS = "text_field_embedder.token_embedder_token_characters._embedding._module.weight"
TRANSFORMER = "text_field_embedder.token_embedder_tokens._matched_embedder.transformer_model."
HEAD = "tag_projection_layer._module.weight"


def bilstm(size=6, hidden=4, words=5):
    return {
        "text_field_embedder": {
            "token_embedders": {
                "tokens": {"type": "embedding", "embedding_dim": words},
                "token_characters": {
                    "type": "character_encoding",
                    "embedding": {"embedding_dim": 3, "vocab_namespace": "token_characters"},
                    "encoder": {"type": "cnn", "embedding_dim": 3, "num_filters": size - words}
                    | {"ngram_filter_sizes": [2]},
                },
            }
        },
        "encoder": {"type": "lstm", "input_size": size, "hidden_size": hidden}
        | {"bidirectional": True},
    }


def transformer(directory=BERT, type_="pretrained_transformer_mismatched", **kwargs):
    embedder = {"type": type_, "model_name": directory, **kwargs}
    return {
        "text_field_embedder": {"token_embedders": {"tokens": embedder}},
        "encoder": {"type": "pass_through", "input_dim": 32},
    }


def copied(source, **params):
    initializer = {"type": "copied", "source": str(source), **params}
    return {"initializer": {"regexes": [[".*", initializer]]}}


def make(words=WORDS, labels=LABELS, letters=CHARACTERS, type_="structured_crf_tagger", **params):
    """A tagger and its configuration."""
    vocab = Vocabulary()
    for namespace, names in (("tokens", words), ("token_characters", letters), ("labels", labels)):
        for name in names:
            vocab.add_token_to_namespace(name, namespace)
    config = {"type": type_, "include_start_end_transitions": True, **params}
    return Model.from_params(vocab=vocab, params=Params(config).duplicate()), config


def saved(folder, model, config):
    """A model as an archive. Its reader is never used."""
    folder.mkdir()
    config = {"dataset_reader": {"type": "structkd_conll"}, "model": config}
    Params(config).to_file(str(folder / "config.json"))
    model.vocab.save_to_files(str(folder / "vocabulary"))
    torch.save(model.state_dict(), folder / "best.th")
    return archive_model(folder)


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(0)
    model, config = make(**bilstm())
    return model, saved(tmp_path / "teacher", model, config)


def parameters(model):
    return {n: x.detach() for n, x in model.named_parameters() if n != "crf._constraint_mask"}


def changed(student, start):
    own, before = parameters(student), parameters(start)
    return {name for name in own if not torch.equal(own[name], before[name])}


def twins(seed=1, **params):
    """A student that copies, and the same without."""
    initializer = params.pop("initializer")
    models = []
    for extra in ({"initializer": initializer}, {}):
        torch.manual_seed(seed)
        models.append(make(**params, **extra)[0])
    return models


# From taggers


def test_a_student_like_its_teacher_gets_everything(teacher):
    model, archive = teacher
    torch.manual_seed(1)
    student, _ = make(**bilstm(), **copied(archive))
    # To the last parameter.
    assert parameters(student).keys() == parameters(model).keys()
    for name, expected in parameters(model).items():
        assert torch.equal(parameters(student)[name], expected), name
    assert all(x.requires_grad for n, x in student.named_parameters() if "mask" not in n)


def test_tokens_characters_and_labels_go_by_name(teacher):
    model, archive = teacher
    words, letters = ["York", "Lima", "Ada", "new"], list("kryz")
    labels = ["I-LOC", "O", "B-LOC", "B-MISC"]
    student, start = twins(
        words=words, letters=letters, labels=labels, **bilstm(), **copied(archive)
    )
    own, its, before = parameters(student), parameters(model), parameters(start)

    def place(model, name, namespace):
        return model.vocab.get_token_index(name, namespace)

    for name, namespace, tokens, known in (
        (TOKENS, "tokens", words, {"York", "Ada"}),
        (LETTERS, "token_characters", letters, {"k", "r"}),
        (HEAD, "labels", labels, set(LABELS)),
        ("crf.start_transitions", "labels", labels, set(LABELS)),
    ):
        for token in tokens:
            i = place(student, token, namespace)
            if token in known:
                expected = its[name][place(model, token, namespace)]
            else:
                expected = before[name][i]
            assert torch.equal(own[name][i], expected), (name, token)
    # Padding and the unknown word, too.
    assert torch.equal(own[TOKENS][:2], its[TOKENS][:2])
    for i, from_ in enumerate(labels):
        for j, to in enumerate(labels):
            if "B-MISC" in (from_, to):
                expected = before["crf.transitions"][i, j]
            else:
                expected = its["crf.transitions"][LABELS.index(from_), LABELS.index(to)]
            assert own["crf.transitions"][i, j] == expected
    assert changed(student, start) == set(own)


def test_what_does_not_fit_keeps_its_own_start(teacher):
    _, archive = teacher
    student, start = twins(**bilstm(hidden=3), **copied(archive))
    names = changed(student, start)
    assert TOKENS in names
    assert "crf.transitions" in names
    assert not any(name.startswith("encoder") for name in names)
    assert HEAD not in names


def test_a_first_lstm_layer_and_fewer_parts(teacher):
    """A deeper student gets the layers that there are, one without an outer part leaves it."""
    model, archive = teacher
    params = bilstm()
    params["encoder"]["num_layers"] = 2
    params["include_start_end_transitions"] = False
    student, start = twins(**params, **copied(archive))
    names = changed(student, start)
    own, its = parameters(student), parameters(model)
    for name in its:
        if name.startswith("encoder"):
            assert torch.equal(own[name], its[name])
    assert not any("l1" in name for name in names)
    assert "crf.start_transitions" not in own


@pytest.mark.parametrize("kind", ["crf_tagger", "structure_kd", "simple_tagger"])
def test_other_kinds_of_taggers(kind, tmp_path):
    torch.manual_seed(0)
    config = bilstm()
    if kind == "structure_kd":
        config = {
            "student": {"type": "structured_crf_tagger", **config},
            "teachers": "gone.tar.gz",
            "objective": {"type": "posterior"},
            "interpolation": {"type": "constant"},
        }
    if kind == "simple_tagger":
        config["include_start_end_transitions"] = None
    vocab = make(**bilstm())[0].vocab
    config = {"type": kind} | {k: v for k, v in config.items() if v is not None}
    model = Model.from_params(vocab=vocab, params=Params(config).duplicate())
    student, start = twins(**bilstm(), **copied(saved(tmp_path / "a", model, config)))
    its = parameters(getattr(model, "student", model))
    for name, values in parameters(student).items():
        assert torch.equal(values, its.get(name, parameters(start)[name])), name
    assert changed(student, start) == its.keys()


def test_the_teacher_of_the_fixtures(tmp_path):
    """Into a student of its size, with labels in another order and words of its own."""
    archive = load_untrusted_archive(TEACHER)
    config = archive.config.as_dict(quiet=True)["model"]
    its = parameters(archive.model)
    labels = label_names(archive.model)[::-1]
    config |= copied(TEACHER)
    student, _ = make(["London", "Zzz"], labels, list("abc"), config.pop("type"), **config)
    own = parameters(student)
    assert torch.equal(own["crf.transitions"], its["crf.transitions"].flip(0, 1))
    assert torch.equal(own[HEAD], its[HEAD].flip(0))
    assert torch.equal(own["encoder._module.weight_hh_l0"], its["encoder._module.weight_hh_l0"])
    place = archive.model.vocab.get_token_index("London")
    assert place > 1
    assert torch.equal(own[TOKENS][2], its[TOKENS][place])


# From and into transformers


@pytest.fixture
def deep(tmp_path):
    """A directory of a transformer of four layers, with words of its own, and its model."""
    torch.manual_seed(3)
    folder = tmp_path / "deep"
    tokenizer = AutoTokenizer.from_pretrained(BERT)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    # Every other piece, backwards, with the special tokens in other places.
    own = [*pieces[:5], *pieces[:4:-2], "unheard", "of"]
    shutil.copytree(BERT, folder)
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(own) + "\n", encoding="utf-8")
    config = BertModel.from_pretrained(BERT).config
    config.update({"num_hidden_layers": 4, "vocab_size": len(own)})
    model = BertModel(config)
    model.save_pretrained(folder)
    return model, folder, pieces, own


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


# How it is asked for, and what it says


def test_frozen_is_what_was_copied_whole(teacher):
    _, archive = teacher
    student, _ = make([*WORDS, "Lima"], **bilstm(hidden=3), **copied(archive, frozen=True))
    frozen = {n for n, x in student.named_parameters() if not x.requires_grad}
    assert LETTERS in frozen
    assert "crf.transitions" in frozen
    # In part, and not at all.
    assert TOKENS not in frozen
    assert not any(name.startswith("encoder") for name in frozen)


def test_each_part_from_its_own_source(teacher, tmp_path):
    model, archive = teacher
    other, config = make(**bilstm())
    own = saved(tmp_path / "other", other, config)
    regexes = [
        ["crf", {"type": "copied", "source": own, "frozen": True}],
        ["encoder\\._module.*l0$", {"type": "copied", "source": archive}],
        ["tag_projection", {"type": "constant", "val": 2}],
    ]
    initializer = {"regexes": regexes, "prevent_regexes": ["end"]}
    student, start = twins(**bilstm(), initializer=initializer)
    values = parameters(student)
    assert torch.equal(values["crf.transitions"], parameters(other)["crf.transitions"])
    assert (values[HEAD] == 2).all()
    name = "encoder._module.weight_ih_l0"
    assert torch.equal(values[name], parameters(model)[name])
    assert "encoder._module.weight_ih_l0_reverse" not in changed(student, start)
    assert "crf.end_transitions" not in changed(student, start)
    frozen = {n for n, x in student.named_parameters() if not x.requires_grad}
    assert frozen - {"crf._constraint_mask"} == {"crf.transitions", "crf.start_transitions"}


def test_names_of_its_own(teacher):
    model, archive = teacher
    params = bilstm()
    embedders = params["text_field_embedder"]["token_embedders"]
    embedders["words"] = embedders.pop("tokens")
    own = TOKENS.replace("_tokens", "_words")
    student, start = twins(**params, **copied(archive))
    assert own not in changed(student, start)
    overrides = {own: TOKENS}
    student, start = twins(**params, **copied(archive, parameter_name_overrides=overrides))
    assert torch.equal(parameters(student)[own], parameters(model)[TOKENS])
    for wrong, whose in (({own: "x"}, "source"), ({"x": TOKENS}, "student")):
        with pytest.raises(ConfigurationError, match=f"names 'x', which the {whose} does not have"):
            make(**params, **copied(archive, parameter_name_overrides=wrong))


def test_it_draws_no_random_numbers(teacher):
    """So that with the same seed all that is not copied is as in a student that copies nothing."""
    _, archive = teacher
    drawn = []
    for extra in ({}, copied(archive)):
        torch.manual_seed(1)
        make(**bilstm(), **extra)
        drawn.append(torch.rand(1))
    assert drawn[0] == drawn[1]


def test_it_is_listed_once(deep, tmp_path, caplog):
    _, folder, _, _ = deep
    run = tmp_path / "run"
    run.mkdir()
    vocab = make(**bilstm())[0].vocab
    config = {**transformer(), **copied(folder, layers={"1": 3}), "type": "structured_crf_tagger"}
    with caplog.at_level(logging.INFO, "structkd_allennlp.training.initializers"):
        Model.from_params(vocab=vocab, params=Params(config), serialization_dir=str(run))
    (message,) = [record.getMessage() for record in caplog.records if "copied from" in record.msg]
    assert (run / TABLE_NAME).read_text(encoding="utf-8") == message + "\n"
    first, *lines = message.splitlines()
    assert first == f"copied from {folder}:"
    rows = [re.split("  +", line.strip()) for line in lines]
    found = {name: (result, " ".join(rest)) for result, name, *rest in rows}
    assert len(found) == len(lines)
    assert found[TRANSFORMER + "encoder.layer.0.*"] == (
        "copied",
        "<- transformer.encoder.layer.2.* 16 weights",
    )
    assert found[TRANSFORMER + "encoder.layer.1.*"] == (
        "skipped",
        "no layer is mapped to it 16 weights",
    )
    result, note = found[TRANSFORMER + "embeddings.word_embeddings.weight"]
    assert result == "in part"
    assert re.search(r"40\d of 800 sub-words$", note)
    assert found["crf.transitions"] == ("skipped", "the source has none")
    assert {name for name, (result, _) in found.items() if result == "unused"} == {
        f"transformer.encoder.layer.{i}.*" for i in (0, 1, 3)
    }


# What is refused


def test_a_map_that_copies_nothing(teacher):
    _, archive = teacher
    regexes = [["^encoder", {"type": "copied", "source": archive, "frozen": True}]]
    with pytest.raises(ConfigurationError, match=f"nothing is copied from {archive}") as error:
        make(**bilstm(hidden=3), initializer={"regexes": regexes})
    # What was looked for, and what is there.
    assert re.search(r"mismatched  encoder\._module\.weight_hh_l0 +\(12, 3\)", error.value.message)
    assert re.search(r"unused +crf.transitions", error.value.message)
    regexes[0][0] = "no such parameter"
    with pytest.raises(ConfigurationError, match=f"nothing is copied from {archive}"):
        make(**bilstm(), initializer={"regexes": regexes})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("out/none/model.tar.gz", "there is no out/none/model.tar.gz to copy from. Train it first"),
        (
            "out/none/deep",
            "out/none/deep, .* cannot be loaded .*: it must be an archive, or a directory",
        ),
        ("fixtures/conll", "fixtures/conll, .* cannot be loaded .*: it must be"),
        ("README.md", "README.md, which the student is to start from, cannot be loaded"),
    ],
)
def test_sources_that_are_none(source, message):
    with pytest.raises(ConfigurationError, match=message):
        make(**bilstm(), **copied(source))


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


def test_a_tagger_of_another_package(teacher):
    with pytest.raises(ConfigurationError, match="is for a structured_crf_tagger"):
        make(type_="crf_tagger", **bilstm(), **copied(teacher[1]))


def test_a_finished_model_needs_no_source(teacher, tmp_path):
    """AllenNLP leaves out what is called "initializer"."""
    model, archive = teacher
    student, config = make(**bilstm(), **copied(archive))
    finished = saved(tmp_path / "student", student, config)
    Path(archive).unlink()
    assert "copied" in json.dumps(load_archive(finished).config.as_dict(quiet=True))
    loaded = parameters(load_archive(finished).model)
    for name, values in parameters(model).items():
        assert torch.equal(loaded[name], values)


def test_a_run_that_is_recovered(tmp_path):
    """It ends as an undisturbed one does; what was frozen is still the source's."""
    source = tmp_path / "source.tar.gz"
    shutil.copy(TEACHER, source)
    copy = {"type": "copied", "source": str(source)}
    regexes = [["crf", {**copy, "frozen": True}], [".*", copy]]
    settings = {"model.initializer": {"regexes": regexes}}
    whole = train(tmp_path / "whole", **settings)
    stop_at_step(tmp_path / "run", 20, **settings)
    source.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=f"there is no {source} to copy from"):
        train(tmp_path / "run", recover=True, **settings)
    (tmp_path / "elsewhere").rename(source)
    assert compare(train(tmp_path / "run", recover=True, **settings), whole) == "the same"
    source.unlink()
    own, its = (load_archive(x).model for x in (tmp_path / "run" / "model.tar.gz", TEACHER))
    order = torch.tensor([label_names(its).index(label) for label in label_names(own)])
    expected = parameters(its)["crf.transitions"][order][:, order]
    assert torch.equal(parameters(own)["crf.transitions"], expected)
    assert not torch.equal(parameters(own)["crf.transitions"], torch.zeros_like(expected))
    # What was copied and not frozen is trained.
    bias = HEAD.replace("weight", "bias")
    assert not torch.equal(parameters(own)[bias], parameters(its)[bias][order])
