"""README.md and the pages under docs/ say what is true, as far as that can be told in seconds."""

import doctest
import functools
import json
import re
from itertools import islice
from pathlib import Path

import _jsonnet
import pytest
from allennlp.common import Params
from allennlp.data import DatasetReader

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.data.corpus_paths import file_of
from tests.command_lines import commands_in

PAGES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
# Of results, only links: their text names what was there when they were made.
RESULTS = sorted(Path("docs/results").glob("**/*.md"))
# Places in this repository; with a `*`, `{` or a capital placeholder a name stands for many.
PLACE = re.compile(
    r"(?<![\w./-])(?:structkd_allennlp|training_configs|fixtures|scripts|benchmarks|tests|docs)/[\w./-]*\w"
)


def pages(paths):
    return pytest.mark.parametrize("page", paths, ids=str)


def blocks(page, language):
    """The fenced blocks in a language, each with its first line's number."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start(1)), match[1]


def anchors(page):
    """What the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_a_front_door():
    text = Path("README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 200
    for page in PAGES[1:]:
        assert f"]({page})" in text, "say where to read on"


@pages(PAGES + RESULTS)
def test_links_lead_somewhere(page):
    text = re.sub("^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\((?!https?:)([^)\s]*)\)", text):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages(PAGES)
def test_places_exist(page):
    text = page.read_text(encoding="utf-8")
    names = {match[0] for match in PLACE.finditer(text) if text[match.end()] not in "*{"}
    missing = [name for name in names if not Path(name).exists()]
    assert not missing


@pages(PAGES)
def test_commands_parse(page):
    """Their options exist, and so do their configurations and the values that they override."""
    for args in commands_in(page.read_text(encoding="utf-8"), " {4}"):
        path = getattr(args, "param_path", None) or getattr(args, "suite_path", None)
        if path is not None:
            values = functools.partial(Params.from_file, path, ext_vars=args.variables)
            plain, overridden = values().as_dict(), values(args.overrides).as_dict()
            assert (plain != overridden) == bool(args.overrides)


@pages(PAGES)
def test_configurations_evaluate(page):
    """As a file in the root of the repository would."""
    for line, block in blocks(page, "jsonnet"):
        try:
            _jsonnet.evaluate_snippet("docs.jsonnet", block)
        except RuntimeError as error:
            pytest.fail(f"{page}, line {line}: {error}")


@pages(PAGES)
def test_corpora_can_be_read(page):
    """As far as they are here."""
    for line, block in blocks(page, "jsonnet"):
        config = Params(json.loads(_jsonnet.evaluate_snippet("docs.jsonnet", block)))
        if "dataset_reader" not in config or "train_data_path" not in config:
            continue
        reader = DatasetReader.from_params(config.pop("dataset_reader"))
        path = config.as_dict(quiet=True)["train_data_path"]
        if all(file_of(file.path).exists() for file in reader.files(path)):
            found = {sentence.language for sentence in islice(reader.sentences(path), 2)}
            assert len(found) == 2, f"{page}, line {line}"


@pages([page for page in PAGES if any(blocks(page, "python"))])
def test_python_does_what_it_shows(page):
    """The blocks of a page, in order, are one session at the prompt."""
    examples = []
    for line, block in blocks(page, "python"):
        for example in doctest.DocTestParser().get_examples(block, str(page)):
            example.lineno += line
            examples.append(example)
    assert examples
    test = doctest.DocTest(examples, {}, str(page), str(page), 0, None)
    messages = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.DocTestRunner(optionflags=flags).run(test, out=messages.append)
    assert not failed, "".join(messages)
