"""Plots of `serving.py` and `server.py`."""

from typing import Any, Dict, List

from axes import plain
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from structkd_allennlp.suite.plotting import COLOURS, MARKERS


def serving_plot(results: Dict[str, Any]) -> List[Figure]:
    """Scores against words a second and against size on disk; up and to the outside is better."""
    rows = results["rows"]
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, field, scale, label in (
        (panels[0], "words_a_second", 1, "words a second, one thread"),
        (panels[1], "bytes", 1e6, "MB on disk"),
    ):
        for row, colour, marker in zip(rows, COLOURS, MARKERS, strict=False):
            axes.plot(
                row[field] / scale,
                row["scores"]["mean"],
                marker,
                color=colour,
                label=row["title"],
            )
        axes.set(xscale="log", xlabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        plain(axes.xaxis)
    panels[0].set_ylabel(f"{results['metric']}, %")
    panels[1].legend(bbox_to_anchor=(1, 1), loc="upper left")
    return [figure]


def server_plot(results: Dict[str, Any]) -> List[Figure]:
    """The memory of the server over the requests that it has answered."""
    figure = Figure(figsize=(6, 2.4), layout="constrained")
    axes = figure.subplots()
    for row in results["rows"]:
        requests, memory = zip(*row["memory"], strict=True)
        axes.plot(requests, [one / 1e6 for one in memory], color=COLOURS[0])
    axes.set(xlabel="requests", ylabel="MB resident", ylim=(0, None))
    return [figure]
