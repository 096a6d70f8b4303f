"""The CRF of a tagger as a file beside a Hugging Face token classifier."""

import json
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

import torch
from allennlp.common.checks import ConfigurationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from structkd_allennlp.modules.tagger_chain import Potentials

CRF_FILE = "crf.safetensors"

SUB_TOKEN_MODES = ("first", "avg")

_NAMES = ("transitions", "start_transitions", "end_transitions")


class StoredCrf(NamedTuple):
    """
    What makes a tagger of a token classifier.

    # Parameters

    labels : `List[str]`
        In the order of the classifier's scores.
    label_encoding : `Optional[str]`
    sub_token_mode : `str`
        Whether the scores of a word are those of its `"first"` sub-word or the average (`"avg"`)
        over all of its sub-words.
    potentials : `Potentials`
        float32 on the CPU; minus infinity for what is forbidden.
    """

    labels: List[str]
    label_encoding: Optional[str]
    sub_token_mode: str
    potentials: Potentials


def write_crf(path: Path, crf: StoredCrf) -> None:
    tensors = {
        # Copies, since safetensors refuses tensors that share memory.
        name: tensor.detach().cpu().float().clone(memory_format=torch.contiguous_format)
        for name, tensor in zip(_NAMES, crf.potentials, strict=True)
    }
    metadata = {
        "format": "pt",
        "labels": json.dumps(crf.labels, ensure_ascii=False),
        "sub_token_mode": crf.sub_token_mode,
    }
    if crf.label_encoding is not None:
        metadata["label_encoding"] = crf.label_encoding
    save_file(tensors, path, metadata)


def read_crf(path: Path, labels: Sequence[str]) -> StoredCrf:
    """
    # Parameters

    path : `Path`
    labels : `Sequence[str]`
        Of the classifier that the file lies beside.

    # Raises

    `ConfigurationError` for a file that `write_crf` has not written, or not for this classifier.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            potentials = Potentials(*(file.get_tensor(name) for name in _NAMES))
            own = json.loads(metadata["labels"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is damaged, or is no CRF of a student ({error}): write it again with "
            "`allennlp export-transformer`, or delete it to do without transitions"
        ) from error
    n = len(labels)
    problem = None
    if own != list(labels):
        problem = f"its labels are {own}, and those of the classifier {list(labels)}"
    elif [tuple(x.shape) for x in potentials] != [(n, n), (n,), (n,)]:
        problem = f"it has not {n} labels in all of its tensors"
    elif any(torch.isnan(x).any() or torch.isposinf(x).any() for x in potentials):
        problem = "it has numbers that are NaN or infinite"
    elif metadata.get("sub_token_mode") not in SUB_TOKEN_MODES:
        problem = f"its sub_token_mode is none of {', '.join(SUB_TOKEN_MODES)}"
    if problem is not None:
        raise ConfigurationError(
            f"{path}: {problem}: write both again with `allennlp export-transformer`"
        )
    return StoredCrf(
        own,
        metadata.get("label_encoding"),
        metadata["sub_token_mode"],
        Potentials(*(x.float() for x in potentials)),
    )
