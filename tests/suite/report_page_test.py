"""The page of a report: whole, readable, and without other files."""

import json
import re
import shutil

import pytest

from structkd_allennlp.suite.report import write_report
from tests.suite.reports import page_of, tables_of
from tests.suite.synthetic import make_results


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
