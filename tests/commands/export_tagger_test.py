"""`allennlp export-tagger`."""

import sys

import pytest
from allennlp.commands import main
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.serving import Tagger

ARCHIVE = "fixtures/teachers/es.tar.gz"


def export(monkeypatch, *arguments):
    package = ["--include-package", "structkd_allennlp"]
    monkeypatch.setattr(sys, "argv", ["allennlp", "export-tagger", *map(str, arguments), *package])
    main()


def test_export(tmp_path, monkeypatch, capsys):
    export(monkeypatch, ARCHIVE, tmp_path / "es", "--quantise", "int8")
    (line,) = capsys.readouterr().out.splitlines()
    path, *words = line.split()
    assert path == f"{tmp_path / 'es'}:"
    assert words[-4] == str(Tagger.load(tmp_path / "es").info["quantised"]["changed"])
    with pytest.raises(ConfigurationError, match="exists already"):
        export(monkeypatch, ARCHIVE, tmp_path / "es")
    with pytest.raises(SystemExit):
        export(monkeypatch, ARCHIVE, tmp_path / "other", "--quantise", "int4")
