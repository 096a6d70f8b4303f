"""How the weight of the distillation loss changes as training goes on."""

from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError


class InterpolationSchedule(Registrable):
    """
    Gives lambda in `lambda * L_distillation + (1 - lambda) * L_nll`.

    A schedule is a pure function of how far training has come, so a run that is recovered from a
    checkpoint has the same lambda at every step as one that was never interrupted.
    """

    default_implementation = "constant"

    needs_position = True
    """Whether lambda depends on the position in training at all."""

    def __call__(self, epochs: float) -> float:
        """
        # Parameters

        epochs : `float`
            How many epochs have passed: 2.5 in the middle of the third.

        # Returns

        `float` : lambda, between 0 and 1.
        """
        raise NotImplementedError


def _check_weight(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ConfigurationError(f"interpolation: {name} must be between 0 and 1, not {value}")
    return value


@InterpolationSchedule.register("constant")
class ConstantInterpolation(InterpolationSchedule):
    """
    The same lambda throughout. Registered as an `InterpolationSchedule` with name "constant".

    # Parameters

    value : `float`, optional (default = `0.5`)
    """

    needs_position = False

    def __init__(self, value: float = 0.5) -> None:
        self.value = _check_weight("value", value)

    def __call__(self, epochs: float) -> float:
        return self.value


@InterpolationSchedule.register("linear")
class LinearInterpolation(InterpolationSchedule):
    """
    Teacher annealing as in Wang et al. (2020), step by step: lambda is `start` at the first step,
    falls evenly to `end` over `epochs` epochs, and stays there.

    Registered as an `InterpolationSchedule` with name "linear".

    # Parameters

    epochs : `float`
        After how many epochs `end` is reached.
    start : `float`, optional (default = `1.0`)
    end : `float`, optional (default = `0.0`)
    """

    def __init__(self, epochs: float, start: float = 1.0, end: float = 0.0) -> None:
        if epochs <= 0:
            raise ConfigurationError(f"interpolation: epochs must be above 0, not {epochs}")
        self.epochs = epochs
        self.start = _check_weight("start", start)
        self.end = _check_weight("end", end)

    def __call__(self, epochs: float) -> float:
        done = min(epochs / self.epochs, 1.0)
        return self.start + (self.end - self.start) * done
