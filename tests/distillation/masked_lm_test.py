import math

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer
from structkd_allennlp.distillation.masked_lm import (
    HiddenStateLoss,
    MaskedLanguageModelTeacher,
    soft_target_cross_entropy,
)
from structkd_allennlp.modules.masked_lm import masked_lm_from_config

TOKENIZER = "fixtures/tiny_mbert"


def softmax(logits):
    powers = [math.exp(x) for x in logits]
    return [x / sum(powers) for x in powers]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_soft_targets_by_hand(temperature):
    torch.manual_seed(1)
    teacher, student = torch.randn(3, 5), torch.randn(3, 5)
    expected = []
    for t, s in zip(teacher.tolist(), student.tolist(), strict=True):
        p_t = softmax([x / temperature for x in t])
        p_s = softmax([x / temperature for x in s])
        expected.append(
            temperature**2 * -sum(p * math.log(q) for p, q in zip(p_t, p_s, strict=True))
        )
    found = soft_target_cross_entropy(teacher, student, temperature)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_soft_targets_are_matched_at_the_teacher():
    teacher = torch.randn(4, 6, dtype=torch.double)
    student = teacher.clone().requires_grad_()
    soft_target_cross_entropy(teacher, student, 2.0).sum().backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(teacher))


def test_hidden_states_by_hand():
    torch.manual_seed(1)
    loss = HiddenStateLoss({"0": 0, "2": 3}, student_size=2, teacher_size=3)
    student, teacher = (
        [torch.randn(2, 4, 2) for _ in range(3)],
        [torch.randn(2, 4, 3) for _ in range(4)],
    )
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    weight, bias = loss.projection.weight.tolist(), loss.projection.bias.tolist()
    errors = []
    for own, its in ((0, 0), (2, 3)):
        for row, token in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)):
            state = student[own][row, token].tolist()
            for unit in range(3):
                projected = bias[unit] + sum(
                    w * x for w, x in zip(weight[unit], state, strict=True)
                )
                errors.append((projected - teacher[its][row, token, unit].item()) ** 2)
    torch.testing.assert_close(
        loss(teacher, student, mask), torch.tensor(sum(errors) / len(errors))
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers": {}}, '"layers" of hidden states is empty'),
        ({"layers": {"last": 1}}, "'last'.*Number layers from 0"),
        ({"layers": {"0": 0}, "weight": -1.0}, "is negative"),
    ],
)
def test_hidden_states_that_are_refused(params, message):
    with pytest.raises(ConfigurationError, match=message):
        HiddenStateLoss.from_params(Params(params), student_size=2, teacher_size=2)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A masked language model with random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    config = {"model_type": "bert", "hidden_size": 16, "num_attention_heads": 2}
    config = {**config, "num_hidden_layers": 2, "intermediate_size": 32}
    masked_lm_from_config(config, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_teacher_is_frozen_and_loaded_once(directory):
    teacher = MaskedLanguageModelTeacher(str(directory))
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    model = teacher.load(tokenizer, None, torch.device("cpu"))
    assert not model.training
    assert not any(x.requires_grad for x in model.parameters())
    assert teacher.load(tokenizer, None, torch.device("cpu")) is model


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ({"layers": {"0": 3}, "teacher_size": 16}, r"has no layer 3, only 0 \(embeddings\) to 2"),
        ({"layers": {"0": 0}, "teacher_size": 8}, 'have 16 units, not "teacher_size": 8'),
    ],
)
def test_a_teacher_without_those_layers(directory, hidden, message):
    loss = HiddenStateLoss(student_size=4, **hidden)
    with pytest.raises(ConfigurationError, match=message):
        MaskedLanguageModelTeacher(str(directory)).load(
            masked_lm_tokenizer(TOKENIZER), loss, torch.device("cpu")
        )


def test_a_teacher_with_other_sub_words(directory, tmp_path):
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    (tmp_path / "vocab.txt").write_text("\n".join(pieces[:-1]) + "\nother\n", encoding="utf-8")
    other = type(tokenizer)(str(tmp_path / "vocab.txt"), do_lower_case=False)
    with pytest.raises(ConfigurationError, match="has other sub-words than the student"):
        MaskedLanguageModelTeacher(str(directory)).load(other, None, torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/at/all", "no tokenizer can be loaded"),
        # An encoder, whose head would be random.
        (TOKENIZER, "not a whole masked language model"),
    ],
)
def test_what_is_no_teacher(name, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigurationError, match=message):
        MaskedLanguageModelTeacher(name).load(
            masked_lm_tokenizer(TOKENIZER), None, torch.device("cpu")
        )
