"""
Makes one page of what the benchmarks have written: tables, plots, and under which circumstances
each was measured.

    python benchmarks/report.py
    python benchmarks/report.py out/benchmarks/inference.json --output docs/results/speed.md
    python benchmarks/report.py out/benchmarks/serving.json --output docs/results/serving.md
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

import growth
import inference
import matplotlib
import measure
import prediction
import server
import serving
import training
from allennlp.common.checks import ConfigurationError
from axes import line, plain, slopes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from peers import PEERS
from serving_plots import server_plot, serving_plot

from structkd_allennlp.common.files import write_text
from structkd_allennlp.suite.plotting import COLOURS, MARKERS, SETTINGS

Results = Dict[str, Any]
"""What one run of a benchmark has written."""


class Section(NamedTuple):
    title: str
    text: str
    tables: Callable[[Results], str]
    plot: Callable[[Results], List[Figure]]


def environment(results: Results) -> str:
    """The circumstances, in one paragraph."""
    found = results["environment"]
    versions = [f"{name} {version}" for name, version in found["versions"].items()]
    parts = [
        found["date"][:10],
        f"{found['processor']}, {found['cores']} cores",
        *([found["gpu"]] if found["gpu"] else []),
        f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}",
        f"load average {found['load']:.1f} at the start",
        *([f"revision {found['revision']}"] if found.get("revision") else []),
        f"Python {found['python']}",
        *versions,
    ]
    return f"{'; '.join(parts)}.\n\n    python benchmarks/{found['command']}"


def inference_tables(results: Results) -> str:
    rows = results["rows"]
    lines = [inference.tables(rows)]
    notes: Dict[str, None] = {}
    for row in rows:
        if "note" in row:
            size = f"({row['batch']}, {row['length']}, {row['labels']})"
            where = f"{row['operation']}, at {size}" if "needs" in row["note"] else row["operation"]
            notes[f"- {row['contender']}, {where}: {row['note'].splitlines()[0]}."] = None
    notes.update({f"- {name}: not installed.": None for name in results["not_installed"]})
    if notes:
        lines.append("Left out:\n")
        lines.append("\n".join(notes) + "\n")
    return f"{results['dtype']}.\n\n" + "\n".join(lines)


def inference_plot(results: Results) -> List[Figure]:
    """How many times as long as ours each contender takes, a panel for each size."""
    rows = [row for row in results["rows"] if "median" in row]
    shapes = list(dict.fromkeys((row["batch"], row["length"], row["labels"]) for row in rows))
    operations = list(dict.fromkeys(row["operation"] for row in rows))[::-1]
    names = [name for name in inference.ALL if any(row["contender"] == name for row in rows)]
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, len(shapes), sharey=True, squeeze=False)[0]
    for panel, shape in zip(panels, shapes, strict=True):
        medians = {
            (row["operation"], row["contender"]): row["median"]
            for row in rows
            if (row["batch"], row["length"], row["labels"]) == shape
        }
        for i, name in enumerate(names):
            points = [
                (medians[operation, name] / medians[operation, inference.Ours.name], y)
                for y, operation in enumerate(operations)
                if (operation, name) in medians
            ]
            panel.plot(
                [x for x, _ in points],
                [y for _, y in points],
                linestyle="none",
                label=name,
                color=COLOURS[i % len(COLOURS)],
                # There are more names than colours.
                marker=MARKERS[(i + i // len(COLOURS)) % len(MARKERS)],
            )
        panel.set_xscale("log")
        panel.set_yticks(range(len(operations)), operations)
        panel.set_title(f"{shape[0]} x {shape[1]}, {shape[2]} labels")
        panel.set_xlabel("time, ours = 1")
        plain(panel.xaxis)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return [figure]


def training_plot(results: Results) -> List[Figure]:
    """Bars of seconds an epoch, a panel for each corpus."""
    corpora = list(dict.fromkeys(row["corpus"] for row in results["rows"]))
    figure = Figure(figsize=(10, 3), layout="constrained")
    panels = figure.subplots(1, len(corpora), sharey=True, squeeze=False)[0]
    for panel, corpus in zip(panels, corpora, strict=True):
        rows = [row for row in results["rows"] if row["corpus"] == corpus][::-1]
        panel.barh(
            [row["title"] for row in rows], [row["median"] for row in rows], color=COLOURS[0]
        )
        panel.set_title(corpus)
        panel.set_xlabel("seconds an epoch")
        panel.grid(axis="y", visible=False)
    return [figure]


def growth_tables(results: Results) -> str:
    return growth.tables(results["chains"], results["stores"])


def growth_plot(results: Results) -> List[Figure]:
    chains, stores = results["chains"], results["stores"]
    return [
        *([_chains_plot(chains)] if chains else []),
        *([_stores_plot(stores)] if stores else []),
    ]


# The powers that the cost of each can grow by.
SLOPES = {"length": [1], "labels": [1, 2], "batch": [1]}


def _chains_plot(rows: Sequence[measure.Row]) -> Figure:
    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, len(axes), squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=True):
        here = [row for row in rows if row["axis"] == axis]
        for i, operation in enumerate(dict.fromkeys(row["operation"] for row in here)):
            points = [
                (row["size"], 1000 * row["median"]) for row in here if row["operation"] == operation
            ]
            line(panel, points, operation, i)
        slopes(panel, SLOPES[axis])
        panel.set_xticks(sorted({row["size"] for row in here}))
        panel.xaxis.set_minor_locator(NullLocator())
        plain(panel.xaxis)
        plain(panel.yaxis)
        panel.set_title(f"by {axis}")
        panel.set_xlabel(axis)
        panel.set_ylabel("milliseconds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _stores_plot(rows: Sequence[measure.Row]) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 3)
    series = {
        "put": [row for row in rows if row["kind"] == "put"],
        "filled by a teacher": [row for row in rows if row["kind"] == "filled"],
    }
    for panel, (title, value) in zip(
        panels,
        {
            "disk, MB": lambda row: row["bytes"] / 1e6,
            "sentences written a second": lambda row: row["sentences_a_second"],
            "memory held, MiB": lambda row: row["held_mib"],
        }.items(),
        strict=True,
    ):
        for i, (name, some) in enumerate(series.items()):
            line(panel, [(row["sentences"], value(row)) for row in some], name, i)
        panel.set_title(title)
        panel.set_xlabel("sentences")
        plain(panel.xaxis)
        plain(panel.yaxis)
    slopes(panels[0], [1])
    panels[2].set_ylim(bottom=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


SECTIONS = {
    "inference": Section(
        "Operations of a chain",
        "Milliseconds, the median over rounds in which all contenders take turns; in brackets, how "
        "many times as long as ours. Chains are random, with lengths between half of the longest "
        "and the longest; the plot names batch x length. Every result, with its gradients, was "
        "checked to be the same as ours in float64. Peers without marginals get them as the "
        "gradient of their log-partition function. without-numba is ours with PyTorch's loops; "
        "log-space is how ours computes sentences whose scores span too much. For the 10 best "
        "paths, ours and AllenNLP's return lists and scores, torch-struct and SuPar the paths "
        "alone.",
        inference_tables,
        inference_plot,
    ),
    "training": Section(
        "An epoch of training",
        "Each contender in a process of its own, by AllenNLP's trainer, without validation; the "
        "median over rounds in which all take turns, after a first epoch that is not counted. "
        "AllenNLP's tagger decodes and counts metrics at every step; the baseline that decodes in "
        "training too does the same. The online posterior runs four teachers, twice or more the "
        "size of the student, in every step.",
        lambda results: training.tables(results["rows"]),
        training_plot,
    ),
    "prediction": Section(
        "Serving",
        "Throughput in batches of 32 sentences of one language, latency of one sentence. From "
        "words to results includes reading, indexing and all that the predictor returns: of ours "
        "also probabilities of tags and sequences, which AllenNLP's has none of.",
        lambda results: prediction.tables(results["systems"], results["rows"]),
        lambda results: [],
    ),
    "serving": Section(
        "Exported taggers and others",
        "Each in a process of its own on one thread, from words to tags: what the archive was "
        "trained for, exported by `allennlp export-tagger` with and without int8; the same archive "
        "in our predictor and in AllenNLP's tagger, in batches of 32; spaCy's small pipeline for a "
        "CPU (tok2vec and a tagger, or its recogniser of entities) and UDPipe 1, trained on the "
        "same sentences, words and tags alone. Scores are those of the test data, the mean over "
        "languages: accuracy of words, or F1 of entities. Ours and the predictor also give "
        "probabilities of tags, entities and sequences. To start is from "
        "nothing to the first tagged sentence; memory is resident then and after all work. "
        "Commands are whole: they read JSON lines and write results with probabilities.",
        serving.tables,
        serving_plot,
    ),
    "server": Section(
        "A server under load",
        "`structkd serve` in a process of its own, on one thread, and clients on loopback that "
        "send a sentence as soon as they have the answer to the last, which has probabilities of "
        "tags, entities and sequences. They share the machine's cores with it. Memory is looked at "
        "from the first thousand requests on.",
        lambda results: "\n".join(map(server.table, results["rows"])),
        server_plot,
    ),
    "growth": Section(
        "Growth",
        "What is not varied is a batch of 32, a length of 32 and 17 labels. Stores of targets hold "
        "made-up sentences of 20 tokens on average; those that are put have 17 labels and are read "
        "at random, with warm caches; those that are filled have the 9 labels of a teacher, which "
        "runs on every sentence. Theory has a chain grow in proportion to length and batch, and to "
        "the square of the labels; k-best as well, k times for the search. What a call costs "
        "before its first token bends the curves up at the left, and with few labels what is done "
        "label by label outweighs what is done for pairs. What a store has beside "
        "the scores, 68 bytes a token with 17 labels, are about 60 bytes a sentence, most of them "
        "of its index, the rest of the last page of 4 KiB of each write, and pages to write the "
        "next ones to. The pages of files that reading maps are the system's to take back.",
        growth_tables,
        growth_plot,
    ),
}


def load(path: Path) -> Results:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        SECTIONS[results["benchmark"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} holds no results of a benchmark ({error!r}): name the JSON files that the "
            "programs in benchmarks/ have written"
        ) from error
    return results


def earlier_rows(results: Results) -> List[Dict[str, Any]]:
    """Our rows of an earlier revision, under its name."""
    revision = f"before ({(results['environment'].get('revision') or 'unknown')[:7]})"
    return [
        {**row, "contender": revision, "title": f"{row.get('title', '')}, {revision}"}
        for row in results["rows"]
        if row["contender"] not in PEERS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="*", type=Path, help="default: out/benchmarks/*.json")
    parser.add_argument("--output", type=Path, default=Path("docs/results/speed.md"))
    parser.add_argument(
        "--before",
        nargs="+",
        type=Path,
        default=[],
        help="results of an earlier revision, to show beside the others",
    )
    args = parser.parse_args()
    measure.check_output(args.output)
    before = {results["benchmark"]: results for results in map(load, args.before)}
    paths = args.results or sorted(Path("out/benchmarks").glob("*.json"))
    if not paths:
        raise ConfigurationError(
            "there are no results in out/benchmarks: run the other programs in benchmarks/ first"
        )
    found = [(path, load(path)) for path in paths]
    for _, results in found:
        if results["benchmark"] in before:
            results["rows"] += earlier_rows(before[results["benchmark"]])
    figures = args.output.with_suffix("")
    figures.mkdir(exist_ok=True)
    lines = [f"# {args.output.stem.capitalize()}", "Made by `python benchmarks/report.py`."]
    for kind, section in SECTIONS.items():
        own = [(path, results) for path, results in found if results["benchmark"] == kind]
        if own:
            lines += [f"## {section.title}", section.text]
        for path, results in own:
            lines.append(environment(results))
            with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": path.stem}):
                for i, figure in enumerate(section.plot(results), start=1):
                    plot = figures / f"{path.stem}_{i}.svg"
                    text = io.StringIO()
                    figure.savefig(text, format="svg", metadata={"Date": None})
                    write_text(plot, text.getvalue())
                    lines.append(f"![{section.title}]({figures.name}/{plot.name})")
            lines.append(section.tables(results).strip())
    write_text(args.output, "\n\n".join(lines) + "\n")
    measure.note(f"wrote {args.output}")


if __name__ == "__main__":
    main()
