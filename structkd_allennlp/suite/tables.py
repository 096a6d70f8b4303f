"""What the tables of a suite's report are made of."""

from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional

from structkd_allennlp.suite.comparison import System

NOTHING = "–"
ONE_SEED = "one seed"


class Cell(NamedTuple):
    text: str
    best: bool = False


@dataclass
class Table:
    title: str
    header: List[str]
    rows: List[List[Cell]] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)


def seeds_of(system: System) -> str:
    """Those of its finished runs."""
    seeds = sorted({run["seed"] for run in system.runs if run["seed"] is not None})
    return ", ".join(map(str, seeds)) or NOTHING


def percent(share: float) -> str:
    return f"{share:.0%}"


def p_value(value: Optional[float]) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
