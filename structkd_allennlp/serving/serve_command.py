"""Serve models to other programs, and as a page to try them on."""

import argparse
import socket
from typing import Dict

from structkd_allennlp.common.cores import cores
from structkd_allennlp.serving.arguments import whole_number
from structkd_allennlp.serving.input_files import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL")
    add("--host", default="127.0.0.1", help="by default this machine alone: %(default)s")
    add("--port", type=int, default=8000, help="by default %(default)s; 0 takes any that is free")
    add("--threads", type=whole_number, default=cores(), help="by default all cores, %(default)s")
    add(
        "--batch-delay",
        type=float,
        default=2.0,
        help="milliseconds, for others to share a batch; by default %(default)s",
    )
    add(
        "--max-body",
        type=whole_number,
        default=1_000_000,
        help="bytes of a request; by default %(default)s",
    )
    add(
        "--max-sentences",
        type=whole_number,
        default=1000,
        help="of a request; by default %(default)s",
    )
    add(
        "--max-characters",
        type=whole_number,
        default=10_000,
        help="of a sentence; by default %(default)s",
    )
    add(
        "--max-waiting",
        type=whole_number,
        default=4000,
        help="sentences, before requests are turned away; by default %(default)s",
    )


def run(args: argparse.Namespace) -> None:
    try:
        import uvicorn

        from structkd_allennlp.serving.server import Limits, create_app
        from structkd_allennlp.serving.watch import WatchedProtocol
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error}: a server needs it. Say pip install structkd_allennlp[serving]"
        ) from error
    from structkd_allennlp.serving.tagger import Tagger

    loaded = [(path, Tagger.load(path, threads=args.threads)) for path in args.models]
    for _, tagger in loaded:
        tagger.warm_up()
    taggers: Dict[str, Tagger] = {}
    names = [tagger.name for _, tagger in loaded]
    for path, tagger in loaded:
        # Directories of models are often named alike.
        taggers[tagger.name if names.count(tagger.name) == 1 else path] = tagger
    limits = Limits(
        body=args.max_body,
        sentences=args.max_sentences,
        characters=args.max_characters,
        waiting=args.max_waiting,
        delay=args.batch_delay / 1000,
    )
    config = uvicorn.Config(
        create_app(taggers, limits),
        http=WatchedProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=1000,
        timeout_graceful_shutdown=60,
    )
    try:
        family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
        sock = socket.create_server((args.host, args.port), family=family, backlog=2048)
    except OSError as error:
        raise InputError(
            f"{args.host}, port {args.port}: {error.strerror}. Name another --port"
        ) from error
    host = f"[{args.host}]" if ":" in args.host else args.host
    print(
        f"{', '.join(taggers)} at http://{host}:{sock.getsockname()[1]}/ (Ctrl-C ends)", flush=True
    )
    uvicorn.Server(config).run(sockets=[sock])
