"""Where a job writes to, and how it goes on after it was stopped."""

import fcntl
import gzip
import hashlib
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, Iterator, Optional, Sequence

from structkd_allennlp.common.files import read_json, write_json
from structkd_allennlp.common.text import quoted
from structkd_allennlp.serving.bulk import Place, Tagged
from structkd_allennlp.serving.input_files import InputError


class BadLines:
    """
    Counts records that cannot be tagged.

    # Parameters

    path : `str`, optional (default = `None`)
        Where to write their lines, as they were.

    # Raises

    `InputError` where the file cannot be written.
    """

    def __init__(self, path: Optional[str] = None) -> None:
        self.path = path
        self.count = 0
        self._file: Optional[BinaryIO] = None
        if path is not None:
            try:
                self._file = open(path, "ab", buffering=0)  # noqa: SIM115
            except OSError as error:
                raise InputError(f"{path} cannot be written ({error.strerror})") from error

    def begin(self, count: int = 0, size: int = 0) -> None:
        """With as many records and bytes as have been written before."""
        self.count = count
        if self._file is not None:
            self._file.truncate(size)
            self._file.seek(size)

    def add(self, window: Iterable[Tagged]) -> None:
        errors = [tagged for tagged in window if tagged.error is not None]
        self.count += len(errors)
        if errors and self._file is not None:
            self._file.write(lines_of(errors))

    @property
    def size(self) -> int:
        return 0 if self._file is None else self._file.tell()


class StandardOutput:
    """Has nothing to go on from."""

    def __init__(self, bad: BadLines) -> None:
        self._bad = bad
        self._bad.begin()

    def remaining(self, places: Iterator[Place]) -> Iterator[Place]:
        return places

    def write(self, window: Sequence[Tagged]) -> None:
        sys.stdout.buffer.write(content_of(window))
        sys.stdout.buffer.flush()
        self._bad.add(window)

    def finish(self) -> None:
        pass


class OutputFile:
    """
    A file that is there when the job is done, and not before. Until then, `FILE.part` holds what
    has been written, and `FILE.part.json` says how much of it is whole and what it came from, so
    that the same command goes on where it was stopped, however that was. With a name that ends in
    `.gz` the file is packed.

    # Parameters

    path : `Path`
    settings : `Dict[str, Any]`
        All that decides on what is written, apart from the input.
    bad : `BadLines`

    # Raises

    `InputError` where the file exists, where it cannot be written, where another job writes it, and
    where what is there has been written with other settings or from other input.
    """

    def __init__(self, path: Path, settings: Dict[str, Any], bad: BadLines) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._journal = path.with_name(f"{path.name}.part.json")
        self._settings = settings
        self._bad = bad
        self._digest = hashlib.sha256()
        self._done = 0
        if path.exists():
            raise InputError(f"{path} exists. Remove it, or name another --output")
        try:
            self._file: BinaryIO = open(self._part, "ab")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{self._part} cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another job is writing {self._part}. Wait for it to end") from error
        self._found = self._read_journal()
        found = self._found or {"bytes": 0, "bad": 0, "bad_bytes": 0}
        self._file.truncate(found["bytes"])
        self._file.seek(found["bytes"])
        bad.begin(found["bad"], found["bad_bytes"])

    def _read_journal(self) -> Optional[Dict[str, Any]]:
        """`None` where there is nothing to go on from."""
        if not self._journal.exists():
            return None
        try:
            found = read_json(self._journal)
            whole = found["bytes"] <= os.path.getsize(self._part)
            before = found["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            whole, before = False, self._settings
        if not whole:
            raise InputError(f"{self._journal} does not fit {self._part}. {self._remedy()}")
        for name, value in self._settings.items():
            if before.get(name) != value:
                raise InputError(
                    f"{self._part} was begun with {name} {quoted(before.get(name))}, not "
                    f"{quoted(value)}. Go on as it was begun, or {self._remedy(lower=True)}"
                )
        return found

    def _remedy(self, lower: bool = False) -> str:
        remedy = f"Remove {self._part} and {self._journal.name} to begin anew"
        return remedy[0].lower() + remedy[1:] if lower else remedy

    def remaining(self, places: Iterator[Place]) -> Iterator[Place]:
        """What has not been written yet. The rest is read, to make sure that it is the same."""
        if self._found is not None:
            for _ in range(self._found["records"]):
                place = next(places, None)
                if place is None:
                    break
                self._add(place)
            if self._digest.hexdigest() != self._found["input"]:
                raise InputError(
                    f"the input is not what {self._part} was begun with, as far as that came. Go "
                    f"on with the same files, or {self._remedy(lower=True)}"
                )
        yield from places

    def write(self, window: Sequence[Tagged]) -> None:
        content = content_of(window)
        # A member of its own for each window, so that there is a whole file after each.
        self._file.write(gzip.compress(content) if self._path.suffix == ".gz" else content)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._bad.add(window)
        for tagged in window:
            self._add(tagged.place)
        state = {
            "settings": self._settings,
            "records": self._done,
            "input": self._digest.hexdigest(),
            "bytes": self._file.tell(),
            "bad": self._bad.count,
            "bad_bytes": self._bad.size,
        }
        write_json(self._journal, state)

    def _add(self, place: Place) -> None:
        self._done += 1
        record = place.record
        text = "\n".join((place.file.name, str(record.line), *record.lines, ""))
        self._digest.update(text.encode("utf-8", "surrogateescape"))

    def finish(self) -> None:
        os.replace(self._part, self._path)
        self._journal.unlink(missing_ok=True)
        self._file.close()

    @property
    def resumed(self) -> int:
        """How many records were there already."""
        return 0 if self._found is None else self._found["records"]


def content_of(window: Iterable[Tagged]) -> bytes:
    return b"".join(tagged.content for tagged in window)


def lines_of(errors: Iterable[Tagged]) -> bytes:
    """As they were."""
    lines = (f"{line}\n" for tagged in errors for line in tagged.place.record.lines)
    return "".join(lines).encode("utf-8", "surrogateescape")
