"""Numbers that are infinite or NaN, and the sentences and batches that they come from."""

from typing import Any, Mapping, Optional, Sequence

import torch
from allennlp.models import Model
from torch import Tensor

from structkd_allennlp.data.sentences import Sentence

Metadata = Sequence[Mapping[str, Any]]
"""Of each sentence of a batch, its `words` and its `language`."""


class NotFiniteError(ValueError):
    """What a model computes, or has learnt, is infinite or NaN."""


def check_finite(values: Tensor, what: str, metadata: Optional[Metadata] = None) -> None:
    """
    Raises `NotFiniteError` with the first sentence of which a value is infinite or NaN.

    # Parameters

    values : `Tensor`
        `(batch, ...)`
    what : `str`
        What they are.
    metadata : `Metadata`, optional
    """
    finite = values.detach().isfinite()
    if finite.all():
        return
    bad = (~finite.reshape(len(finite), -1).all(1)).nonzero().squeeze(1).tolist()
    first = bad[0]
    value = values[first][~finite[first]].reshape(-1)[0].item()
    raise NotFiniteError(
        f"{what} of {describe(metadata, first)} is {value}; so it is with {len(bad)} of the "
        f"{len(values)} sentences of the batch"
    )


def describe(metadata: Optional[Metadata], index: int) -> str:
    """A sentence, by its number in the batch, its language and its first words."""
    if metadata is None:
        return f"sentence {index + 1}"
    words, language = Sentence.from_metadata(metadata[index])
    text = " ".join(words[:12])
    dots = " ..." if len(words) > 12 or len(text) > 80 else ""
    return f'sentence {index + 1} ({language or "und"}: "{text[:80]}{dots}")'


def parameter_not_finite(model: Model) -> Optional[str]:
    """The name of the first parameter with a value that is infinite or NaN."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return name
    return None
