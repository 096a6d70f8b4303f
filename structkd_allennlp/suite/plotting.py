"""
What all plots of a report have in common: colours, figures of one size of type, seeds as points.

matplotlib is imported where it is needed, as `--include-package` imports this module too.
"""

import re
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, NamedTuple

from structkd_allennlp.suite import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow, which is
# too pale for a line on white, and its black, which is the baseline's.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
MARKERS = ["o", "^", "s", "v", "P", "X"]
LINES = ["-", "--", ":", "-."]
# See `svg.ON_DARK`.
INK = "#000000"
GREY = "#666666"

SETTINGS = {
    # Text stays text: small, selectable, and in a font that every system has one of.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "grid.color": "#dddddd",
    "legend.frameon": False,
    # Names are the user's, and a "$" in them is no formula.
    "text.parse_math": False,
}

Style = Dict[str, Any]
"""A system's colour, marker and line, the same in every plot."""


class Plot(NamedTuple):
    title: str
    caption: str
    panels: List[str]
    """SVG elements."""

    @property
    def name(self) -> str:
        """Of its file, without an ending."""
        return re.sub(r"\W+", "-", self.title.lower())

    def image(self) -> str:
        """All panels as an SVG file."""
        return svg.image(self.panels, columns=3 if len(self.panels) > 4 else 2)


def plot_of(title: str, caption: str, figures: "Mapping[str, Figure]") -> Plot:
    """The keys of the figures are the headings of the panels."""
    panels = [svg.element(f"{title}: {name}", figure) for name, figure in figures.items()]
    return Plot(title, caption, panels)


def figure_of(width: float, height: float) -> "tuple[Figure, Axes]":
    """In inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    return figure, figure.subplots()


def add_legend(figure: "Figure", axes: "Axes") -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def draw_rows(
    axes: "Axes", values: Mapping[str, Iterable[float]], styles: Mapping[str, Style]
) -> None:
    """A line for each name, from top to bottom: a tick for each value, their mean, their number."""
    from matplotlib.ticker import MaxNLocator

    names = []
    for i, (name, own) in enumerate(values.items()):
        own = list(own)
        names.append(f"{name} (n = {len(own)})" if own else name)
        if own:
            _draw(axes, "|", own, [i] * len(own), (sum(own) / len(own), i), styles[name])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def draw_column(axes: "Axes", x: float, values: Iterable[float], style: Style, name: str) -> None:
    """Values as ticks, one above the other, and their mean."""
    own = list(values)
    _draw(axes, "_", [x] * len(own), own, (x, sum(own) / len(own)), style, name)


def _draw(
    axes: "Axes",
    tick: str,
    x: List[float],
    y: List[float],
    mean: "tuple[float, float]",
    style: Style,
    label: str = "_",
) -> None:
    colour = style["color"]
    if len(x) > 1:
        axes.plot(x, y, color=colour, marker=tick, markersize=8, linestyle="none")
    axes.plot(
        *mean,
        color=colour,
        marker=style["marker"],
        markersize=4.5,
        linestyle="none",
        label=label,
    )


def short(number: float) -> str:
    """1500 is 1.5k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"
