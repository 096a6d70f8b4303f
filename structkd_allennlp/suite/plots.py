"""
The plots of a suite's report, as SVG.

matplotlib is imported where it is needed, as `--include-package` imports this module too.
"""

import re
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from allennlp.common import Params

from structkd_allennlp.distillation.objectives import DistillationObjective, TopKObjective
from structkd_allennlp.suite import svg
from structkd_allennlp.suite.comparison import Comparison, Run, Spread, System, mean_of
from structkd_allennlp.suite.contrasts import ContrastStatistics
from structkd_allennlp.suite.probabilities import COVERAGES, Curves
from structkd_allennlp.suite.significance import CONFIDENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow, which is
# too pale for a line on white, and its black, which is the baseline's.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
MARKERS = ["o", "^", "s", "v", "P", "X"]
LINES = ["-", "--", ":", "-."]
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


Style = Dict[str, Any]
"""A system's colour, marker and line, the same in every plot."""


def plots(
    comparison: Comparison,
    contrasts: Sequence[ContrastStatistics] = (),
    curves: Optional[Curves] = None,
) -> List[Plot]:
    """All plots that there are results for."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        return _Plots(comparison, contrasts, curves).all()


class _Plots:
    def __init__(
        self,
        comparison: Comparison,
        contrasts: Sequence[ContrastStatistics] = (),
        curves: Optional[Curves] = None,
    ) -> None:
        self.comparison = comparison
        self.tested = contrasts
        self.curves = curves or {}
        self.others = [row for row in comparison.rows if row is not comparison.baseline]
        self.styles: Dict[str, Style] = {
            comparison.baseline.name: {"color": "black", "marker": "D", "linestyle": "-"}
        }
        for i, row in enumerate(self.others):
            turn, colour = divmod(i, len(COLOURS))
            self.styles[row.name] = {
                "color": COLOURS[colour],
                "marker": MARKERS[turn % len(MARKERS)],
                "linestyle": LINES[turn % len(LINES)],
            }
        for i, group in enumerate(comparison.teachers.values()):
            marker = MARKERS[::-1][i % len(MARKERS)]
            self.styles[group.name] = {"color": GREY, "marker": marker, "linestyle": "-"}

    def all(self) -> List[Plot]:
        made = [
            self.contrasts(),
            self.scores(),
            *([] if self.comparison.has_contrasts else [self.gains()]),
            self.k_analysis(),
            self.selective(),
            self.learning_curves(),
            self.against(
                "Score against model size",
                "Parameters of one model, and its score on average over the languages. Each group "
                "of teachers needs a model for every language.",
                "parameters",
                lambda run: run["parameters"],
            ),
            self.against(
                "Score against training time",
                "Training time of one run, without that of its teachers, and the score on average "
                "over the languages.",
                "minutes",
                lambda run: run["seconds"] / 60,
            ),
        ]
        return [plot for plot in made if plot.panels]

    def scores(self) -> Plot:
        figures: Dict[str, Figure] = {}
        for column in self.comparison.columns:
            spreads = {s.name: s.spread(column) for s in self.comparison.systems}
            if any(spreads.values()):
                figure, axes = _figure(4.2, 0.75 + 0.22 * len(spreads))
                self._dots(axes, spreads, [self.styles[name] for name in spreads])
                axes.set(title=column.title, xlabel=self.comparison.metric)
                figures[column.title] = figure
        return _plot(
            "Score by method and language",
            "Mean and standard deviation over seeds, in percent. Each panel has its own scale.",
            figures,
        )

    def contrasts(self) -> Plot:
        figures: Dict[str, Figure] = {}
        for title, tests in (
            ("trained languages", {x["name"]: x["languages"] for x in self.tested}),
            ("zero-shot languages", {x["name"]: x["zero_shot"] for x in self.tested}),
        ):
            found = {name: test for name, test in tests.items() if test is not None}
            if not found:
                continue
            figure, axes = _figure(5.2, 0.75 + 0.26 * len(found))
            axes.axvline(0, color="black", linewidth=1)
            for i, test in enumerate(found.values()):
                if test["low"] is not None and test["high"] is not None:
                    axes.plot([test["low"], test["high"]], [i, i], color=GREY, linewidth=1.5)
                seeds = list(test["by_seed"].values())
                axes.plot(seeds, [i] * len(seeds), color=COLOURS[0], marker="o", linestyle="none")
            names = [f"{name} (n = {len(test['by_seed'])})" for name, test in found.items()]
            axes.set_yticks(range(len(found)), names)
            axes.set_ylim(len(found) - 0.5, -0.5)
            axes.set(title=title, xlabel=f"{self.comparison.metric}: points of difference")
            figures[title] = figure
        return _plot(
            "Contrasts",
            f"Each seed is a point, n their number. The line is the {CONFIDENCE:.0%} interval over "
            "seeds and sentences, not corrected for the number of contrasts.",
            figures,
        )

    def gains(self) -> Plot:
        gains = {
            row.name: {
                column.title: Spread.over(self.comparison.gains(row, column).values())
                for column in self.comparison.columns
            }
            for row in self.others
        }
        ends = [
            spread.mean + sign * (spread.deviation or 0)
            for by_column in gains.values()
            for spread in by_column.values()
            if spread
            for sign in (-1, 1)
        ]
        figures: Dict[str, Figure] = {}
        for name, spreads in gains.items():
            if any(spreads.values()):
                figure, axes = _figure(4.2, 0.75 + 0.22 * len(spreads))
                axes.set_xlim(*_with_margin(min(0, *ends), max(0, *ends)))
                axes.axvline(0, color="black", linewidth=1)
                self._dots(axes, spreads, [self.styles[name]] * len(spreads))
                averages = (self.comparison.average, self.comparison.zero_shot_average)
                for label in axes.get_yticklabels():
                    if label.get_text() in [column.title for column in averages]:
                        label.set_fontweight("bold")
                axes.set(title=name, xlabel=f"{self.comparison.metric}: points above the baseline")
                figures[name] = figure
        return _plot(
            "Gain over the baseline",
            "Difference from the baseline with the same seed; mean and standard deviation over "
            "seeds. All panels have the same scale.",
            figures,
        )

    def k_analysis(self) -> Plot:
        by_type: Dict[str, Dict[int, System]] = {}
        for row in self.comparison.rows:
            objective = row.runs[0]["objective"] if row.runs else None
            if objective and objective.get("type") in ("top_k", "weighted_top_k"):
                # Built, as k may be left to its default.
                built = DistillationObjective.from_params(Params(dict(objective)))
                assert isinstance(built, TopKObjective)
                by_type.setdefault(objective["type"], {}).setdefault(built.k, row)
        figures: Dict[str, Figure] = {}
        for name, rows in by_type.items():
            points = {
                k: spread
                for k, row in sorted(rows.items())
                if (spread := row.spread(self.comparison.average))
            }
            if len(points) < 2:
                continue
            figure, axes = _figure(4.8, 3.2)
            axes.set_xscale("log")
            axes.plot(list(points), [spread.mean for spread in points.values()], color=GREY)
            for k, spread in points.items():
                self._point(axes, k, spread, rows[k].name)
            baseline = self.comparison.baseline.spread(self.comparison.average)
            if baseline:
                axes.axhline(
                    baseline.mean,
                    color="black",
                    linestyle="--",
                    label=self.comparison.baseline.name,
                )
            axes.set_xticks(list(points), [str(k) for k in points])
            axes.minorticks_off()
            axes.set_xlim(min(points) / 1.3, max(points) * 1.3)
            axes.set(title=name, xlabel="k", ylabel=f"{self.comparison.metric}, average")
            _legend(figure, axes)
            figures[name] = figure
        return _plot(
            "Number of sequences k",
            "Score on average over the languages; mean and standard deviation over seeds.",
            figures,
        )

    def selective(self) -> Plot:
        figures: Dict[str, Figure] = {}
        for title, curves in self.curves.items():
            figure, axes = _figure(4.8, 4.4)
            for name, means in curves.items():
                axes.plot(COVERAGES, means, label=name, **self.styles[name] | {"markersize": 4})
            axes.set(title=title, xlabel="sentences covered, %", ylabel=self.comparison.metric)
            _legend(figure, axes)
            figures[title] = figure
        return _plot(
            "Score of the most confident sentences",
            "Score of those sentences alone whose predicted sequence is most probable, on average "
            "over the languages; mean over seeds.",
            figures,
        )

    def learning_curves(self) -> Plot:
        from matplotlib.ticker import MaxNLocator

        curves = {row.name: _curve(row.runs, "validation") for row in self.comparison.rows}
        weights = [_curve(row.runs, "lambda") for row in self.comparison.rows]
        epochs = max((len(curve) for curve in curves.values()), default=0)
        figures: Dict[str, Figure] = {}
        # By the second half the curves have come close, and need a scale of their own.
        for title, start in (("all epochs", 0), ("second half", epochs // 2)):
            if epochs - start < 2:
                continue
            figure, axes = _figure(4.8, 4.4)
            for name, curve in curves.items():
                if curve[start:]:
                    x = range(start, len(curve))
                    style = self.styles[name] | {"markersize": 3}
                    axes.plot(x, curve[start:], label=name, linewidth=1.3, **style)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.set(title=title, xlabel="epoch", ylabel=f"validation {self.comparison.metric}")
            if any(weights):
                right = axes.twinx()
                right.grid(False)
                right.set(ylabel="lambda", ylim=(-0.02, 1.02))
                right.spines["right"].set_visible(True)
                for weight in weights:
                    x = range(start, len(weight))
                    right.plot(x, weight[start:], color=GREY, linestyle=(0, (1, 3)), linewidth=1)
                axes.plot([], [], color=GREY, linestyle=(0, (1, 3)), label="lambda (right)")
            _legend(figure, axes)
            figures[title] = figure
        return _plot(
            "Learning curves",
            "Validation score by epoch, mean over seeds, as far as all seeds have trained; lambda "
            "is the weight of the distillation loss.",
            figures,
        )

    def against(
        self, title: str, caption: str, label: str, measure: Callable[[Run], float]
    ) -> Plot:
        from matplotlib.ticker import FuncFormatter, LogLocator

        figure, axes = _figure(4.8, 4.4)
        axes.set_xscale("log")
        sizes = []
        for system in self.comparison.systems:
            spread = system.spread(self.comparison.average)
            size = mean_of(measure(run) for run in system.runs)
            if spread and size:
                sizes.append(size)
                self._point(axes, size, spread, system.name)
        if not sizes:
            return _plot(title, caption, {})
        axes.set_xlim(min(sizes) / 2, max(sizes) * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _short(x)))
        axes.minorticks_off()
        axes.set(xlabel=label, ylabel=f"{self.comparison.metric}, average")
        _legend(figure, axes)
        return _plot(title, caption, {label: figure})

    def _dots(
        self, axes: "Axes", spreads: Dict[str, Optional[Spread]], styles: Sequence[Style]
    ) -> None:
        """A line for each name, from top to bottom."""
        from matplotlib.ticker import MaxNLocator

        for i, (spread, style) in enumerate(zip(spreads.values(), styles, strict=True)):
            if spread:
                axes.errorbar(
                    spread.mean,
                    i,
                    xerr=spread.deviation,
                    color=style["color"],
                    marker=style["marker"],
                    capsize=2,
                )
        axes.set_yticks(range(len(spreads)), list(spreads))
        axes.set_ylim(len(spreads) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))

    def _point(self, axes: "Axes", x: float, spread: Spread, name: str) -> None:
        style = self.styles[name]
        axes.errorbar(
            x,
            spread.mean,
            yerr=spread.deviation,
            color=style["color"],
            marker=style["marker"],
            linestyle="none",
            alpha=0.8,
            capsize=2,
            label=name,
        )


def _curve(runs: List[Run], key: str) -> List[float]:
    by_run = [[epoch.get(key) for epoch in run["epochs"]] for run in runs]
    return [sum(x) / len(x) for x in zip(*by_run, strict=False) if None not in x]


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"


def _with_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    return figure, figure.subplots()


def _legend(figure: "Figure", axes: "Axes") -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _plot(title: str, caption: str, figures: "Dict[str, Figure]") -> Plot:
    """The keys of the figures are the headings of the panels."""
    panels = [svg.element(f"{title}: {name}", figure) for name, figure in figures.items()]
    return Plot(title, caption, panels)
