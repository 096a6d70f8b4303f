"""`allennlp export-transformer` as its command line has it; what it writes is tested elsewhere."""

import pytest
from allennlp.common.checks import ConfigurationError

from tests.command_lines import commands_in
from tests.models.transformer_export_test import archived


def call(*arguments):
    (args,) = commands_in(f"allennlp export-transformer {' '.join(map(str, arguments))}", "")
    args.func(args)


@pytest.mark.parametrize(("mode", "lines"), [("first", 1), ("avg", 2)])
def test_what_is_printed(tmp_path, capsys, mode, lines):
    archive = archived(tmp_path / "t", {"sub_token_mode": mode})
    capsys.readouterr()
    call(archive, tmp_path / "written")
    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[0].startswith(f"{tmp_path / 'written'}: 5 labels; on ")
    assert len(printed) == lines
    assert (tmp_path / "written" / "README.md").exists()
    with pytest.raises(ConfigurationError, match="exists already"):
        call(archive, tmp_path / "written")
