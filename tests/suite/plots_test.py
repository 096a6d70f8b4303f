"""The plots of a report."""

import itertools
import re
import shutil
import xml.etree.ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.plots import _Plots
from structkd_allennlp.suite.plotting import SETTINGS
from structkd_allennlp.suite.report import write_report
from structkd_allennlp.suite.svg import ON_DARK, element
from tests.suite.synthetic import OBJECTIVES, make_results


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


def test_styles_are_classes_that_a_page_can_share():
    rules = []
    for colour in ("#123456", "#654321"):
        figure = Figure()
        figure.subplots().plot([1, 2], color=colour)
        with matplotlib.rc_context(SETTINGS):
            svg = element(colour, figure)
        assert "style=" not in svg
        rules.append(dict(re.findall(r"\.(s\w+)\{([^}]*)\}", svg)))
        assert set(re.findall('class="([^"]*)"', svg)) == set(rules[-1])
    # One name never means two styles, nor two names one.
    shared = {**rules[0], **rules[1]}
    assert all(shared[name] == style for name, style in rules[0].items())
    assert len(set(shared.values())) == len(shared) < sum(map(len, rules))


def test_rows_are_told_apart(tmp_path):
    make_results(tmp_path, rows=("baseline", *OBJECTIVES), groups=("crf", "softmax"), seeds=(1,))
    styles = _Plots(Comparison.read(tmp_path)).styles
    assert len(styles) == 12
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 12
