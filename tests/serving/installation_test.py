"""What serves a tagger, installed by itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from structkd_allennlp.serving import Tagger

PIN = re.compile(r"^([\w.-]+==\S+)", re.MULTILINE)
LARGEST_MB = 300

PROGRAM = """
import json, sys
from importlib.util import find_spec
from structkd_allennlp.serving import Tagger
from structkd_allennlp.serving.server import create_app
texts = ["Maria Silva sings in Rotterdam.", ["Ada", "lives", "."]]
create_app({"en": Tagger.load(sys.argv[1])})
print(json.dumps([find_spec("torch") is None and find_spec("allennlp") is None,
                  Tagger.load(sys.argv[1], threads=1).tag(texts, "en", 3, True)]))
"""


def test_pins_are_those_of_everything():
    everything = set(PIN.findall(Path("requirements.txt").read_text(encoding="utf-8")))
    text = Path("requirements-serving.txt").read_text(encoding="utf-8")
    own = PIN.findall(text)
    assert set(own) <= everything
    assert len(own) == len(set(own)) > 20
    # Those that it mentions as well.
    assert set(re.findall(r"[\w.-]+==[\w.]+", text)) <= {pin.split(" ")[0] for pin in everything}


@pytest.mark.slow
def test_an_environment_without_torch(exported, tmp_path):
    """It is built from the list, tags, and is as small as it should be."""
    environment = tmp_path / "environment"
    python = environment / "bin/python"
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-m", "venv", environment], **run)
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "-r", "requirements-serving.txt"], **run)
    # A copy, since the build leaves things behind.
    sources = tmp_path / "sources"
    shutil.copytree("structkd_allennlp", sources / "structkd_allennlp")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(name, sources)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            tmp_path,
            sources,
        ],
        **run,
    )
    subprocess.run([*pip, *tmp_path.glob("*.whl")], **run)
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", PROGRAM, exported.resolve()], env=inherited, cwd=tmp_path, **run
    )
    without, results = json.loads(done.stdout)
    assert without
    assert results == Tagger.load(exported, threads=1).tag(
        ["Maria Silva sings in Rotterdam.", ["Ada", "lives", "."]], "en", 3, True
    )
    shown = subprocess.run([environment / "bin/structkd", "show", exported.resolve()], **run)
    assert "# en" in shown.stdout
    size = sum(
        file.lstat().st_size
        for file in environment.rglob("*")
        if file.is_file() and not file.is_symlink()
    )
    print(f"\nan environment that tags takes {size / 1e6:.0f} MB")
    assert size < LARGEST_MB * 1e6
