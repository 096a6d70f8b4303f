from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structkd_allennlp.modules.linear_chain.distribution import (
        KBest,
        LinearChain,
        StructuredDistribution,
    )

__all__ = ["KBest", "LinearChain", "StructuredDistribution"]


def __getattr__(name: str) -> Any:
    """Only when it is asked for, since what serves a tagger uses the folder without PyTorch."""
    if name in __all__:
        return getattr(import_module("structkd_allennlp.modules.linear_chain.distribution"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
