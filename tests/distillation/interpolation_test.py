import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.distillation.interpolation import InterpolationSchedule


def schedule(**params):
    return InterpolationSchedule.from_params(Params(params))


def test_constant():
    constant = schedule(type="constant", value=0.3)
    assert [constant(x) for x in (0, 1.5, 100)] == [0.3, 0.3, 0.3]
    assert not constant.needs_position


def test_linear():
    linear = schedule(type="linear", epochs=10)
    assert linear.needs_position
    assert [linear(x) for x in (0, 2.5, 10, 11)] == [1.0, 0.75, 0.0, 0.0]
    partial = schedule(type="linear", epochs=4, start=0.8, end=0.4)
    assert [partial(x) for x in (0, 2, 9)] == pytest.approx([0.8, 0.6, 0.4])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"type": "constant", "value": 1.5}, "value must be between 0 and 1, not 1.5"),
        ({"type": "linear", "epochs": 0}, "epochs must be above 0"),
        ({"type": "linear", "epochs": 2, "end": -1}, "end must be between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(params, message):
    with pytest.raises(ConfigurationError, match=message):
        schedule(**params)
