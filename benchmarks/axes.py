"""What plots of benchmarks have in common."""

from typing import Any, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, NullFormatter

from structkd_allennlp.suite.plotting import COLOURS, GREY, MARKERS


def line(panel: Axes, points: Sequence[Any], name: str, i: int) -> None:
    panel.loglog(
        [x for x, _ in points],
        [y for _, y in points],
        label=name,
        color=COLOURS[i % len(COLOURS)],
        marker=MARKERS[i % len(MARKERS)],
        markersize=4,
    )


def plain(axis: Axis) -> None:
    """Numbers as they are, at the powers of 10."""
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def slopes(panel: Axes, powers: Sequence[int]) -> None:
    """Dotted lines through the highest point, of what would grow by these powers."""
    left, right = panel.dataLim.x0, panel.dataLim.x1
    bottom, top = panel.dataLim.y0, panel.dataLim.y1
    for power in powers:
        # Not further down than there are points.
        start = max(left, right * (bottom / top) ** (1 / power))
        panel.loglog(
            [start, right],
            [top * (start / right) ** power, top],
            label="slope 1 or 2" if power == 1 else None,
            color=GREY,
            linestyle=":",
        )
