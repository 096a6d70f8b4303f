"""Batches of what has a length."""

from typing import Callable, Iterable, Iterator, List, TypeVar

T = TypeVar("T")


def by_length(items: Iterable[T], length: Callable[[T], int], most: int) -> Iterator[List[T]]:
    """
    Sorts items into batches of at most `most` units, padding included. An item that is longer is a
    batch of its own.

    # Parameters

    items : `Iterable[T]`
    length : `Callable[[T], int]`
        Of an item, in units such as words.
    most : `int`
    """
    batch: List[T] = []
    for item in sorted(items, key=length):
        # Sorted, so this item is the longest of its batch.
        if batch and (len(batch) + 1) * length(item) > most:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
