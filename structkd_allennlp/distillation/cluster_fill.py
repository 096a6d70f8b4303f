"""Fills a target store by the workers of a Ray cluster."""

import logging
import os
from collections import deque
from contextlib import closing
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Deque, Dict, Generator, Iterable, Iterator, List, Optional, Sequence, Tuple

from allennlp.common import Tqdm
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.cluster import Patience
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.fill import Missing, Part
from structkd_allennlp.distillation.scorer import Scorer, files_of
from structkd_allennlp.distillation.target_store import Entry, TargetStore

logger = logging.getLogger(__name__)

# Of a worker: one that it is at, and one that has come by the time it has done it.
_PARTS_A_WORKER = 2
# That have been read and wait for a worker, beside those of the chunk that is being read.
_PARTS_AHEAD = 32
# How often a part, or a new worker, may be lost.
_ATTEMPTS = 4


def score_missing_on_cluster(
    archives: Archives,
    sentences: Iterable[Sentence],
    workers: Optional[int] = None,
    gpu: bool = False,
    packages: Sequence[str] = (),
) -> None:
    """
    As `score_missing`, by workers of the Ray cluster that this process is connected to. This
    process reads the sentences and writes the store, so no other needs to see either; it holds no
    more than a few chunks of the sentences. Teachers that a worker does not see are sent to it.

    Batches are those of `score_missing`, also where it, or this, was interrupted and goes on: on
    machines of one kind, and with as many threads, scores are the same in every bit.

    # Parameters

    archives : `Archives`
        With a store.
    sentences : `Iterable[Sentence]`
    workers : `int`, optional (default = as many as the cluster has CPUs or, for `gpu`, GPUs)
    gpu : `bool`, optional (default = `False`)
        Whether a worker asks for a GPU, in place of a CPU.
    packages : `Sequence[str]`, optional
        With classes that are registered, which workers import.

    # Raises

    `ConfigurationError` for what teachers or sentences lack, and where the cluster has no workers
    for ten minutes, or loses a part, or new workers, several times.
    """
    # This process needs the models no more.
    archives.release()
    store = archives.store
    assert store is not None
    pool = _Pool(workers, gpu, packages, store)
    missing = Missing(archives)
    with (
        closing(pool),
        Tqdm.tqdm(desc="teacher targets", unit=" sentences") as progress,
        closing(_ahead(missing.parts(sentences, progress.update))) as parts,
    ):
        for part, entries in pool.scored(parts):
            store.add(entries)
            missing.stored(part)
            progress.update(len(entries))


def _ahead(parts: Iterator[Part]) -> Generator[Optional[Part], None, None]:
    """
    Reads in a thread of its own, a bounded number of parts ahead. `None` says that there is no part
    yet. To close it ends the thread.
    """
    queue: Queue[Any] = Queue(_PARTS_AHEAD)
    end = Event()

    def put(value: Any) -> bool:
        while not end.is_set():
            try:
                queue.put(value, timeout=0.5)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        try:
            for part in parts:
                if not put(part):
                    return
            put(StopIteration())
        except BaseException as error:
            put(error)

    thread = Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            try:
                value = queue.get(timeout=0.02)
            except Empty:
                yield None
                continue
            if isinstance(value, StopIteration):
                return
            if isinstance(value, BaseException):
                raise value
            yield value
    finally:
        end.set()
        thread.join()


class _Work:
    """A part on its way."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.losses = 0
        # What goes along: nothing, the source of the teacher, or its files too.
        self.baggage = 0


class _Pool:
    """Workers, some of which may be starting, or dead and about to be replaced."""

    def __init__(
        self, workers: Optional[int], gpu: bool, packages: Sequence[str], store: TargetStore
    ) -> None:
        import ray

        if workers is None:
            workers = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1)) or 1
        options = {"num_cpus": 0 if gpu else 1, "num_gpus": int(gpu), "max_restarts": 0}
        self._actor = ray.remote(**options)(Scorer)
        self._arguments = os.getcwd(), gpu, list(packages), store.encoding
        # By the future that says that they are ready.
        self._starting: Dict[Any, Any] = {}
        self._failed_starts = 0
        # How many parts each has in hand.
        self._ready: Dict[Any, int] = {}
        self._running: Dict[Any, Tuple[Any, _Work]] = {}
        self._again: Deque[_Work] = deque()
        # In Ray's object store: sources of teachers, and their files, by digest.
        self._sources: Dict[str, Any] = {}
        self._files: Dict[str, Any] = {}
        self._patience = Patience(
            lambda: logger.warning("the cluster has no room for a worker; waiting for one")
        )
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        actor = self._actor.remote(*self._arguments)
        self._starting[actor.ready.remote()] = actor

    def close(self) -> None:
        import ray

        for actor in [*self._ready, *self._starting.values()]:
            ray.kill(actor)

    def scored(self, parts: Iterator[Optional[Part]]) -> Iterator[Tuple[Part, List[Entry]]]:
        """The entries of parts, in any order. It takes no more parts than the workers can hold."""
        import ray

        more = True
        while True:
            more = self._submit(parts) if more or self._again else False
            if not more and not self._running and not self._again:
                return
            waiting = [*self._running, *self._starting]
            # While there is room, look for the next part soon.
            seconds = 0.05 if more and self._room() else Patience.LOOK_EVERY_SECONDS
            done, _ = ray.wait(waiting, timeout=seconds) if waiting else ([], [])
            for future in done:
                if future in self._starting:
                    self._started(future)
                    continue
                found = self._result(future)
                if found is not None:
                    yield found
            self._watch()

    def _room(self) -> Optional[Any]:
        idle = min(self._ready, key=self._ready.__getitem__, default=None)
        return idle if idle is not None and self._ready[idle] < _PARTS_A_WORKER else None

    def _submit(self, parts: Iterator[Optional[Part]]) -> bool:
        """Hands out parts as long as there is room. Returns whether there are more to come."""
        while (actor := self._room()) is not None:
            if self._again:
                self._send(actor, self._again.popleft())
                continue
            try:
                part = next(parts)
            except StopIteration:
                return False
            if part is None:
                break
            self._send(actor, _Work(part))
        return True

    def _send(self, actor: Any, work: _Work) -> None:
        future = actor.score.remote(*self._arguments_of(work))
        self._running[future] = actor, work
        self._ready[actor] += 1

    def _arguments_of(self, work: _Work) -> List[Any]:
        import ray

        source, digest = work.part.teacher.source, work.part.teacher.digest
        arguments = [digest, work.part.batches]
        if work.baggage > 0:
            if digest not in self._sources:
                self._sources[digest] = ray.put(source.at(source.name))
            arguments.append(self._sources[digest])
        if work.baggage > 1:
            if digest not in self._files:
                logger.info("teacher %s goes to workers that lack it", source.name)
                self._files[digest] = ray.put(files_of(source))
            arguments.append(self._files[digest])
        return arguments

    def _started(self, future: Any) -> None:
        actor = self._starting.pop(future)
        try:
            _value_of(future)
        except _Lost as error:
            self._failed_starts += 1
            if self._failed_starts == _ATTEMPTS:
                raise ConfigurationError(
                    f"the workers of the cluster cannot start ({error}): all nodes need the "
                    "environment of this command"
                ) from error
            self._start()
        else:
            self._failed_starts = 0
            self._ready[actor] = 0

    def _result(self, future: Any) -> Optional[Tuple[Part, List[Entry]]]:
        actor, work = self._running.pop(future)
        if actor in self._ready:
            self._ready[actor] -= 1
        try:
            entries = _value_of(future)
        except _Lost as error:
            work.losses += 1
            if work.losses == _ATTEMPTS:
                raise ConfigurationError(
                    f"sentences were lost with their worker {_ATTEMPTS} times, the last time by: "
                    f"{error}. The same command goes on"
                ) from error
            logger.warning("a worker is lost (%s); its sentences go to another", error)
            self._again.append(work)
            if self._ready.pop(actor, None) is not None:
                import ray

                ray.kill(actor)
                self._start()
            return None
        if entries is None:
            work.baggage += 1
            self._again.append(work)
            return None
        return work.part, entries

    def _watch(self) -> None:
        if self._patience.has_ended(alive=bool(self._ready)):
            raise ConfigurationError(
                f"for {Patience.SECONDS} seconds the cluster has had no room for a worker: "
                "start nodes by `ray start --address`. The same command goes on"
            )


class _Lost(Exception):
    """What a worker had in hand, with the worker or its node."""


def _value_of(future: Any) -> Any:
    import ray
    from ray import exceptions

    try:
        return ray.get(future)
    except exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ConfigurationError):
            raise ConfigurationError(cause.message) from error
        raise
    except exceptions.RayError as error:
        raise _Lost(str(error).strip().splitlines()[0]) from error
