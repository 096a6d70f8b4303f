"""Reports of made-up results, and what they say."""

import html.parser
import re
import statistics

from structkd_allennlp.common.files import read_json

ROWS = ("baseline", "weighted top-k", "weighted top-k, k=30", "posterior", "structural")
VOID = {"meta", "link", "br", "img", "input", "hr"}


def results_of(directory):
    return read_json(directory / "results.json")


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
