"""
An AllenNLP plugin that distils sequence taggers by the structure of their linear-chain CRFs.

`structkd_allennlp.registrables` imports everything that is registered. This package imports nothing
by itself, so that `structkd_allennlp.modules.linear_chain` loads without AllenNLP.
"""

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_REGISTRABLES = "structkd_allennlp.registrables"

# Plugin files and scripts from before there was `registrables` name only this package.
if "allennlp" in sys.modules:
    import_module(_REGISTRABLES)


def __getattr__(name: str) -> Any:
    """For `from structkd_allennlp import StructureKD` and the like."""
    if not name.startswith("_"):
        registrables = import_module(_REGISTRABLES)
        if name in registrables.__all__:
            return getattr(registrables, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
