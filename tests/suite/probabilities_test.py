"""The probabilities of a suite's taggers: from records of sentences to tables of the report."""

import itertools
import shutil
from statistics import fmean

import numpy as np
import pytest
from allennlp.common.checks import ConfigurationError
from scipy import stats  # type: ignore[import-untyped]

from structkd_allennlp.common.files import read_json, write_json
from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrasts import holm
from structkd_allennlp.suite.probabilities import figures_of, selective_curves
from structkd_allennlp.suite.report import write_report
from structkd_allennlp.training.probability_record import (
    ProbabilityRecord,
    read_records,
    write_records,
)
from tests.suite.reports import expected_cell, tables_of
from tests.suite.synthetic import make_results

DIFFERENCES = "Differences of probabilities"
TRAINED, ZERO_SHOT = "Probabilities, all languages", "Probabilities, zero-shot languages"


def random_record(rng, sentences, entities=True, tokens=None):
    tokens = rng.integers(1, 6, sentences) if tokens is None else tokens
    found = rng.integers(0, 3, sentences) * entities
    predicted = rng.random(found.sum()) < 0.7
    return ProbabilityRecord(
        gold_nll=rng.exponential(2, sentences).astype(np.float32),
        predicted_nll=rng.exponential(1, sentences).astype(np.float32),
        gold_rank=rng.integers(0, 11, sentences).astype(np.uint8),
        brier=(tokens * rng.random(sentences)).astype(np.float32),
        tokens=tokens.astype(np.uint32),
        token_probability=rng.integers(0, 10001, tokens.sum()).astype(np.uint16),
        token_correct=rng.random(tokens.sum()) < 0.6,
        entities=found.astype(np.uint32),
        entity_probability=rng.integers(0, 10001, found.sum()).astype(np.uint16),
        entity_predicted=predicted,
        # What is not predicted is there because it is gold.
        entity_gold=~predicted | (rng.random(found.sum()) < 0.5),
    )


def with_records(directory, without=(), **options):
    results = make_results(directory, **options)
    rng = np.random.default_rng(1)
    # The test files are the same for every run.
    tokens = {x: rng.integers(1, 6, 60) for x in ("de", "en", "pt")}
    for run in results["runs"]:
        if run["status"] == "done" and run["directory"] not in without:
            entities = options.get("metric") != "accuracy"
            records = {x: random_record(rng, 60, entities, tokens[x]) for x in run["scores"]}
            write_records(directory / run["directory"] / "probabilities.npz", records)
    return results


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    directory = tmp_path_factory.mktemp("complete")
    with_records(directory)
    write_report(directory)
    return directory


def test_figures():
    """Against loops over sentences, tokens and entities."""
    rng = np.random.default_rng(0)
    record = random_record(rng, 50)
    record.gold_nll[:3] = np.inf
    counts = rng.integers([0, 3, 3], [4, 7, 7], (50, 3))
    values = {name: figure.value for name, figure in figures_of(record, counts).items()}
    assert values["nll"] == pytest.approx(fmean(record.gold_nll[3:].tolist()))
    assert values["impossible"] == 3 / 50
    assert values["token_brier"] == pytest.approx(record.brier.sum() / record.tokens.sum())
    probabilities = record.entity_probability / 10000
    squares = [
        (1 - p) ** 2 if gold else p**2
        for p, gold in zip(probabilities, record.entity_gold, strict=True)
    ]
    assert values["entity_brier"] == pytest.approx(fmean(squares))
    for k in (1, 5, 10):
        share = fmean(0 < rank <= k for rank in record.gold_rank.tolist())
        assert values[f"gold_in_{k}"] == pytest.approx(share)
    for coverage in (100, 80, 50):
        ranked = sorted(zip(record.predicted_nll, counts.tolist(), strict=True))
        kept = [own for _, own in ranked[: coverage // 2]]
        correct, predicted, gold = map(sum, zip(*kept, strict=True))
        expected = 2 * correct / (predicted + gold)
        assert values[f"selective_{coverage}"] == pytest.approx(expected)
    for kind, chances, right in (
        ("token", record.token_probability / 10000, record.token_correct),
        (
            "entity",
            probabilities[record.entity_predicted],
            record.entity_gold[record.entity_predicted],
        ),
    ):
        order = np.argsort(chances)
        n = len(order)
        edges = [-(-n * b // 10) for b in range(11)]
        expected = sum(
            abs(right[own].sum() - chances[own].sum()) / n
            for own in (order[a:b] for a, b in itertools.pairwise(edges))
        )
        assert values[f"{kind}_calibration_error"] == pytest.approx(expected, abs=1e-3)


def test_perfect_probabilities():
    """Who is always certain and right."""
    n, every = 20, np.ones(20, dtype=bool)
    zeros, ones = np.zeros(n), np.ones(n, dtype=int)
    record = ProbabilityRecord(
        zeros, zeros, ones, zeros, ones, 10000 * ones, every, ones, 10000 * ones, every, every
    )
    values = {name: x.value for name, x in figures_of(record, np.ones((n, 3))).items()}
    for name, value in values.items():
        assert value == (1 if name.startswith(("gold", "selective")) else 0), name


def test_tables(complete):
    tables = tables_of(complete)
    names = ["teachers (crf)", "baseline", "emission", "posterior"]
    assert list(tables[TRAINED]) == list(tables[ZERO_SHOT]) == names
    assert list(tables[TRAINED]["baseline"]) == [
        "seeds",
        "NLL",
        "ECE tokens",
        "Brier tokens",
        "ECE entities",
        "Brier entities",
        "gold is best",
        "gold in 5 best",
        "gold in 10 best",
        "F1 at 80%",
    ]
    row = complete / "students/emission"
    seeds = [read_records(row / f"seed{seed}/probabilities.npz") for seed in (1, 2)]
    for title, languages in ((TRAINED, ("de", "en")), (ZERO_SHOT, ("pt",))):
        cells = tables[title]["emission"]
        assert cells["seeds"] == "1, 2"
        expected = [fmean(x[y].gold_nll.astype(float).mean() for y in languages) for x in seeds]
        assert cells["NLL"] == expected_cell(expected)
        expected = [fmean((x[y].gold_rank == 1).mean() for y in languages) for x in seeds]
        assert cells["gold is best"] == expected_cell([100 * x for x in expected])
    # Of the first language's ensemble, the mean; each language by its own.
    records = {
        language: [
            read_records(complete / f"teachers/crf/{path}/probabilities.npz")[language]
            for path in paths
        ]
        for language, paths in {"de": ["de/0", "de/1"], "en": ["en"]}.items()
    }
    expected = fmean(
        fmean(x.gold_nll.astype(float).mean() for x in own) for own in records.values()
    )
    assert tables[TRAINED]["teachers (crf)"]["NLL"] == expected_cell([expected])
    page = (complete / "report.html").read_text(encoding="utf-8")
    assert TRAINED in page


def test_selective_scores_at_full_coverage_are_the_scores(complete):
    results, values = (read_json(complete / f"{x}.json") for x in ("results", "probabilities"))
    assert len(values) == len(results["runs"])
    for run in results["runs"]:
        for language, score in run["scores"].items():
            own = values[run["directory"]][language]
            assert 100 * own["selective_100"] == pytest.approx(score)
            assert 0 < own["risk_coverage_area"] < 1


def test_curves(complete):
    comparison = Comparison.read(complete)
    values = read_json(complete / "probabilities.json")
    curves = selective_curves(comparison, values)
    assert list(curves) == ["trained languages", "zero-shot languages"]
    for title, languages in zip(curves, (("de", "en"), ("pt",)), strict=True):
        assert list(curves[title]) == [system.name for system in comparison.systems]
        for i, coverage in enumerate((100, 90, 80, 70, 60, 50)):
            expected = fmean(
                100 * values[f"students/emission/seed{seed}"][x][f"selective_{coverage}"]
                for seed in (1, 2)
                for x in languages
            )
            assert curves[title]["emission"][i] == pytest.approx(expected)
    plot = (complete / "plots/score-of-the-most-confident-sentences.svg").read_text()
    assert plot.count("sentences covered, %") == 2


def test_what_is_kept_is_enough(complete, tmp_path):
    kept = ("counts.json.gz", "probabilities.json", "probability_parts.npz")
    for name in ("results.json", *kept):
        shutil.copy(complete / name, tmp_path)
    write_report(tmp_path)
    for name in (*kept, "probability_contrasts.json", "report.md"):
        assert (tmp_path / name).read_bytes() == (complete / name).read_bytes()


def test_parts_of_speech(tmp_path):
    with_records(tmp_path, metric="accuracy", seeds=(1,), zero_shot=())
    write_report(tmp_path)
    tables = tables_of(tmp_path)
    assert ZERO_SHOT not in tables
    assert [x for x in tables[TRAINED]["posterior"] if "entities" in x or "F1" in x] == []
    assert "–" not in tables[TRAINED]["posterior"].values()
    assert "entit" not in (tmp_path / "report.md").read_text(encoding="utf-8").replace(
        "Synthetic named entities", ""
    )


def test_results_without_records(tmp_path):
    """Those of before there were any."""
    make_results(tmp_path, seeds=(1,))
    write_report(tmp_path)
    assert not [title for title in tables_of(tmp_path) if title.startswith("Prob")]
    assert DIFFERENCES not in tables_of(tmp_path)
    assert not list(tmp_path.glob("prob*"))


def test_some_runs_without_records(tmp_path):
    without = ["students/posterior/seed2", "students/emission/seed1", "students/emission/seed2"]
    with_records(tmp_path, without)
    path = tmp_path / "students/baseline/seed1/probabilities.npz"
    records = read_records(path)
    records["en"].gold_nll[:6] = np.inf
    records["pt"].gold_nll[:] = np.inf
    write_records(path, records)
    write_report(tmp_path)
    tables = tables_of(tmp_path)
    assert list(tables[TRAINED]) == ["teachers (crf)", "baseline", "posterior"]
    assert tables[TRAINED]["posterior"]["seeds"] == "1"
    assert "±" in tables[TRAINED]["baseline"]["NLL"]
    # Where no gold sequence is possible, there is no NLL to take the mean of.
    assert "±" not in tables[ZERO_SHOT]["baseline"]["NLL"]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Of emission, 2 of 2 runs have no record of their probabilities." in text
    assert "Of posterior, 1 of 2 runs" in text
    assert "baseline cannot give the gold sequences of up to 100.0% of the sentences" in text
    # What another evaluation has left is of no account.
    path.unlink()
    write_report(tmp_path)
    assert tables_of(tmp_path)[TRAINED]["baseline"]["seeds"] == "2"


class TestDifferences:
    def test_they_are_those_of_averages_paired_by_seed(self, complete):
        values = read_json(complete / "probabilities.json")
        found = read_json(complete / "probability_contrasts.json")
        assert list(found) == ["nll", "token_calibration_error", "token_brier"]
        corrected, alone = [], []
        for name, contrasts in found.items():
            scale = 1 if name == "nll" else 100
            assert [one["name"] for one in contrasts] == ["emission", "posterior"]
            for one in contrasts:
                for kind, languages in (("languages", ["de", "en"]), ("zero_shot", ["pt"])):
                    test = one[kind]
                    for seed in (1, 2):
                        ours, theirs = (
                            fmean(values[f"students/{row}/seed{seed}"][x][name] for x in languages)
                            for row in (one["name"], "baseline")
                        )
                        expected = scale * (ours - theirs)
                        assert test["by_seed"][str(seed)] == pytest.approx(expected)
                    corrected.append(test["corrected_p_value"])
                    alone.append(test["p_value"])
        assert corrected == holm(alone)

    def test_the_variance_of_sentences(self, complete):
        """Of a mean over sentences it is known."""
        found = read_json(complete / "probability_contrasts.json")["nll"][0]["zero_shot"]
        by_seed = [found["by_seed"][str(seed)] for seed in (1, 2)]
        rows = [
            np.mean(
                [
                    read_records(complete / f"students/{row}/seed{seed}/probabilities.npz")[
                        "pt"
                    ].gold_nll.astype(float)
                    for seed in (1, 2)
                ],
                axis=0,
            )
            for row in ("emission", "baseline")
        ]
        of_sentences = (rows[0] - rows[1]).var() / 60
        half = (found["high"] - found["low"]) / 2
        of_seeds = np.var(by_seed, ddof=1) / 2
        variance = of_seeds + of_sentences
        freedom = variance**2 / of_seeds**2
        assert half == pytest.approx(stats.t(freedom).ppf(0.975) * variance**0.5, rel=0.1)

    def test_the_report(self, tmp_path):
        """A row whose sequences are more probable, and whose tokens are the same."""
        with_records(tmp_path, seeds=(1, 2, 3))
        for seed in (1, 2, 3):
            own = tmp_path / f"students/baseline/seed{seed}/probabilities.npz"
            better = {x: r._replace(gold_nll=r.gold_nll - 1) for x, r in read_records(own).items()}
            write_records(tmp_path / f"students/posterior/seed{seed}/probabilities.npz", better)
        write_report(tmp_path)
        text = (tmp_path / "report.md").read_text(encoding="utf-8")
        table = [
            line.split(" | ")
            for line in text.partition("## Differences of probabilities")[2].splitlines()
            if line.startswith("| posterior | ") and " languages | " in line
        ]
        assert [cells[1:] for cells in table] == [
            [kind, "1, 2, 3", "-1.00", "< 0.001", "+0.00", "1.000", "+0.00", "1.000 |"]
            for kind in ("trained languages", "zero-shot languages")
        ]
        assert DIFFERENCES in tables_of(tmp_path)

    def test_contrasts_of_the_suite(self, tmp_path):
        results = with_records(tmp_path, without=["students/posterior/seed2"])
        sides = {"rows": ["posterior"], "against": ["emission", "baseline"]}
        results["suite"]["contrasts"] = [{"name": "mine", **sides}]
        write_json(tmp_path / "results.json", results)
        write_report(tmp_path)
        found = read_json(tmp_path / "probability_contrasts.json")["token_brier"]
        assert [one["name"] for one in found] == ["mine"]
        # The other seed has no record, and one seed is no test.
        assert list(found[0]["languages"]["by_seed"]) == ["1"]
        assert found[0]["languages"]["p_value"] is None
        assert tables_of(tmp_path)[DIFFERENCES]["mine"]["p of NLL"] == "one seed"

    def test_too_little_to_resample(self, tmp_path):
        with_records(tmp_path)
        for seed in (1, 2):
            path = tmp_path / f"students/posterior/seed{seed}/probabilities.npz"
            records = read_records(path)
            records["pt"].gold_nll[1:] = np.inf
            write_records(path, records)
        write_report(tmp_path)
        found = read_json(tmp_path / "probability_contrasts.json")["nll"]
        assert [one["zero_shot"]["p_value"] is None for one in found] == [False, True]
        assert all(one["languages"]["corrected_p_value"] is not None for one in found)

    def test_other_sentences(self, tmp_path):
        with_records(tmp_path, seeds=(1,))
        path = tmp_path / "students/posterior/seed1/probabilities.npz"
        other = random_record(np.random.default_rng(5), 60)
        write_records(path, {**read_records(path), "de": other})
        with pytest.raises(ConfigurationError, match="other de sentences than another run"):
            write_report(tmp_path)


def test_records_that_cannot_be(tmp_path):
    with_records(tmp_path, seeds=(1,))
    path = tmp_path / "students/posterior/seed1/probabilities.npz"
    records = read_records(path)
    rng = np.random.default_rng(0)
    write_records(path, {**records, "de": random_record(rng, 59)})
    with pytest.raises(ConfigurationError, match=r"counts of 60 de .* probabilities of 59: delete"):
        write_report(tmp_path)
    path.write_bytes(b"PK")
    with pytest.raises(ConfigurationError, match=r"seed1/probabilities.npz cannot be read"):
        write_report(tmp_path)


def test_parts_that_cannot_be_read(complete, tmp_path):
    for name in ("results.json", "counts.json.gz", "probabilities.json"):
        shutil.copy(complete / name, tmp_path)
    whole = (complete / "probability_parts.npz").read_bytes()
    for content in (b"", b"PK", whole[:-100]):
        (tmp_path / "probability_parts.npz").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"probability_parts.npz cannot be read .*run"):
            write_report(tmp_path)


def test_what_was_tested_before_there_were_parts(complete, tmp_path):
    kept = ("probabilities.json", "probability_contrasts.json")
    for name in ("results.json", "counts.json.gz", *kept):
        shutil.copy(complete / name, tmp_path)
    write_report(tmp_path)
    assert (tmp_path / "report.md").read_bytes() == (complete / "report.md").read_bytes()
    assert not (tmp_path / "probability_parts.npz").exists()
