"""
The plots of a suite's report, as SVG.

matplotlib is imported where it is needed, as `--include-package` imports this module too.
"""

from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence

from allennlp.common import Params

from structkd_allennlp.distillation.objectives import DistillationObjective, TopKObjective
from structkd_allennlp.suite.comparison import Comparison, Run, System, mean_of
from structkd_allennlp.suite.contrasts import ContrastStatistics
from structkd_allennlp.suite.plotting import (
    COLOURS,
    GREY,
    INK,
    LINES,
    MARKERS,
    SETTINGS,
    Plot,
    Style,
    add_legend,
    draw_column,
    draw_rows,
    figure_of,
    plot_of,
    short,
)
from structkd_allennlp.suite.probabilities import COVERAGES, Curves
from structkd_allennlp.suite.significance import CONFIDENCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
            comparison.baseline.name: {"color": INK, "marker": "D", "linestyle": "-"}
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
            self.k_analysis(),
            self.selective(),
            self.learning_curves(),
            self.against(
                "Score against model size",
                "Parameters of one model, and its score on average over the languages. Each group "
                "of teachers needs a model for every language. Each seed is a tick.",
                "parameters",
                lambda run: run["parameters"],
            ),
            self.against(
                "Score against training time",
                "Training time of one run, without that of its teachers, and the score on average "
                "over the languages. Each seed is a tick.",
                "minutes",
                lambda run: run["seconds"] / 60,
            ),
        ]
        return [plot for plot in made if plot.panels]

    def scores(self) -> Plot:
        figures: Dict[str, Figure] = {}
        for column in self.comparison.columns:
            values = {s.name: list(s.values(column).values()) for s in self.comparison.systems}
            if any(values.values()):
                figure, axes = figure_of(4.6, 0.75 + 0.22 * len(values))
                draw_rows(axes, values, self.styles)
                axes.set(title=column.title, xlabel=self.comparison.metric)
                figures[column.title] = figure
        return plot_of(
            "Score by method and language",
            "In percent. Each seed is a tick, n their number, and the mark is their mean. "
            "Each panel has its own scale.",
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
            figure, axes = figure_of(5.2, 0.75 + 0.26 * len(found))
            axes.axvline(0, color=INK, linewidth=1)
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
        return plot_of(
            "Contrasts",
            f"Each seed is a point, n their number. The line is the {CONFIDENCE:.0%} interval over "
            "seeds and sentences, not corrected for the number of contrasts.",
            figures,
        )

    def k_analysis(self) -> Plot:
        title = "Number of sequences k"
        caption = (
            "Score on average over the languages. Each seed is a tick; lines join the means over "
            "seeds."
        )
        average = self.comparison.average
        by_type: Dict[str, Dict[int, System]] = {}
        for row in self.comparison.rows:
            objective = row.runs[0]["objective"] if row.values(average) else None
            if objective and objective.get("type") in ("top_k", "weighted_top_k"):
                # Built, as k may be left to its default.
                built = DistillationObjective.from_params(Params(dict(objective)))
                assert isinstance(built, TopKObjective)
                by_type.setdefault(objective["type"], {}).setdefault(built.k, row)
        by_type = {name: rows for name, rows in by_type.items() if len(rows) > 1}
        if not by_type:
            return plot_of(title, caption, {})
        figure, axes = figure_of(5.2, 3.6)
        axes.set_xscale("log")
        for i, (name, rows) in enumerate(by_type.items()):
            style = {"color": COLOURS[i], "marker": MARKERS[i]}
            points = {k: list(rows[k].values(average).values()) for k in sorted(rows)}
            means = [sum(values) / len(values) for values in points.values()]
            axes.plot(list(points), means, color=COLOURS[i], linestyle=LINES[i], label=name)
            for k, values in points.items():
                # Side by side, or one would hide the other.
                draw_column(axes, k * 1.03 ** (2 * i - 1), values, style, "_")
        baseline = self.comparison.baseline
        for level in [spread.mean for spread in [baseline.spread(average)] if spread]:
            axes.axhline(level, color=INK, linestyle="--", label=baseline.name)
        ks = sorted({k for rows in by_type.values() for k in rows})
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.set(xlabel="k", ylabel=f"{self.comparison.metric}, average")
        add_legend(figure, axes)
        return plot_of(title, caption, {"k": figure})

    def selective(self) -> Plot:
        figures: Dict[str, Figure] = {}
        for title, curves in self.curves.items():
            figure, axes = figure_of(4.8, 4.4)
            for name, means in curves.items():
                axes.plot(COVERAGES, means, label=name, **self.styles[name] | {"markersize": 4})
            axes.set(title=title, xlabel="sentences covered, %", ylabel=self.comparison.metric)
            add_legend(figure, axes)
            figures[title] = figure
        return plot_of(
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
            figure, axes = figure_of(4.8, 4.4)
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
            add_legend(figure, axes)
            figures[title] = figure
        return plot_of(
            "Learning curves",
            "Validation score by epoch, mean over seeds, as far as all seeds have trained; lambda "
            "is the weight of the distillation loss.",
            figures,
        )

    def against(
        self, title: str, caption: str, label: str, measure: Callable[[Run], float]
    ) -> Plot:
        from matplotlib.ticker import FuncFormatter, LogLocator

        figure, axes = figure_of(4.8, 4.4)
        axes.set_xscale("log")
        sizes = []
        for system in self.comparison.systems:
            scores = system.values(self.comparison.average).values()
            size = mean_of(measure(run) for run in system.runs)
            if scores and size:
                sizes.append(size)
                draw_column(axes, size, scores, self.styles[system.name], system.name)
        if not sizes:
            return plot_of(title, caption, {})
        axes.set_xlim(min(sizes) / 2, max(sizes) * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x)))
        axes.minorticks_off()
        axes.set(xlabel=label, ylabel=f"{self.comparison.metric}, average")
        add_legend(figure, axes)
        return plot_of(title, caption, {label: figure})


def _curve(runs: List[Run], key: str) -> List[float]:
    by_run = [[epoch.get(key) for epoch in run["epochs"]] for run in runs]
    return [sum(x) / len(x) for x in zip(*by_run, strict=False) if None not in x]
