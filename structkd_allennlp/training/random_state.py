"""The generators that training draws its random numbers from."""

import random
from typing import Any, Dict

import numpy as np
import torch

RandomState = Dict[str, Any]
"""The states of Python's generator, NumPy's, torch's, and that of a CUDA device or `None`."""


def random_state(device: torch.device) -> RandomState:
    """In plain values and tensors, so that `torch.load` reads them without executing anything."""
    algorithm, keys, *others = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (algorithm, np.asarray(keys).tolist(), *others),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: RandomState, device: torch.device) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
