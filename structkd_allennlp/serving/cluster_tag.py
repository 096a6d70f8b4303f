"""Tags files on a Ray cluster."""

import _thread
import json
import logging
import os
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Dict, Generator, Iterator, List, Optional, Sequence, Tuple

from structkd_allennlp.common.cluster import Patience, cluster
from structkd_allennlp.serving import parts
from structkd_allennlp.serving.input_files import InputError
from structkd_allennlp.serving.part_tagger import Job, OutputParts, PartTagger, part_name
from structkd_allennlp.serving.parts import Piece
from structkd_allennlp.serving.progress import progress_bar

_START = "Start nodes by `ray start --address`"
_GO_ON = "The same command goes on with the parts that are not done"


def model_files(model: str) -> Dict[str, bytes]:
    """Of an exported tagger; they go to the nodes."""
    return {path.name: path.read_bytes() for path in Path(model).iterdir() if path.is_file()}


def tag_on_cluster(
    job: Job,
    names: Sequence[str],
    forms: Sequence[str],
    settings: Dict[str, Any],
    address: Optional[str],
    workers: Optional[int],
) -> int:
    """
    # Parameters

    job : `Job`
    names, forms : `Sequence[str]`
        Of the files, and their formats.
    settings : `Dict[str, Any]`
        All that decides on what is written, apart from the input.
    address : `str`, optional
        Of the cluster, as `common.cluster` takes it.
    workers : `int`, optional
        How many at most, of a CPU each. By default as many as the cluster has.

    # Returns

    `int` : how many sentences could not be tagged.

    # Raises

    `ValueError` or `OSError`, with what has to be done.
    """
    stamps = parts.stamps_of(names, forms)
    most = parts.PART_BYTES
    manifest = {"settings": {**settings, "bytes of a part": most}, "inputs": stamps}
    all_parts = list(enumerate(parts.plan(names, stamps, most)))
    output = OutputParts(job.output, manifest)
    left = [one for one in all_parts if part_name(one[0], job.target) not in output.there]
    done = len(all_parts) - len(left)
    sizes = {number: sum(piece.size for piece in pieces) for number, pieces in all_parts}
    read = sum(sizes.values()) - sum(sizes[number] for number, _ in left)
    errors = 0
    if left:
        with (
            _connected(address),
            progress_bar(sum(sizes.values())) as progress,
            closing(_results(job, left, workers)) as results,
        ):
            progress.add(0, read, f"{done:,} of {len(all_parts):,} parts")
            for result in results:
                if result["failure"]:
                    raise InputError(result["failure"])
                done += 1
                read += sizes[result["number"]]
                errors += result["errors"]
                progress.add(result["sentences"], read, f"{done:,} of {len(all_parts):,} parts")
    output.finish(len(all_parts))
    return errors


def _results(
    job: Job, left: Sequence[Tuple[int, List[Piece]]], workers: Optional[int]
) -> Generator[Dict[str, Any], None, None]:
    """What comes of each part, in any order. To close it ends the work."""
    import ray

    batches = _dataset(ray.put(job), left, workers).iter_batches(
        batch_size=None, batch_format="pyarrow", prefetch_batches=0
    )
    iterator = iter(batches)
    try:
        for batch in iterator:
            yield from batch.to_pylist()
    except Exception as error:
        raise InputError(
            f"Ray gives up: {_reason(error)}. All nodes need the environment of this command. "
            f"{_GO_ON}"
        ) from error
    finally:
        # Else it would ask Ray for more when the connection has gone.
        iterator.close()


class _Actor:
    """What Ray has a pool of."""

    def __init__(self, job: Any) -> None:
        import ray

        self._tag = PartTagger(ray.get(job))

    def __call__(self, row: Dict[str, Any]) -> Dict[str, Any]:
        number, pieces = json.loads(row["item"])
        return self._tag(number, [Piece(*piece) for piece in pieces])


def _dataset(
    reference: Any, left: Sequence[Tuple[int, List[Piece]]], workers: Optional[int]
) -> Any:
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A file that cannot be cut may take hours.
    context.execution_no_progress_timeout_s = -1
    # What it raises is told in a line, below.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    most = min(len(left), workers or len(left))
    cpus = int(ray.cluster_resources().get("CPU", 1))
    items = [json.dumps(part) for part in left]
    return ray.data.from_items(items, override_num_blocks=len(items)).map(
        _Actor,
        fn_constructor_args=[reference],
        num_cpus=1,
        # The pool follows the nodes that come and go.
        compute=ray.data.ActorPoolStrategy(
            min_size=1, initial_size=max(1, min(cpus, most)), max_size=most
        ),
    )


@contextmanager
def _connected(address: Optional[str]) -> Iterator[None]:
    """
    # Raises

    `InputError` after ten minutes without a node that could work. Ray itself would wait for ever.
    """
    patience = Patience(_say)
    end = threading.Event()

    def look() -> None:
        import ray

        while not end.wait(Patience.LOOK_EVERY_SECONDS):
            if patience.has_ended(ray.cluster_resources().get("CPU", 0) > 0):
                # Like Ctrl-C.
                _thread.interrupt_main()
                return

    # Ray's core prints an error for every pool of actors, which is none. Errors are raised, too.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with cluster(address):
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        except KeyboardInterrupt:
            if thread.is_alive():
                raise
            raise InputError(
                f"for {Patience.SECONDS} seconds no node of the cluster has had a CPU. {_START}. "
                f"{_GO_ON}"
            ) from None
        finally:
            end.set()
            thread.join()


def _say() -> None:
    print(
        f"structkd: no node of the cluster has a CPU; waiting for one. {_START}",
        file=sys.stderr,
    )


def _reason(error: Exception) -> str:
    """The last line, without the traceback of another process."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__
