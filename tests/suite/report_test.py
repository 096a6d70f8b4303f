"""The report of a suite, read back from its files."""

import html.parser
import itertools
import json
import re
import shutil
import statistics
import xml.etree.ElementTree

import matplotlib
import pytest
from allennlp.common.checks import ConfigurationError
from matplotlib.figure import Figure

from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.plots import _Plots
from structkd_allennlp.suite.plotting import SETTINGS
from structkd_allennlp.suite.report import write_report
from structkd_allennlp.suite.svg import ON_DARK, element
from tests.suite.synthetic import OBJECTIVES, make_results, score

ROWS = ("baseline", "weighted top-k", "weighted top-k, k=30", "posterior", "structural")
NEW_KEYS = ["data", "vocabulary", "environment", "repeated", "repeated_sentences", "teacher_runs"]
NEW_KEYS += ["initial_run", "dev_average", "revisions"]
VOID = {"meta", "link", "br", "img", "input", "hr"}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    directory = tmp_path_factory.mktemp("complete")
    make_results(directory, rows=ROWS, seeds=(1, 2, 3))
    write_report(directory)
    return directory


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    directory = tmp_path_factory.mktemp("partial")
    without = ["teachers/crf/de/1", "students/posterior/seed2", "students/baseline/seed2"]
    without += ["students/emission/seed1", "students/emission/seed2"]
    make_results(directory, metric="accuracy", without=without)
    write_report(directory)
    return directory


def results_of(directory):
    return json.loads((directory / "results.json").read_text(encoding="utf-8"))


def tables_of(directory):
    """By heading the tables of the Markdown, as dictionaries by row and column."""
    tables, heading = {}, None
    for line in (directory / "report.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading, header = line[3:], None
        elif line.startswith("|"):
            cells = [cell.strip().strip("*") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if header is None:
                header = cells
            elif not set("".join(cells)) <= set("-:"):
                assert len(cells) == len(header)
                row = dict(zip(header[1:], cells[1:], strict=True))
                tables.setdefault(heading, {})[cells[0]] = row
    return tables


def bold_rows(directory):
    text = (directory / "report.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| \*\*(.*?)\*\* \|", text, re.MULTILINE))


def expected_cell(values):
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def scores_by_run(directory, **wanted):
    return [
        run["scores"]
        for run in results_of(directory)["runs"]
        if run["status"] == "done" and all(run[key] == value for key, value in wanted.items())
    ]


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "text"):
            self.text.append(data)


def page_of(directory):
    return Page((directory / "report.html").read_text(encoding="utf-8"))


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
        assert "- trained on: 1 of 2 cores, Intel(R) Xeon(R) (18 runs)\n" in text
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


class TestPage:
    @pytest.fixture(params=["complete", "partial"])
    def directory(self, request):
        return request.getfixturevalue(request.param)

    def test_is_well_formed_and_fits_small_screens(self, directory):
        page = page_of(directory)
        assert page.open == []
        tags = [tag for tag, _ in page.tags]
        assert tags.count("h1") == 1
        assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
            page.tags
        )
        assert tags.count("table") == sum("scroll" in x.get("class", "") for _, x in page.tags)

    def test_needs_no_other_file(self, directory):
        text = (directory / "report.html").read_text(encoding="utf-8")
        page = page_of(directory)
        assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
        references = [
            value
            for _, attributes in page.tags
            for name, value in attributes.items()
            if name in ("href", "src", "xlink:href", "srcset")
        ]
        references += re.findall(r"url\(([^)]*)\)", text)
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {reference.removeprefix("#") for reference in references} <= set(ids)
        assert "@import" not in text

    def test_plots_have_labels(self, directory):
        plots = [attributes for tag, attributes in page_of(directory).tags if tag == "svg"]
        assert len(plots) > 5
        labels = [plot["aria-label"] for plot in plots]
        assert all(plot["role"] == "img" for plot in plots)
        assert len(labels) == len(set(labels))

    def test_plots(self, complete, partial):
        def headings(directory):
            text = (directory / "report.html").read_text(encoding="utf-8")
            return re.findall("<h2>([^<]*)</h2>", text)

        assert "Number of sequences k" in headings(complete)
        assert "Number of sequences k" not in headings(partial)
        for title in ("Learning curves", "Score against model size", "Contrasts"):
            assert title in headings(complete)

    def test_has_the_same_tables_as_the_markdown(self, directory):
        text = " ".join("".join(page_of(directory).text).split())
        for table in tables_of(directory).values():
            for row in table.values():
                for cell in row.values():
                    assert cell in text

    def test_text_is_no_markup(self, tmp_path):
        results = make_results(tmp_path, seeds=(1,))
        results["suite"]["title"] = "<script>alert(1)</script> a | b"
        results["suite"]["description"] = "</main> & $x_1$"
        (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
        write_report(tmp_path)
        page = page_of(tmp_path)
        assert "script" not in {tag for tag, _ in page.tags}
        assert page.open == []
        assert "<script>alert(1)</script> a | b" in page.text
        assert "</main> & $x_1$" in page.text


class TestImages:
    """The plots beside the Markdown."""

    def test_are_those_that_it_shows(self, complete):
        text = (complete / "report.md").read_text(encoding="utf-8")
        shown = dict(re.findall(r"^## (.*)\n\n!\[\1\]\((plots/.*\.svg)\)$", text, flags=re.M))
        assert "Number of sequences k" in shown
        assert {str(x.relative_to(complete)) for x in complete.glob("plots/*")} == set(
            shown.values()
        )

    def test_stand_alone(self, complete):
        for path in complete.glob("plots/*"):
            text = path.read_text(encoding="utf-8")
            root = xml.etree.ElementTree.fromstring(text)
            ids = [x.get("id") for x in root.iter() if x.get("id")]
            assert len(ids) == len(set(ids))
            references = re.findall(r"url\(#([^)]*)\)|href=\"#([^\"]*)\"", text)
            assert references
            assert {one or other for one, other in references} == set(ids)
            assert not re.search(r"href=\"(?!#)|@import|<script", text)
            # Panels have the page's width, and do not overlap.
            panels = root.findall("{http://www.w3.org/2000/svg}svg")
            width, height = (float(x) for x in root.get("viewBox").split()[2:])
            boxes = [
                [float(panel.get(x)) for x in ("x", "y", "width", "height")] for panel in panels
            ]
            assert width == pytest.approx(max(x + w for x, _, w, _ in boxes))
            assert height == pytest.approx(max(y + h for _, y, _, h in boxes))
            for (x, y, w, h), (u, v, m, n) in itertools.combinations(boxes, 2):
                assert x + w < u or u + m < x or y + h < v or v + n < y

    def test_text_is_text(self, complete):
        text = (complete / "plots/score-by-method-and-language.svg").read_text(encoding="utf-8")
        root = xml.etree.ElementTree.fromstring(text)
        words = {x.text for x in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"zero-shot average", "F1"} <= words
        assert any(word and word.startswith("posterior (n = ") for word in words)

    def test_those_of_an_earlier_report_are_gone(self, partial, tmp_path):
        copy = shutil.copytree(partial, tmp_path / "copy")
        old = copy / "plots" / "number-of-sequences-k.svg"
        old.write_text("<svg/>")
        write_report(copy)
        assert not old.exists()
        assert {x.name for x in copy.glob("plots/*")} == {x.name for x in partial.glob("plots/*")}


def test_coordinates_are_rounded_and_text_is_not():
    figure = Figure()
    figure.text(0.123456, 0.5, "0.123456 <x>")
    with matplotlib.rc_context(SETTINGS):
        svg = element("a & b", figure)
    assert "0.123456 &lt;x&gt;</text>" in svg
    assert svg.startswith('<svg viewBox="0 0 460.8 345.6" role="img" aria-label="a &amp; b"')
    tags = re.findall("<[^>]*>", svg)
    assert not [tag for tag in tags if re.search(r"\d\.\d{3}", tag)]


def test_on_a_dark_page_ink_is_light():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], color="black")
    axes.plot([2, 1], color="#123456")
    with matplotlib.rc_context(SETTINGS):
        svg = element("lines", figure)
    assert f"prefers-color-scheme:dark){{svg{{--a:{ON_DARK['#ffffff']};" in svg
    assert "stroke: var(--b,#000000)" in svg
    assert "stroke: #123456" in svg
    assert not re.search("(fill|stroke): #(000000|ffffff)", svg)


def test_rows_are_told_apart(tmp_path):
    make_results(tmp_path, rows=("baseline", *OBJECTIVES), groups=("crf", "softmax"), seeds=(1,))
    styles = _Plots(Comparison.read(tmp_path)).styles
    assert len(styles) == 12
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 12


def test_the_same_results_give_the_same_files(complete, tmp_path):
    copy = shutil.copytree(complete, tmp_path / "copy")
    write_report(copy)
    files = {path.relative_to(copy) for path in copy.rglob("*.*") if path.name != "counts.json"}
    names = {path.name for path in files if path.parent.name == ""}
    assert names == {
        "report.md",
        "report.html",
        "contrasts.json",
        "results.json",
        "counts.json.gz",
    }
    assert len(files) > 8
    for name in files:
        assert (copy / name).read_bytes() == (complete / name).read_bytes()


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
