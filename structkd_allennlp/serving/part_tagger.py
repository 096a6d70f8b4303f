"""What the nodes of a cluster do: tag parts of the input, each into a file of its own."""

import json
import socket
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO, Dict, NamedTuple, Optional, Sequence, Set

from structkd_allennlp.common.garbage import few_collections
from structkd_allennlp.serving.bulk import WINDOW, BulkTagger, read
from structkd_allennlp.serving.file_systems import OutputDirectory
from structkd_allennlp.serving.formats import Reader, Writer
from structkd_allennlp.serving.input_files import InputError
from structkd_allennlp.serving.outcomes import Asked
from structkd_allennlp.serving.output import content_of, lines_of
from structkd_allennlp.serving.parquet import PARQUET, ParquetStream
from structkd_allennlp.serving.parts import Piece
from structkd_allennlp.serving.tagger import Tagger

MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"


class Job(NamedTuple):
    """
    What those who tag have to know.

    # Parameters

    model : `Dict[str, bytes]`
        The files of an exported tagger.
    readers : `Dict[str, Reader]`
        By format of the input.
    writer : `Writer`
    target : `str`
        The format of the output.
    labels : `Sequence[str]`, optional
        Of the tagger, where the probability of each is asked for.
    language : `str`, optional
        Of sentences that name none.
    asked : `Asked`
    skip_errors : `bool`
    bad : `str`, optional
        The directory for what cannot be tagged.
    output : `str`
        The directory for the rest.
    """

    model: Dict[str, bytes]
    readers: Dict[str, Reader]
    writer: Writer
    target: str
    labels: Optional[Sequence[str]]
    language: Optional[str]
    asked: Asked
    skip_errors: bool
    bad: Optional[str]
    output: str


class OutputParts:
    """
    The output of a job: `part-000000.jsonl` and so on, `_manifest.json`, which says what they come
    from, and `_SUCCESS`, as soon as all of them are there. A part is there when it is whole, so the
    same job goes on with those that are not.

    # Parameters

    path : `str`
    manifest : `Dict[str, Any]`
        All that decides on what is written.

    # Raises

    `InputError` where there is something else, or the output of another job.
    """

    def __init__(self, path: str, manifest: Dict[str, Any]) -> None:
        self.directory = OutputDirectory(path)
        names = self.directory.names()
        content = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
        if SUCCESS in names or (names and MANIFEST not in names):
            raise InputError(f"{path} exists. Remove it, or name another --output")
        if names:
            self._check(json.loads(content))
        else:
            self.directory.write(MANIFEST, content)
        self.there: Set[str] = names

    def finish(self, count: int) -> None:
        """
        With so many parts.

        # Raises

        `InputError` where they are not there.
        """
        found = [name for name in self.directory.names() if name.startswith("part-")]
        if len(found) != count:
            raise InputError(
                f"{len(found)} of {count} parts are in {self.directory.path}: nobody may change "
                "it meanwhile. The same command writes those that are missing"
            )
        self.directory.write(SUCCESS, b"")
        self.directory.tidy()

    def _check(self, manifest: Dict[str, Any]) -> None:
        path = self.directory.path
        remedy = f"Go on as it was begun, or remove {path} to begin anew"
        try:
            before = json.loads(self.directory.read(MANIFEST))
            settings, inputs = before["settings"], before["inputs"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}/{MANIFEST} is damaged. Remove {path} to begin anew"
            ) from error
        for name, value in manifest["settings"].items():
            if settings.get(name) != value:
                raise InputError(
                    f"{path} was begun with {name} {settings.get(name)!r}, not {value!r}. {remedy}"
                )
        if inputs != manifest["inputs"]:
            changed = [own[0] for own in manifest["inputs"] if own not in inputs]
            reason = (
                f"{changed[0]} was not among it, has been changed, or had another --from"
                if changed
                else "there was more, or it was in another order"
            )
            raise InputError(f"the input is not what {path} was begun with: {reason}. {remedy}")


def part_name(number: int, target: str) -> str:
    return f"part-{number:06}.{target}"


class PartTagger:
    """
    Tags parts, one after the other, on one thread.

    # Parameters

    job : `Job`
    """

    def __init__(self, job: Job) -> None:
        self._job = job._replace(model={})
        with tempfile.TemporaryDirectory(prefix="structkd-") as directory:
            for name, content in job.model.items():
                Path(directory, name).write_bytes(content)
            self._tagger = Tagger.load(directory, threads=1)
            # After this it reads nothing from there any more.
            self._tagger.warm_up()

    def __call__(self, number: int, pieces: Sequence[Piece]) -> Dict[str, Any]:
        """
        Tags a part.

        # Returns

        `Dict[str, Any]`
            `number`, `sentences`, `errors`; or why it was given up, `failure`, which is empty
            otherwise.
        """
        counts = {"sentences": 0, "errors": 0}
        failure = ""
        try:
            with few_collections():
                self._tag(number, pieces, counts)
        except (ValueError, OSError) as error:
            failure = str(error)
            if not isinstance(error, _BadSentence):
                failure += f" (on the node {socket.gethostname()})"
        return {"number": number, "failure": failure, **counts}

    def _tag(self, number: int, pieces: Sequence[Piece], counts: Dict[str, int]) -> None:
        job = self._job
        output = OutputDirectory(job.output)
        if not output.has(MANIFEST):
            raise InputError(
                f"{job.output} is not there: --output must be on a path that all nodes see, or at "
                "a URI such as s3://bucket/name"
            )
        inputs = [(piece.source(), job.readers[piece.form]) for piece in pieces]
        bulk = BulkTagger(
            "", self._tagger, job.writer, job.language, job.asked, processes=1, window=WINDOW
        )
        name = part_name(number, job.target)
        # What is opened last is closed first, and a part that is there is done: so bad lines are
        # there before it.
        with output.writing(name) as file, ExitStack() as rest:
            stream: Any = file
            if job.target == PARQUET:
                stream = rest.enter_context(closing(ParquetStream(file, job.labels)))
            bad: Optional[BinaryIO] = None
            for window in bulk.windows(read(inputs)):
                errors = [tagged for tagged in window if tagged.error is not None]
                if errors and not job.skip_errors:
                    raise _BadSentence(
                        f"{errors[0].error}\nSay --skip-errors, and the same command goes on. A "
                        "file that is mended is another one, for another --output"
                    )
                stream.write(content_of(window))
                if errors and job.bad is not None:
                    if bad is None:
                        bad = rest.enter_context(OutputDirectory(job.bad).writing(f"{name}.txt"))
                    bad.write(lines_of(errors))
                counts["sentences"] += len(window)
                counts["errors"] += len(errors)


class _BadSentence(InputError):
    """Says itself where it is."""
