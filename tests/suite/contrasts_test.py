"""The tests of contrasts: against brute force, closed forms, and how often they err."""

import json
import shutil

import numpy as np
import pytest
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrasts import contrasts_of
from structkd_allennlp.suite.report import write_report
from structkd_allennlp.suite.significance import bootstrap_p_value, holm, random_effects_test
from tests.suite.reports import Page, bold_rows, tables_of
from tests.suite.synthetic import make_results

ROWS = ("baseline", "emission", "posterior", "structural")
CONTRASTS = [
    {"name": "posterior", "rows": ["posterior"], "against": ["baseline"]},
    {
        "name": "main effect",
        "rows": ["posterior", "structural"],
        "against": ["baseline", "emission"],
    },
    {"name": "none", "rows": ["emission"], "against": ["emission"]},
]


def make(directory, **options):
    results = make_results(directory, rows=ROWS, **options)
    results["suite"]["contrasts"] = CONTRASTS
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return results


def read_contrasts(directory):
    return read_json(directory / "contrasts.json")


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    directory = tmp_path_factory.mktemp("complete")
    make(directory, seeds=(1, 2, 3))
    write_report(directory)
    return directory


def test_differences_are_of_averages_over_languages_paired_by_seed(complete):
    results = json.loads((complete / "results.json").read_text())
    scores = {(run["row"], run["seed"]): run.get("scores") for run in results["runs"]}
    for contrast, found in zip(CONTRASTS, read_contrasts(complete), strict=True):
        for column, languages in (("languages", ["de", "en"]), ("zero_shot", ["pt"])):
            expected = {}
            for seed in (1, 2, 3):
                one, other = (
                    np.mean([[scores[name, seed][x] for x in languages] for name in contrast[side]])
                    for side in ("rows", "against")
                )
                expected[str(seed)] = one - other
            assert found[column]["by_seed"] == pytest.approx(expected)
            assert found[column]["difference"] == pytest.approx(np.mean(list(expected.values())))
        assert list(found["by_language"]) == ["de", "en", "average", "pt", "zero-shot average"]
        assert found["by_language"]["average"] == found["languages"]["by_seed"]


def test_the_variance_of_sentences_is_that_of_resampling_them_one_by_one(complete):
    """By brute force, the same resamples for all runs."""
    rng = np.random.default_rng(1)

    def counts(row, seed):
        path = complete / "students" / row / f"seed{seed}" / "counts.json"
        return {x: np.asarray(own) for x, own in json.loads(path.read_text()).items()}

    def average(by_language, indices):
        sums = [by_language[x][indices[x]].sum(0) for x in ("de", "en")]
        return np.mean([200 * correct / (a + b) for correct, a, b in sums])

    runs = [[counts(row, seed) for seed in (1, 2, 3)] for row in ("posterior", "baseline")]
    resampled = []
    for _ in range(2000):
        indices = {x: rng.integers(0, 60, 60) for x in ("de", "en")}
        ours, theirs = (np.mean([average(run, indices) for run in own]) for own in runs)
        resampled.append(ours - theirs)
    found = read_contrasts(complete)[0]["languages"]
    expected = random_effects_test(list(found["by_seed"].values()), resampled)
    # Of 2,000 resamples, a standard deviation is known within about 5%.
    assert found["high"] - found["low"] == pytest.approx(expected.high - expected.low, rel=0.06)
    assert found["p_value"] == pytest.approx(expected.p_value, rel=0.3)
    # Its two parts by themselves.
    seeds = random_effects_test(list(found["by_seed"].values()))
    assert found["p_value_of_seeds"] == seeds.p_value
    of_sentences = bootstrap_p_value(resampled)
    assert found["p_value_of_sentences"] == pytest.approx(of_sentences, rel=0.3, abs=0.01)


def test_no_difference(complete):
    found = read_contrasts(complete)[2]["languages"]
    assert (found["low"], found["high"], found["p_value"]) == (0, 0, 1)


def test_all_tests_of_a_suite_are_corrected_together(complete):
    tests = [x for one in read_contrasts(complete) for x in (one["languages"], one["zero_shot"])]
    corrected = holm([x["p_value"] for x in tests])
    assert [x["corrected_p_value"] for x in tests] == pytest.approx(corrected)


def test_the_report(complete):
    tables = tables_of(complete)
    titles = ["Scores", "Contrasts", "Contrasts by language", "Contrasts: the tests in detail"]
    assert list(tables)[:4] == titles
    # Only posterior is compared with the baseline by itself, so there is a best of two.
    scores = tables["Scores"]
    assert scores["structural"]["gain"] == scores["structural"]["gap closed"] == "–"
    found = read_contrasts(complete)[0]["languages"]
    assert scores["posterior"]["gain"] == f"{found['difference']:+.2f}"
    assert bold_rows(complete) <= {"posterior", "baseline"}
    assert len(bold_rows(complete)) == 1
    found = read_contrasts(complete)[1]
    cell = tables["Contrasts by language"]["main effect"]["average"]
    assert cell.startswith(f"{found['languages']['difference']:+.2f} ± ")
    text = (complete / "report.md").read_text()
    assert "plots/contrasts.svg" in text
    assert "gain-over" not in text
    tests = [x for one in read_contrasts(complete) for x in (one["languages"], one["zero_shot"])]
    number = sum(x["corrected_p_value"] < 0.05 for x in tests)
    assert f"Of 6 tested contrasts, {number or 'none'} differ from 0" in text
    Page((complete / "report.html").read_text(encoding="utf-8"))


def test_what_is_not_done_is_not_tested(tmp_path, without_plots):
    """Seeds that not all rows have are left out, and one seed is no test."""
    without = [f"students/structural/seed{seed}" for seed in (2, 3)]
    without += [f"students/emission/seed{seed}" for seed in (1, 2, 3)]
    make(tmp_path, seeds=(1, 2, 3), without=without)
    write_report(tmp_path)
    one, two, three = read_contrasts(tmp_path)
    assert list(one["languages"]["by_seed"]) == ["1", "2", "3"]
    assert two["languages"] is None
    assert three["languages"] is None
    (tmp_path / "one").mkdir()
    make(tmp_path / "one", seeds=(1,))
    write_report(tmp_path / "one")
    found = read_contrasts(tmp_path / "one")[0]["languages"]
    assert (found["low"], found["p_value"], found["corrected_p_value"]) == (None, None, None)
    assert found["p_value_of_seeds"] is None
    # These very models can be tested on other sentences.
    assert 0 < found["p_value_of_sentences"] <= 1
    assert "No contrast has two seeds yet" in (tmp_path / "one" / "report.md").read_text()
    tables = tables_of(tmp_path / "one")
    assert tables["Contrasts"]["posterior"]["p"] == "one seed"
    assert tables["Scores"]["posterior"]["p"] == "one seed"
    assert "best student" not in (tmp_path / "one" / "report.md").read_text().split("## ")[0]


def test_no_best_where_rows_differ_in_more_than_one_thing(tmp_path, without_plots):
    results = make(tmp_path, seeds=(1, 2))
    results["suite"]["contrasts"] = CONTRASTS[1:]
    (tmp_path / "results.json").write_text(json.dumps(results))
    write_report(tmp_path)
    table = tables_of(tmp_path)["Scores"]
    assert "gain" not in table["posterior"]
    assert not bold_rows(tmp_path)
    assert "best student" not in (tmp_path / "report.md").read_text()


def test_runs_that_were_evaluated_on_different_sentences(tmp_path):
    make(tmp_path, seeds=(1, 2))
    path = tmp_path / "students/posterior/seed2/counts.json"
    counts = json.loads(path.read_text())
    counts["en"][0][-1] += 1
    path.write_text(json.dumps(counts))
    with pytest.raises(ConfigurationError, match="seed2 was evaluated on other en sentences"):
        contrasts_of(Comparison.read(tmp_path), tmp_path)


def test_counts_that_are_missing(tmp_path):
    make(tmp_path, seeds=(1, 2))
    (tmp_path / "students/posterior/seed2/counts.json").unlink()
    with pytest.raises(ConfigurationError, match="run the suite again to make it"):
        contrasts_of(Comparison.read(tmp_path), tmp_path)


def test_the_results_and_one_file_of_counts_are_enough(complete, tmp_path):
    for name in ("results.json", "counts.json.gz"):
        shutil.copy(complete / name, tmp_path)
    write_report(tmp_path)
    for name in ("contrasts.json", "report.md", "counts.json.gz"):
        assert (tmp_path / name).read_bytes() == (complete / name).read_bytes()
