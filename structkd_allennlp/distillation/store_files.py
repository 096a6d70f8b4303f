"""The files of a target store: an LMDB environment with what is in it."""

import functools
import os
from pathlib import Path
from typing import Any, Dict, NamedTuple

import lmdb
from allennlp.common.checks import ConfigurationError

# Address space, not disk: LMDB's file grows with what is in it.
_MAP_SIZE = 1 << 40
# How many processes may read at once. (LMDB's default of 126 is soon used up by ones that were
# killed, until somebody clears them away.)
_MAX_READERS = 1024
# At once in a process: 128 maps would take up all of its 47 bits of addresses. One that is dropped
# is closed with the last transaction that reads it, and opened again when it is needed.
_MOST_OPEN = 16


class StoreFiles(NamedTuple):
    """
    An open store. What is written at once is one block, which LMDB keeps in pages of its own; an
    index says where in which block the record of an address is. So pages are full but for the last
    ones of blocks. In the main database are heads, and the entries of earlier versions.
    """

    environment: lmdb.Environment
    # `None` where nothing can be written, and nothing has been.
    index: Any
    blocks: Any


@functools.lru_cache(_MOST_OPEN)
def open_store(directory: str) -> StoreFiles:
    """LMDB lets a process open an environment once, so all stores of a directory share it."""
    data = Path(directory, "data.mdb")
    options: Dict[str, Any] = {"map_size": _MAP_SIZE, "readahead": False, "meminit": False}
    options["max_dbs"] = 2
    try:
        os.makedirs(directory, exist_ok=True)
        writable = not data.exists() or os.access(directory, os.W_OK)
        if not writable:
            # Without a lock file there is nobody to lock out: nobody can write.
            options |= {"readonly": True, "lock": False}
        environment = lmdb.open(directory, max_readers=_MAX_READERS, **options)
        # Processes that were killed leave their entries in the table of readers.
        environment.reader_check()
    except (lmdb.Error, OSError) as error:
        raise _unusable(directory, error) from error
    # The number of the last page in use, which lies in the file's first pages.
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    there = data.stat().st_size
    if there < needed:
        environment.close()
        # Reading what is not there would end the process (SIGBUS).
        raise damaged(directory, f"{there} bytes of {needed} are there")
    try:
        return StoreFiles(environment, *(_database(environment, x) for x in (b"index", b"blocks")))
    except lmdb.Error as error:
        environment.close()
        if isinstance(error, lmdb.DiskError):
            raise _unusable(directory, error) from error
        raise damaged(directory, str(error)) from error


def _database(environment: lmdb.Environment, name: bytes) -> Any:
    try:
        return environment.open_db(name, create=not environment.flags()["readonly"])
    except lmdb.NotFoundError:
        return None


def _unusable(directory: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{directory} cannot be used as a target store ({error}): choose a directory that can "
        "be written to, or delete this one if it is damaged; targets are computed again"
    )


def damaged(directory: str, how: str) -> ConfigurationError:
    return ConfigurationError(
        f"the target store {directory} is damaged ({how}): delete the directory; its targets are "
        "computed again"
    )
