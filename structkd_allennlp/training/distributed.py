"""The processes of distributed training."""

from typing import Any, List, TypeVar

import torch.distributed as dist
from allennlp.common.util import is_distributed

T = TypeVar("T")


def of_all_workers(value: T) -> List[T]:
    """The values of all processes, in the order of their ranks. Each has to call this."""
    if not is_distributed():
        return [value]
    gathered: List[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def own_rank() -> int:
    return dist.get_rank() if is_distributed() else 0
