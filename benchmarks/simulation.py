"""
A cluster as a closed queueing network: workers that take one part of a job after another, each part
a row of stages, some of them on what all workers share. For `benchmarks/scaling.py`.
"""

import heapq
import math
import random
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple


class Stage(NamedTuple):
    """
    # Parameters

    seconds : `float`
        Of one part, where nobody else is in the way.
    resource : `str`, optional
        What all workers share and use one at a time, in the order in which they ask, such as the
        driver or the network; by default this is the worker's own time, which varies.
    workers : `int`, optional
        How many of them share one of that, the first ones the first; by default all.
    """

    seconds: float
    resource: Optional[str] = None
    workers: Optional[int] = None


class Failures(NamedTuple):
    """
    # Parameters

    seconds_between : `float`
        The mean time between two failures of one worker, exponentially distributed.
    seconds_to_restart : `float`
        Until another worker stands in its place. The part that it was at begins anew.
    """

    seconds_between: float
    seconds_to_restart: float


class Outcome(NamedTuple):
    """
    # Parameters

    seconds : `float`
        Until the last part was done.
    steady : `float`
        Parts a second, between a quarter and three quarters of them.
    busy : `Dict[str, float]`
        The mean share of the time in which each shared resource was used, and, as `"workers"`, that
        in which workers did not wait.
    failures : `int`
    """

    seconds: float
    steady: float
    busy: Dict[str, float]
    failures: int


def simulate(
    stages: Sequence[Stage],
    workers: int,
    parts: int,
    variation: float = 0.0,
    failures: Optional[Failures] = None,
    seed: int = 0,
) -> Outcome:
    """
    # Parameters

    stages : `Sequence[Stage]`
        Of every part, in order.
    workers : `int`
    parts : `int`
    variation : `float`, optional (default = `0`)
        The coefficient of variation of a worker's own times, which are gamma distributed.
    failures : `Failures`, optional
    seed : `int`, optional (default = `0`)
    """
    chance = random.Random(seed)
    # By name and number.
    free: Dict[Tuple[str, int], float] = {
        (stage.resource, i // (stage.workers or workers)): 0.0
        for stage in stages
        if stage.resource
        for i in range(workers)
    }
    used = {stage.resource: 0.0 for stage in stages if stage.resource}
    left, failed, own = parts, 0, 0.0
    ends: List[float] = []

    def next_failure(now: float) -> float:
        return now + chance.expovariate(1 / failures.seconds_between) if failures else math.inf

    fails = [next_failure(0.0) for _ in range(workers)]
    # (time, worker, stage): at a stage, a worker has a part. In order, so it is a heap.
    events: List[Tuple[float, int, int]] = [(0.0, i, 0) for i in range(min(workers, parts))]
    left -= len(events)
    while events:
        now, worker, number = heapq.heappop(events)
        if number == len(stages):
            ends.append(now)
            if left:
                left -= 1
                heapq.heappush(events, (now, worker, 0))
            continue
        if now >= fails[worker]:
            # In what it has just done; nobody knew before.
            assert failures is not None
            failed += 1
            now += failures.seconds_to_restart
            fails[worker] = next_failure(now)
            heapq.heappush(events, (now, worker, 0))
            continue
        seconds, resource, sharers = stages[number]
        if resource is None:
            if variation:
                shape = variation**-2
                seconds = chance.gammavariate(shape, seconds / shape)
            end = now + seconds
        else:
            key = resource, worker // (sharers or workers)
            end = max(now, free[key]) + seconds
            free[key] = end
            used[resource] += seconds
        own += seconds
        heapq.heappush(events, (end, worker, number + 1))
    total = ends[-1]
    first, last = len(ends) // 4, 3 * len(ends) // 4
    between = ends[last] - ends[first]
    steady = (last - first) / between if between else parts / total
    busy = {
        name: seconds / total / sum(key[0] == name for key in free)
        for name, seconds in used.items()
    }
    return Outcome(total, steady, {"workers": own / (workers * total), **busy}, failed)
