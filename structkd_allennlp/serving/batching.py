"""Puts the sentences of requests that arrive together into batches."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

from structkd_allennlp.common.batching import by_length
from structkd_allennlp.common.requests import Request
from structkd_allennlp.serving.input_files import InputError
from structkd_allennlp.serving.metrics import ModelMetrics
from structkd_allennlp.serving.outcomes import TOKENS_PER_BATCH, Asked, length_of, outcomes_of
from structkd_allennlp.serving.tagger import Result, Tagger


class Overloaded(Exception):
    """More waits than may."""


class _Job(NamedTuple):
    request: Request
    asked: Asked
    result: "asyncio.Future[Result]"


class Batcher:
    """
    Tags for many at once. The model runs in one thread; what arrives meanwhile, and in the
    milliseconds after the first of a batch, passes through it together.

    # Parameters

    tagger : `Tagger`
    metrics : `ModelMetrics`
    delay : `float`
        How long a sentence waits for others, in seconds.
    most_waiting : `int`
        Sentences. A request that finds the queue empty may bring more.
    """

    def __init__(
        self, tagger: Tagger, metrics: ModelMetrics, delay: float, most_waiting: int
    ) -> None:
        self.tagger = tagger
        self._metrics = metrics
        self._delay = delay
        self._most_waiting = most_waiting
        self._waiting: List[_Job] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=tagger.name)
        self._runner: Optional[asyncio.Task] = None

    def start(self) -> None:
        self._runner = asyncio.get_running_loop().create_task(self._run())

    @property
    def waiting(self) -> int:
        """How many sentences wait to be tagged."""
        return len(self._waiting)

    async def close(self) -> None:
        """After all that waits has been tagged."""
        self._closing = True
        self._arrived.set()
        if self._runner is not None:
            await self._runner
        self._thread.shutdown()

    async def tag(self, requests: Sequence[Request], asked: Asked) -> List[Result]:
        """
        # Raises

        `Overloaded` where too much waits already, `InputError` for what cannot be tagged.
        """
        if self._closing or (
            self._waiting and len(self._waiting) + len(requests) > self._most_waiting
        ):
            self._metrics.rejected.inc()
            raise Overloaded
        loop = asyncio.get_running_loop()
        jobs = [_Job(request, asked, loop.create_future()) for request in requests]
        self._waiting += jobs
        self._metrics.waiting.set(len(self._waiting))
        self._arrived.set()
        try:
            return await asyncio.gather(*(job.result for job in jobs))
        finally:
            # Where one has failed, or nobody waits any more, the others need not be tagged.
            for job in jobs:
                job.result.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if not self._closing:
                await asyncio.sleep(self._delay)
            self._arrived.clear()
            jobs = [job for job in self._waiting if not job.result.done()]
            self._waiting = []
            self._metrics.waiting.set(0)
            for batch in _batches(jobs):
                outcomes = await loop.run_in_executor(self._thread, self._tagged, batch)
                for job, outcome in zip(batch, outcomes, strict=True):
                    if job.result.done():
                        continue
                    if isinstance(outcome, str):
                        job.result.set_exception(InputError(outcome))
                    else:
                        job.result.set_result(outcome)
            if self._closing and not self._waiting:
                return

    def _tagged(self, batch: Sequence[_Job]) -> List[Union[Result, str]]:
        with self._metrics.seconds.time():
            requests = [job.request for job in batch]
            outcomes = outcomes_of(self.tagger, requests, batch[0].asked)
        self._metrics.batch_sentences.observe(len(batch))
        tagged = (outcome for outcome in outcomes if not isinstance(outcome, str))
        self._metrics.tokens.inc(sum(len(outcome["words"]) for outcome in tagged))
        return outcomes


def _batches(jobs: Sequence[_Job]) -> List[List[_Job]]:
    groups: Dict[Asked, List[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.asked, []).append(job)
    return [
        batch
        for group in groups.values()
        for batch in by_length(group, lambda job: length_of(job.request), TOKENS_PER_BATCH)
    ]
