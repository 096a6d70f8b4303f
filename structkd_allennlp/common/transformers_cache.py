"""AllenNLP's cache of transformers."""

from typing import Any, Dict

from allennlp.common import cached_transformers
from transformers import PreTrainedModel

_get = cached_transformers.get
_caches: Dict[str, Dict[Any, PreTrainedModel]] = {}


def get(
    model_name: str, make_copy: bool, *, load_weights: bool = True, **kwargs: Any
) -> PreTrainedModel:
    """
    In place of AllenNLP's function of this name, which takes transformers of one name for the same
    that differ in their configuration, such as a `num_hidden_layers`, or in whether they have their
    weights: whichever comes first stands for all. Random weights are not cached at all, as a second
    model with the same would not be random.
    """
    known = _caches.setdefault(repr(sorted(kwargs.items())), {}) if load_weights else {}
    cached_transformers._model_cache = known
    return _get(model_name, make_copy, load_weights=load_weights, **kwargs)


def have_allennlp_tell_transformers_apart() -> None:
    """From now on AllenNLP's embedders get their transformers by `get` above."""
    cached_transformers.get = get  # type: ignore[assignment]
