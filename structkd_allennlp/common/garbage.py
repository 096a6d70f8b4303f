"""How often a process looks for garbage in cycles."""

import gc

_OBJECTS = 100_000


def collect_seldom() -> None:
    """
    For a process of ours that makes many objects and hardly a cycle, as tagging does: to look for
    cycles as often as Python does by default takes a seventh of its time. What cycles there are
    still goes, some megabytes of them at a time.
    """
    gc.set_threshold(_OBJECTS)
