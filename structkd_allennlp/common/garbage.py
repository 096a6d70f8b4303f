"""How often a process looks for garbage in cycles."""

import gc
from contextlib import contextmanager
from typing import Iterator

_OBJECTS = 100_000


@contextmanager
def few_collections() -> Iterator[None]:
    """
    For work that makes many objects and hardly a cycle, as tagging does: to look for cycles as
    often as Python does by default takes a seventh of its time. What cycles there are still goes,
    some megabytes of them at a time.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
