"""Tag files, or standard input."""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List, Union

from structkd_allennlp.common.cores import cores
from structkd_allennlp.serving.arguments import whole_number
from structkd_allennlp.serving.formats import (
    CONLL,
    CONLLU,
    Conll,
    Conllu,
    JsonLines,
    Reader,
    Terminal,
    Text,
    Writer,
)
from structkd_allennlp.serving.input_files import STDIN, InputError, InputFile, size_of

# Columns go out as they came.
_COLUMNS = (CONLL, CONLLU)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "The same command with the same --output goes on where it was stopped."
    add = parser.add_argument
    add("model", metavar="MODEL")
    add("files", nargs="*", default=[STDIN], metavar="FILE", help="plain or gzip; - is stdin")
    add(
        "--from",
        dest="source",
        choices=("text", "jsonl", *_COLUMNS),
        help="""a sentence a line (text), the input of the predictor structured_tagger (jsonl, which
                text is, too, unless it starts with a brace), or columns. By default as files are
                named: .jsonl, .conll, .conllu, and text; standard input is jsonl""",
    )
    add(
        "--to",
        dest="target",
        choices=("jsonl", *_COLUMNS, "terminal"),
        help="""by default columns as they came, else jsonl; terminal, for people to read, where
                standard output is one""",
    )
    add("-o", "--output", type=Path, metavar="FILE", help="there once it is whole; .gz packs it")
    add("--language", help="of sentences that name none")
    add("--top-k", type=whole_number, default=1, help="how many tag sequences to list")
    add("--marginals", action="store_true", help="list the probability of every label")
    add("--skip-errors", action="store_true", help="go on after what cannot be tagged")
    add("--bad-lines", metavar="FILE", help="for what cannot be tagged, as it was")
    add("--threads", type=whole_number, default=cores(), help="by default all cores, %(default)s")
    add("--token-column", type=int, default=0, help="of CoNLL; by default 0, the first")
    add("--tag-column", type=int, help="by default -1, the last, in CoNLL; 3, UPOS, in CoNLL-U")
    add("--comment", help="how comments ahead of a sentence begin in CoNLL, such as '#'")


def run(args: argparse.Namespace) -> None:
    # Here, so that to be told of a wrong option takes no time.
    from structkd_allennlp.serving.bulk import WINDOW, BulkTagger, read
    from structkd_allennlp.serving.outcomes import Asked
    from structkd_allennlp.serving.output import BadLines, OutputFile, StandardOutput
    from structkd_allennlp.serving.progress import progress_bar
    from structkd_allennlp.serving.tagger import Tagger

    if args.bad_lines is not None and not args.skip_errors:
        raise InputError("--bad-lines has nothing to write without --skip-errors")
    files = [InputFile(path) for path in args.files]
    sources = [args.source or _source(path) for path in args.files]
    target = args.target or _target(sources, args)
    inputs = [(file, _reader(name, args)) for file, name in zip(files, sources, strict=True)]
    writer = _writer(target, args)
    size = size_of(files)
    tagger = Tagger.load(args.model, threads=args.threads)
    bad = BadLines(args.bad_lines)
    output: Union[OutputFile, StandardOutput] = StandardOutput(bad)
    if args.output is not None:
        output = OutputFile(args.output, _settings(args, tagger, sources, target), bad)
    # Whoever types a sentence wants to see it tagged before the next.
    interactive = args.files == [STDIN] and sys.stdin.isatty()
    bulk = BulkTagger(
        args.model,
        tagger,
        writer,
        args.language,
        Asked(args.top_k, args.marginals),
        processes=1 if interactive else args.threads,
        window=1 if interactive else WINDOW,
    )
    with progress_bar(size) as progress:
        for window in bulk.windows(output.remaining(read(inputs))):
            errors = [i for i, tagged in enumerate(window) if tagged.error is not None]
            if errors and not args.skip_errors:
                output.write(window[: errors[0]])
                raise InputError(
                    f"{window[errors[0]].error}\nMend it, or say --skip-errors"
                    + (", and the same command goes on from there" if args.output else "")
                )
            output.write(window)
            progress.add(len(window), window[-1].place.done)
    output.finish()
    if bad.count:
        place = "" if bad.path is None else f", and they are in {bad.path}"
        print(
            f"structkd: {bad.count:,} sentences could not be tagged; the output says why{place}",
            file=sys.stderr,
        )


def _source(path: str) -> str:
    if path == STDIN:
        return "jsonl"
    suffix = Path(path.removesuffix(".gz")).suffix
    names = {".jsonl": "jsonl", ".ndjson": "jsonl", ".conll": CONLL, ".conllu": CONLLU}
    return names.get(suffix, "text")


def _target(sources: List[str], args: argparse.Namespace) -> str:
    if args.output is None and sys.stdout.isatty():
        return "terminal"
    same = len(set(sources)) == 1 and sources[0] in _COLUMNS
    return sources[0] if same else "jsonl"


def _reader(name: str, args: argparse.Namespace) -> Reader:
    if name == "text":
        return Text()
    return JsonLines() if name == "jsonl" else _columns(name, args)


def _writer(name: str, args: argparse.Namespace) -> Writer:
    if name == "terminal":
        colour = "auto" if args.output is None and sys.stdout.isatty() else None
        return Terminal(shutil.get_terminal_size().columns, colour)
    return JsonLines() if name == "jsonl" else _columns(name, args)


def _columns(name: str, args: argparse.Namespace) -> Union[Conll, Conllu]:
    if name == CONLLU:
        return Conllu() if args.tag_column is None else Conllu(args.tag_column)
    return Conll(
        args.token_column, -1 if args.tag_column is None else args.tag_column, args.comment
    )


def _settings(
    args: argparse.Namespace, tagger: Any, sources: List[str], target: str
) -> Dict[str, Any]:
    """All that decides on what is written, apart from the input."""
    model = json.dumps([tagger.name, tagger.info], sort_keys=True, default=str)
    return {
        "model": hashlib.sha256(model.encode()).hexdigest(),
        "--from": sources,
        "--to": target,
        **{
            f"--{name.replace('_', '-')}": getattr(args, name)
            for name in (
                "language", "top_k", "marginals", "token_column", "tag_column", "comment"
            )
        },
    }  # fmt: skip
