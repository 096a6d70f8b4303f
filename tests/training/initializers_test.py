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
from allennlp.models import Model
from allennlp.models.archival import load_archive
from faults.kills import compare

from structkd_allennlp.common.untrusted_archive import load_untrusted_archive
from structkd_allennlp.modules.tagger_chain import label_names
from structkd_allennlp.training.initializers import TABLE_NAME
from tests.training.copies import (
    HEAD,
    LABELS,
    LETTERS,
    TEACHER,
    TOKENS,
    TRANSFORMER,
    WORDS,
    bilstm,
    changed,
    copied,
    make,
    parameters,
    saved,
    transformer,
    twins,
)
from tests.training.recovery_test import stop_at_step, train


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
