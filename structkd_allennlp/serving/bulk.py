"""Tags files of any size: in order, in constant memory, on all cores that it is given."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import (
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from structkd_allennlp.common.batching import by_length
from structkd_allennlp.common.garbage import few_collections
from structkd_allennlp.serving.formats import Reader, Record, Writer
from structkd_allennlp.serving.input_files import InputError, Source
from structkd_allennlp.serving.outcomes import TOKENS_PER_BATCH, Asked, length_of, outcomes_of
from structkd_allennlp.serving.tagger import Result, Tagger

WINDOW = 2048
"""Records."""

_WINDOW_BYTES = 2_000_000


class Place(NamedTuple):
    """
    # Parameters

    file : `Source`
    record : `Record`
    done : `int`
        How many bytes of all files have been read, about.
    """

    file: Source
    record: Record
    done: int = 0

    def explained(self, reason: str) -> str:
        line = self.record.error_line or self.record.line
        return f"{self.file.place(line)}: {reason}"


class Tagged(NamedTuple):
    """
    # Parameters

    place : `Place`
    content : `bytes`
        What is to be written.
    error : `str`, optional
        Why it is only a message.
    """

    place: Place
    content: bytes
    error: Optional[str]


Rendered = Tuple[bytes, Optional[str]]
"""The content and the error of a record."""

Batch = Tuple[List[int], "Future[List[Rendered]]"]
"""Numbers of records in a window, and what comes of them."""


def read(files: Iterable[Tuple[Source, Reader]]) -> Iterator[Place]:
    """The records of files, one after the other."""
    before = done = 0

    def report(size: int) -> None:
        nonlocal done
        done = before + size

    for file, reader in files:
        for record in reader.read(file.lines(report)):
            yield Place(file, record, done)
        before = done


class BulkTagger:
    """
    Tags records, a window of them after another. Those of a window are sorted by length into
    batches, which go to as many processes as there are cores, each with the model on one thread.
    What fits into one window is tagged in this process, since others take a while to start.

    # Parameters

    model : `str`
        Path of an exported tagger.
    tagger : `Tagger`
        The same, loaded.
    writer : `Writer`
    language : `str`, optional
        Of sentences that name none.
    asked : `Asked`
    processes : `int`
    window : `int`
        Of how many records at most.

    # Raises

    `InputError` where a process ends by itself, as it does when memory runs out.
    """

    def __init__(
        self,
        model: str,
        tagger: Tagger,
        writer: Writer,
        language: Optional[str],
        asked: Asked,
        processes: int,
        window: int,
    ) -> None:
        self._model = model
        self._tagger = tagger
        self._rest = writer, language, asked
        self._processes = processes
        self._window = window

    def windows(self, places: Iterator[Place]) -> Iterator[List[Tagged]]:
        """The records of a window together, in the order in which they came."""
        windows = _windows(places, self._window)
        # Whoever types sentences waits for each.
        first = [] if self._window == 1 else list(islice(windows, 2))
        more = len(first) == 2
        if not more or self._processes == 1:
            if more:
                # Before the first, so that the last digits are those of several processes.
                self._tagger.warm_up()
            for window in chain(first, windows):
                yield _gathered(window, self._submitted(self._here, window))
            return
        executor = ProcessPoolExecutor(
            self._processes,
            # A copy of a process with threads, such as onnxruntime's, may hang.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._model,),
        )

        def elsewhere(places: List[Place]) -> "Future[List[Rendered]]":
            return executor.submit(_work, places, *self._rest)

        waiting: Deque[Tuple[List[Place], List[Batch]]] = deque()
        try:
            for window in chain(first, windows):
                waiting.append((window, self._submitted(elsewhere, window)))
                # One more, so that nobody has to wait for the slowest batch of another.
                if len(waiting) > self._processes:
                    yield _gathered(*waiting.popleft())
            while waiting:
                yield _gathered(*waiting.popleft())
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _here(self, places: List[Place]) -> "Future[List[Rendered]]":
        future: Future[List[Rendered]] = Future()
        future.set_result(rendered(self._tagger, places, *self._rest))
        return future

    @staticmethod
    def _submitted(
        submit: Callable[[List[Place]], "Future[List[Rendered]]"], window: List[Place]
    ) -> List[Batch]:
        def length(i: int) -> int:
            return length_of(window[i].record.request)

        return [
            (batch, submit([window[i] for i in batch]))
            for batch in by_length(range(len(window)), length, TOKENS_PER_BATCH)
        ]


_tagger: Optional[Tagger] = None
"""That of this process, where it is one of several."""


def _start(model: str) -> None:
    global _tagger
    # Ctrl-C reaches all processes of a terminal; the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _tagger = Tagger.load(model, threads=1)
    _tagger.warm_up()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(
    places: List[Place], writer: Writer, language: Optional[str], asked: Asked
) -> List[Rendered]:
    assert _tagger is not None
    with few_collections():
        return rendered(_tagger, places, writer, language, asked)


def rendered(
    tagger: Tagger, places: Sequence[Place], writer: Writer, language: Optional[str], asked: Asked
) -> List[Rendered]:
    """What is to be written of each record."""
    requests = [
        request if request.language else request._replace(language=language)
        for request in (place.record.request for place in places)
        if request is not None
    ]
    outcomes = iter(outcomes_of(tagger, requests, asked) if requests else [])
    return [
        _rendered(place, None if place.record.request is None else next(outcomes), writer)
        for place in places
    ]


def _rendered(place: Place, outcome: Union[Result, str, None], writer: Writer) -> Rendered:
    error = outcome if isinstance(outcome, str) else place.record.error
    if error is None:
        assert not isinstance(outcome, str)
        try:
            return writer.write(place.record, outcome), None
        except InputError as problem:
            error = str(problem)
    message = place.explained(error)
    return writer.write_error(message), message


def _gathered(window: List[Place], batches: List[Batch]) -> List[Tagged]:
    found: Dict[int, Rendered] = {}
    for batch, future in batches:
        try:
            found.update(zip(batch, future.result(), strict=True))
        except BrokenProcessPool as error:
            raise InputError(
                "a process that tags has ended by itself, as happens when memory runs out. Use "
                "fewer --threads"
            ) from error
    return [Tagged(place, *found[i]) for i, place in enumerate(window)]


def _windows(places: Iterator[Place], most: int) -> Iterator[List[Place]]:
    window: List[Place] = []
    size = 0
    for place in places:
        window.append(place)
        size += sum(map(len, place.record.lines))
        if len(window) >= most or size >= _WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window
