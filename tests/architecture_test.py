"""The package keeps to the layout that docs/architecture.md describes."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path("structkd_allennlp")
PAGE = Path("docs/architecture.md").read_text(encoding="utf-8")
# The folders as the page lists them, the top one first.
FOLDERS = re.findall(r"^\| `(\w+)/` \| (?!holds)", PAGE, re.MULTILINE)
FILES = [
    path
    for folder in (PACKAGE, "tests", "fixtures", "scripts", "benchmarks")
    for path in sorted(Path(folder).glob("**/*.py"))
]
# A callback knows the model that it serves.
EXCEPTIONS = {
    ("training/callbacks.py", "models"),
    ("training/masked_language_model.py", "models"),
}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module


def test_the_page_lists_every_folder():
    assert set(FOLDERS) == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_arrows_point_down(folder):
    above = {f"{PACKAGE.name}.{name}": name for name in FOLDERS[: FOLDERS.index(folder)]}
    found = set()
    for path in (PACKAGE / folder).glob("**/*.py"):
        for name in imports_of(path):
            upward = above.get(".".join(name.split(".")[:2]))
            if upward:
                found.add((str(path.relative_to(PACKAGE)), upward))
    assert found <= EXCEPTIONS


def test_a_chain_stands_on_its_own():
    own = f"{PACKAGE.name}.modules.linear_chain"
    for path in (PACKAGE / "modules/linear_chain").glob("*.py"):
        for name in imports_of(path):
            assert "allennlp" not in name or name.startswith(own), (path, name)


def test_files_hold_one_idea():
    lengths = {str(path): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_what_the_page_names_exists():
    names = set(re.findall(r"`([\w./]+\.(?:py|libsonnet))`", PAGE))
    assert len(names) > 20
    roots = [Path(), PACKAGE, *(path for path in PACKAGE.glob("**/") if path.is_dir())]
    assert [
        name for name in sorted(names) if not any((root / name).exists() for root in roots)
    ] == []
