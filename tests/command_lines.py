"""The command lines that comments and pages show, as AllenNLP parses them."""

import argparse
import functools
import re
import shlex
from typing import List
from unittest import mock

from allennlp.commands import parse_args

import structkd_allennlp.registrables  # noqa: F401


@functools.cache
def _parser() -> argparse.ArgumentParser:
    """The one of `allennlp`, which takes a while to make."""
    with mock.patch("sys.argv", ["allennlp", "train", "a.jsonnet", "-s", "out"]):
        return parse_args()[0]


def commands_in(text: str, margin: str) -> List[argparse.Namespace]:
    """
    Those of the lines that start with `margin` and `allennlp`, or with variables of configurations
    before it, which are in each one's `variables`.
    """
    variables = r"((?:(?:TASK|PERCENTAGE|ENCODER|DEVICES|NODES|ADDRESS)=\S+ )*)"
    found = re.findall(rf"^{margin}{variables}allennlp (.*)$", text, flags=re.MULTILINE)
    commands = []
    for values, line in found:
        args = _parser().parse_args(shlex.split(line))
        args.variables = dict(variable.split("=", 1) for variable in values.split())
        commands.append(args)
    return commands
