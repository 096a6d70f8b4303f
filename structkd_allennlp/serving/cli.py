"""Tag files, show the card of a model, serve models: what `allennlp export-tagger` has written."""

import argparse
import os
import re
import sys
from typing import Optional, Sequence

from structkd_allennlp.serving import serve_command, tag_command


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """
    The command `structkd`.

    # Returns

    `int` : 0, or 1 after an error, which standard error tells, or 130 after Ctrl-C.
    """
    args = parser().parse_args(arguments)
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough. What is left in the buffer has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"structkd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("structkd: stopped", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="structkd", description=__doc__)
    commands = result.add_subparsers(metavar="COMMAND", required=True)
    for name, add_arguments, run, description in (
        ("tag", tag_command.add_arguments, tag_command.run, tag_command.__doc__),
        ("show", _add_model, _show, "Show the card of a model."),
        ("serve", serve_command.add_arguments, serve_command.run, serve_command.__doc__),
    ):
        command = commands.add_parser(name, help=description, description=description)
        add_arguments(command)
        command.set_defaults(run=run)
    return result


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")


def _show(args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    from structkd_allennlp.serving.tagger import Tagger

    card = Tagger.load(args.model).card
    if sys.stdout.isatty():
        # What stands between the first dashes is for machines.
        Console().print(Markdown(re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)))
    else:
        print(card)


if __name__ == "__main__":
    sys.exit(main())
