"""Tag files, or standard input."""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from structkd_allennlp.common.cluster import add_executor_arguments
from structkd_allennlp.common.cores import cores
from structkd_allennlp.common.garbage import few_collections
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
from structkd_allennlp.serving.parquet import PARQUET, ParquetFile

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
        choices=("text", "jsonl", PARQUET, *_COLUMNS),
        help="""a sentence a line (text), the input of the predictor structured_tagger (jsonl, which
                text is, too, unless it starts with a brace), the same in columns (parquet), or a
                word a line. By default as files are named: .jsonl, .parquet, .conll, .conllu, and
                text; standard input is jsonl""",
    )
    add(
        "--to",
        dest="target",
        choices=("jsonl", PARQUET, *_COLUMNS, "terminal"),
        help="""by default as it came, else jsonl; terminal, for people to read, where standard
                output is one""",
    )
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="""there once it is whole; .gz packs it. On a cluster a directory of parts, as is that
                of --bad-lines""",
    )
    add("--language", help="of sentences that name none")
    add("--top-k", type=whole_number, default=1, help="how many tag sequences to list")
    add("--marginals", action="store_true", help="list the probability of every label")
    add("--skip-errors", action="store_true", help="go on after what cannot be tagged")
    add("--bad-lines", metavar="FILE", help="for what cannot be tagged, as it was")
    add(
        "--threads",
        type=whole_number,
        help=f"by default all cores, {cores()}; on a cluster all that it has",
    )
    add("--token-column", type=int, default=0, help="of CoNLL; by default 0, the first")
    add("--tag-column", type=int, help="by default -1, the last, in CoNLL; 3, UPOS, in CoNLL-U")
    add("--comment", help="how comments ahead of a sentence begin in CoNLL, such as '#'")
    add_executor_arguments(parser)


@few_collections()
def run(args: argparse.Namespace) -> None:
    # Here, so that to be told of a wrong option takes no time.
    from structkd_allennlp.serving.bulk import WINDOW, BulkTagger, read
    from structkd_allennlp.serving.outcomes import Asked
    from structkd_allennlp.serving.output import BadLines, OutputFile, StandardOutput
    from structkd_allennlp.serving.progress import progress_bar
    from structkd_allennlp.serving.tagger import Tagger

    if args.bad_lines is not None and not args.skip_errors:
        raise InputError("--bad-lines has nothing to write without --skip-errors")
    sources = [args.source or _source(path) for path in args.files]
    target = args.target or _target(sources, args)
    writer = _writer(target, args)
    if args.executor == "ray":
        _run_on_cluster(args, sources, target, writer)
        return
    if target == PARQUET:
        raise InputError(
            "--to parquet needs --executor ray, which works on this machine unless --address names "
            "a cluster"
        )
    threads = args.threads or cores()
    files = [
        ParquetFile(path) if name == PARQUET else InputFile(path)
        for path, name in zip(args.files, sources, strict=True)
    ]
    inputs = [(file, _reader(name, args)) for file, name in zip(files, sources, strict=True)]
    size = size_of(files)
    tagger = Tagger.load(args.model, threads=threads)
    bad = BadLines(args.bad_lines)
    output: Union[OutputFile, StandardOutput] = StandardOutput(bad)
    if args.output is not None:
        output = OutputFile(
            Path(args.output), {"--from": sources, **_settings(args, tagger, target)}, bad
        )
    # Whoever types a sentence wants to see it tagged before the next.
    interactive = args.files == [STDIN] and sys.stdin.isatty()
    bulk = BulkTagger(
        args.model,
        tagger,
        writer,
        args.language,
        Asked(args.top_k, args.marginals),
        processes=1 if interactive else threads,
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
    _report(bad.count, bad.path)


def _run_on_cluster(
    args: argparse.Namespace, sources: List[str], target: str, writer: Writer
) -> None:
    from structkd_allennlp.serving.cluster_tag import model_files, tag_on_cluster
    from structkd_allennlp.serving.file_systems import absolute
    from structkd_allennlp.serving.outcomes import Asked
    from structkd_allennlp.serving.part_tagger import Job
    from structkd_allennlp.serving.tagger import Tagger

    if args.output is None or target == "terminal":
        raise InputError("--executor ray writes a directory of parts: name it by --output")
    if STDIN in args.files:
        raise InputError("--executor ray tags files, not standard input: name them")
    tagger = Tagger.load(args.model, threads=1)
    job = Job(
        model=model_files(args.model),
        readers={name: _reader(name, args) for name in sources},
        writer=writer,
        target=target,
        labels=tagger.info["labels"] if args.marginals else None,
        language=args.language,
        asked=Asked(args.top_k, args.marginals),
        skip_errors=args.skip_errors,
        bad=None if args.bad_lines is None else absolute(args.bad_lines),
        output=absolute(args.output),
    )
    settings = _settings(args, tagger, target)
    errors = tag_on_cluster(job, args.files, sources, settings, args.address, args.threads)
    _report(errors, args.bad_lines)


def _report(errors: int, path: Optional[str]) -> None:
    if errors:
        place = "" if path is None else f", and they are in {path}"
        print(
            f"structkd: {errors:,} sentences could not be tagged; the output says why{place}",
            file=sys.stderr,
        )


def _source(path: str) -> str:
    if path == STDIN:
        return "jsonl"
    suffix = Path(path.removesuffix(".gz")).suffix
    names = {
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".parquet": PARQUET,
        ".conll": CONLL,
        ".conllu": CONLLU,
    }
    return names.get(suffix, "text")


def _target(sources: List[str], args: argparse.Namespace) -> str:
    if args.output is None and sys.stdout.isatty():
        return "terminal"
    as_it_came = (*_COLUMNS, PARQUET) if args.executor == "ray" else _COLUMNS
    same = len(set(sources)) == 1 and sources[0] in as_it_came
    return sources[0] if same else "jsonl"


def _reader(name: str, args: argparse.Namespace) -> Reader:
    if name == "text":
        return Text()
    return JsonLines() if name in ("jsonl", PARQUET) else _columns(name, args)


def _writer(name: str, args: argparse.Namespace) -> Writer:
    if name == "terminal":
        colour = "auto" if args.output is None and sys.stdout.isatty() else None
        return Terminal(shutil.get_terminal_size().columns, colour)
    return JsonLines() if name in ("jsonl", PARQUET) else _columns(name, args)


def _columns(name: str, args: argparse.Namespace) -> Union[Conll, Conllu]:
    if name == CONLLU:
        return Conllu() if args.tag_column is None else Conllu(args.tag_column)
    return Conll(
        args.token_column, -1 if args.tag_column is None else args.tag_column, args.comment
    )


def _settings(args: argparse.Namespace, tagger: Any, target: str) -> Dict[str, Any]:
    """All that decides on what is written, apart from the input and its formats."""
    model = json.dumps([tagger.name, tagger.info], sort_keys=True, default=str)
    return {
        "model": hashlib.sha256(model.encode()).hexdigest(),
        "--to": target,
        **{
            f"--{name.replace('_', '-')}": getattr(args, name)
            for name in (
                "language", "top_k", "marginals", "token_column", "tag_column", "comment"
            )
        },
    }  # fmt: skip
