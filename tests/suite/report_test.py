"""The report of a suite, read back from its Markdown."""

import json
import re
import shutil
import statistics

import pytest
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.suite.report import write_report
from tests.suite.reports import ROWS, bold_rows, expected_cell, results_of, scores_by_run, tables_of
from tests.suite.synthetic import make_results, score

NEW_KEYS = ["data", "vocabulary", "environment", "repeated", "repeated_sentences", "teacher_runs"]
NEW_KEYS += ["initial_run", "dev_average", "revisions"]


class TestMarkdown:
    def test_scores_are_means_over_seeds(self, complete):
        table = tables_of(complete)["Scores"]
        assert list(table) == ["teachers (crf)", *ROWS]
        for row in ROWS:
            scores = scores_by_run(complete, row=row)
            assert len(scores) == 3
            for language in ("de", "en", "pt"):
                cell = table[row][language]
                assert cell == expected_cell([x[language] for x in scores])
            average = expected_cell([(x["de"] + x["en"]) / 2 for x in scores])
            assert table[row]["average"] == average
            assert table[row]["zero-shot average"] == table[row]["pt"]

    def test_teachers_are_means_over_the_members_of_an_ensemble(self, complete):
        (teachers,) = (x for name, x in tables_of(complete)["Scores"].items() if "teach" in name)
        de = [x["de"] for x in scores_by_run(complete, language="de")]
        assert len(de) == 2
        en = [x["en"] for x in scores_by_run(complete, language="en")]
        pt = [x["pt"] for x in scores_by_run(complete, kind="teacher")]
        assert len(pt) == 3
        assert teachers["de"] == f"{statistics.fmean(de):.2f}"
        assert teachers["average"] == f"{(statistics.fmean(de) + en[0]) / 2:.2f}"
        assert teachers["pt"] == f"{statistics.fmean(pt):.2f}"
        assert (teachers["gap closed"], teachers["p"]) == ("–", "–")

    def test_the_best_student_is_chosen_on_development_data(self, complete):
        means = {
            row: statistics.fmean(
                run["dev"] for run in results_of(complete)["runs"] if run["row"] == row
            )
            for row in ROWS
        }
        best = max(ROWS, key=means.__getitem__)
        assert bold_rows(complete) == {best}
        table = tables_of(complete)["Scores"]
        for row in ROWS:
            assert table[row]["development"] == f"{means[row]:.2f}"
        text = (complete / "report.md").read_text(encoding="utf-8")
        assert f"best student by its development score ({means[best]:.2f}) is {best}, with" in text
        assert f"with {table[best]['average']} on average" in text

    def test_a_row_with_one_seed_is_marked_and_never_best(self, tmp_path, without_plots):
        results = make_results(tmp_path, rows=ROWS, seeds=(1, 2, 3))
        for run in results["runs"]:
            if run["row"] == "structural":
                run |= {"dev": 99.0} if run["seed"] == 1 else {"status": "waiting"}
        (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
        write_report(tmp_path)
        assert "structural" not in bold_rows(tmp_path)
        tables = tables_of(tmp_path)
        assert tables["Scores"]["structural"]["p"] == "one seed"
        line = tables["Differences from the baseline"]["structural"]
        assert (line["seeds"], line["95% interval"], line["p"]) == ("1", "–", "one seed")
        details = tables["Differences from the baseline: the tests in detail"]["structural"]
        assert (details["p, not corrected"], details["p of seeds"]) == ("–", "–")
        assert details["p of sentences"] != "–"

    def test_gap_closed(self, complete):
        """Seed by seed, with the baseline and the teachers of the seed."""
        table = tables_of(complete)["Scores"]
        teachers = float(table["teachers (crf)"]["average"])
        averages = {
            row: [(x["de"] + x["en"]) / 2 for x in scores_by_run(complete, row=row)] for row in ROWS
        }
        baseline = statistics.fmean(averages["baseline"])
        for row in ROWS[1:]:
            gap = (statistics.fmean(averages[row]) - baseline) / (teachers - baseline)
            assert float(table[row]["gap closed"].rstrip("%")) == pytest.approx(100 * gap, abs=1)
        assert table["baseline"]["gap closed"] == table["baseline"]["p"] == "–"

    def test_rows_with_a_baseline_of_their_own(self, tmp_path, without_plots):
        """They are compared with that alone, and not the best of the suite."""
        results = make_results(tmp_path, rows=ROWS, seeds=(1, 2))
        results["suite"]["baselines"] = {"structural": "posterior"}
        for run in results["runs"]:
            run["dev"] += 20 * (run["row"] == "structural") + 10 * (run["row"] == "posterior")
        (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
        write_report(tmp_path)
        tables = tables_of(tmp_path)
        table = tables["Scores"]
        assert list(tables["Differences from the baseline"]) == [*ROWS[1:3], "structural"]
        assert [table[row]["baseline"] for row in ROWS[1:]] == [
            "baseline",
            "baseline",
            "–",
            "posterior",
        ]
        average = {
            row: statistics.fmean((x["de"] + x["en"]) / 2 for x in scores_by_run(tmp_path, row=row))
            for row in ("posterior", "structural")
        }
        gain = average["structural"] - average["posterior"]
        assert table["structural"]["gain"] == f"{gain:+.2f}"
        gap = 100 * gain / (float(table["teachers (crf)"]["average"]) - average["posterior"])
        assert float(table["structural"]["gap closed"].rstrip("%")) == pytest.approx(gap, abs=1)
        assert table["posterior"]["gain"] == "–"
        assert not bold_rows(tmp_path) & {"posterior", "structural"}

    def test_differences_are_the_default_contrasts(self, complete):
        tables = tables_of(complete)
        table = tables["Differences from the baseline"]
        saved = json.loads((complete / "contrasts.json").read_text(encoding="utf-8"))
        assert list(table) == [one["name"] for one in saved] == list(ROWS[1:])
        for one in saved:
            row = one["name"]
            assert (one["rows"], one["against"]) == ([row], ["baseline"])
            test = one["languages"]
            ours, theirs = (scores_by_run(complete, row=x) for x in (row, "baseline"))
            expected = [
                (x["de"] + x["en"] - y["de"] - y["en"]) / 2
                for x, y in zip(ours, theirs, strict=True)
            ]
            assert list(test["by_seed"].values()) == pytest.approx(expected)
            assert tables["Scores"][row]["gain"] == f"{statistics.fmean(expected):+.2f}"
            # The table has the test of the zero-shot languages after it.
            assert table[row]["average over"] == "zero-shot languages"
            assert table[row]["difference"] == f"{one['zero_shot']['difference']:+.2f}"

    def test_costs(self, complete):
        table = tables_of(complete)["Size and time"]
        runs = [run for run in results_of(complete)["runs"] if run["row"] == "posterior"]
        line = table["posterior"]
        assert (line["runs"], line["seeds"]) == ("3 of 3", "1, 2, 3")
        assert (line["parameters"], line["archive, MB"]) == ("700,000", "2.8")
        minutes = statistics.fmean(run["seconds"] for run in runs) / 60
        assert line["training time"] == f"{minutes:.1f} min"
        assert table["teachers (crf)"]["runs"] == "3 of 3"
        text = (complete / "report.md").read_text(encoding="utf-8")
        assert "recovered from a checkpoint: students/posterior/seed1.\n" in text

    def test_students_that_share_teachers(self, complete):
        text = (complete / "report.md").read_text(encoding="utf-8")
        (note,) = re.findall(r"^- Students of these rows share teachers.*", text, re.MULTILINE)
        shared = [f"{row} (1 for 3 students)" for row in ROWS[1:]]
        assert note.endswith(f"one set: {', '.join(shared)}.")

    def test_resources(self, complete):
        table = tables_of(complete)["Resources"]
        assert table["posterior"] == {
            "labelled sentences": "1,000",
            "labelled tokens": "12,000",
            "teachers' labelled sentences": "2,000",
            "teachers' labelled tokens": "23,000",
            "unlabelled sentences": "300",
            "unlabelled tokens": "4,000",
            "parameters": "700,000",
            "words": "5,000",
            "labels": "9",
        }
        assert table["baseline"]["teachers' labelled sentences"] == "0"
        assert table["teachers (crf)"]["unlabelled sentences"] == "0"

    def test_scores_without_repeated_sentences(self, tmp_path, without_plots):
        make_results(tmp_path, seeds=(1, 2), repeated={"de": "1,5-7,59", "pt": "0"})
        write_report(tmp_path)
        tables = tables_of(tmp_path)
        table = tables["Scores without repeated test sentences"]
        left = {"de": {0, 1, 5, 6, 7, 59}, "en": {0, 1}, "pt": {0, 1}}

        def average(place, languages):
            counts = json.loads((tmp_path / place / "counts.json").read_text(encoding="utf-8"))
            kept = {
                language: [x for i, x in enumerate(counts[language]) if i not in left[language]]
                for language in languages
            }
            return statistics.fmean(score(x) for x in kept.values())

        own = {
            row: [average(f"students/{row}/seed{seed}", ["de", "en"]) for seed in (1, 2)]
            for row in ("baseline", "posterior")
        }
        assert table["posterior"]["average"] == expected_cell(own["posterior"])
        gain = statistics.fmean(own["posterior"]) - statistics.fmean(own["baseline"])
        averages = re.findall(r"^\| posterior \|(.*)", (tmp_path / "report.md").read_text(), re.M)
        assert any(f" {gain:+.2f} " in line for line in averages)
        de = [average(f"teachers/crf/de/{i}", ["de"]) for i in (0, 1)]
        assert table["teachers (crf)"]["de"] == f"{statistics.fmean(de):.2f}"
        text = (tmp_path / "report.md").read_text(encoding="utf-8")
        counted = "6 of 60 in de (5 in labelled training data, 2 in unlabelled); 2 of 60 in en"
        assert counted in text
        # The tests are on all sentences.
        scores = scores_by_run(tmp_path, row="posterior")
        assert tables["Scores"]["posterior"]["de"] == expected_cell([x["de"] for x in scores])

    def test_no_repeated_sentences(self, complete):
        text = (complete / "report.md").read_text(encoding="utf-8")
        assert "No test sentence is in the training data of any model.\n" in text
        assert "without repeated" not in text

    def test_results_of_earlier_versions(self, tmp_path, without_plots):
        """They lack what was not recorded then."""
        results = make_results(tmp_path)
        for run in results["runs"]:
            for key in NEW_KEYS:
                run.pop(key, None)
        (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
        write_report(tmp_path)
        tables = tables_of(tmp_path)
        assert tables["Resources"]["posterior"]["labelled sentences"] == "–"
        assert tables["Resources"]["posterior"]["parameters"] == "700,000"
        assert tables["Scores"]["posterior"]["gap closed"] != "–"
        text = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert "- trained at: not recorded (9 runs)" in text
        assert "No test sentence" not in text
        assert "Not all runs" not in text

    def test_runs_of_several_revisions(self, complete, tmp_path, without_plots):
        text = (complete / "report.md").read_text(encoding="utf-8")
        assert f"- trained at: {40 * 'a'} (18 runs)\n" in text
        assert "- trained on: 1 of 2 cores, Intel(R) Xeon(R) (AVX2) (18 runs)\n" in text
        assert "Not all runs" not in text
        results = make_results(tmp_path, seeds=(1,))
        results["runs"][0]["revisions"] = ["b-dirty", "c"]
        del results["runs"][1]["revisions"]
        (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
        write_report(tmp_path)
        text = (tmp_path / "report.md").read_text(encoding="utf-8")
        made = f"b-dirty and then c (1 run); not recorded (1 run); {40 * 'a'} (4 runs)"
        assert (
            f"Not all runs are of one revision of the code as it was committed: {made}.\n" in text
        )

    def test_partial_results(self, partial):
        text = (partial / "report.md").read_text(encoding="utf-8")
        assert "of 9 runs 4 done, 1 failed, 4 waiting" in text
        assert "- students/emission/seed2: waiting" in text
        assert "- teachers/crf/de/1: failed" in text
        assert "      RuntimeError: <out> of | memory\n" in text
        tables = tables_of(partial)
        # Half of an ensemble is not the ensemble.
        teachers = tables["Scores"]["teachers (crf)"]
        assert [teachers[x] for x in ("de", "average", "pt")] == ["–"] * 3
        assert teachers["en"] != "–"
        assert set(tables["Scores"]["emission"].values()) == {"–"}
        (posterior,) = scores_by_run(partial, row="posterior")
        assert tables["Scores"]["posterior"]["pt"] == f"{posterior['pt']:.2f}"
        assert tables["Scores"]["posterior"]["gap closed"] == "–"
        assert list(tables["Differences from the baseline"]) == ["posterior"]
        costs = tables["Size and time"]
        assert (costs["posterior"]["runs"], costs["posterior"]["seeds"]) == ("1 of 2", "1")
        assert costs["emission"]["parameters"] == "–"

    def test_nothing_done_no_teachers_and_no_zero_shot_languages(self, tmp_path):
        without = [f"students/{row}/seed1" for row in ("baseline", "plain")]
        rows = {"zero_shot": (), "groups": (), "rows": ("baseline", "plain"), "seeds": (1,)}
        make_results(tmp_path, without=without, **rows)
        write_report(tmp_path)
        table = tables_of(tmp_path)["Scores"]
        assert {cell for row in table.values() for cell in row.values()} == {"–"}
        assert "<svg" not in (tmp_path / "report.html").read_text(encoding="utf-8")
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        make_results(tmp_path, **rows)
        write_report(tmp_path)
        plain = tables_of(tmp_path)["Scores"]["plain"]
        assert plain["average"] != "–"
        assert plain["gap closed"] == "–"


class TestBadInput:
    @pytest.fixture
    def directory(self, tmp_path):
        make_results(tmp_path, seeds=(1,))
        return tmp_path

    def test_no_results(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"results\.json does not exist: run"):
            write_report(tmp_path)

    def test_no_counts(self, directory):
        (directory / "students/posterior/seed1/counts.json").unlink()
        with pytest.raises(ConfigurationError, match=r"posterior/seed1/counts\.json cannot be"):
            write_report(directory)
        assert not (directory / "report.md").exists()

    def test_other_sentences(self, directory):
        path = directory / "students/posterior/seed1/counts.json"
        counts = json.loads(path.read_text(encoding="utf-8"))
        counts["de"].pop()
        path.write_text(json.dumps(counts), encoding="utf-8")
        with pytest.raises(ConfigurationError, match="seed1 was evaluated on other de sentences"):
            write_report(directory)
