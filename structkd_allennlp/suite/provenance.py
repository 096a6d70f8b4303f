"""Where and with what the runs of a suite were made."""

from collections import Counter
from typing import Dict, List

from structkd_allennlp.suite.comparison import Comparison, Run

_NOT_RECORDED = "not recorded"


def provenance(comparison: Comparison) -> Dict[str, List[str]]:
    """By kind, what the runs that are done were made with, and how many with each."""
    runs = [run for system in comparison.systems for run in system.runs]
    kinds = {
        "trained at": [_revision(run) for run in runs],
        "trained on": [_machine(run) for run in runs],
        "trained with": [_software(run) for run in runs],
    }
    return {
        kind: [f"{what} ({n} {'run' if n == 1 else 'runs'})" for what, n in Counter(own).items()]
        for kind, own in kinds.items()
        if own
    }


def revisions(comparison: Comparison) -> List[str]:
    """A sentence where not all runs are known to be of one revision, without changes to it."""
    own = {_revision(run) for system in comparison.systems for run in system.runs}
    known = own - {_NOT_RECORDED}
    if not known or (len(own) == 1 and not any("-dirty" in one for one in known)):
        return []
    made = "; ".join(provenance(comparison)["trained at"])
    return [f"Not all runs are of one revision of the code as it was committed: {made}."]


def _revision(run: Run) -> str:
    if "revisions" not in run:
        return _NOT_RECORDED
    # A recovered run may have gone on at another than it began with.
    return " and then ".join(x or "an unknown revision" for x in run["revisions"])


def _machine(run: Run) -> str:
    made_with = run.get("environment")
    if made_with is None:
        return _NOT_RECORDED
    threads, cores, gpus = (made_with[x] for x in ("threads", "cores", "gpus"))
    of = " and ".join([f"{threads} of {cores} cores", *gpus])
    processor = made_with["processor"]
    if "instructions" in made_with:
        processor += f" ({made_with['instructions']})"
    return f"{of}, {processor}"


def _software(run: Run) -> str:
    made_with = run.get("environment")
    if made_with is None:
        return _NOT_RECORDED
    names = ("python", "torch", "allennlp", "structkd_allennlp")
    return ", ".join(f"{name} {made_with[name]}" for name in names if name in made_with)
