"""Which part of a corpus a sentence belongs to."""

import hashlib
from typing import Sequence


def fold_of(words: Sequence[str], folds: int) -> int:
    """
    The fold, from 1 to `folds`, of a sentence. It depends on nothing but its words, so a sentence
    that recurs is always in the same fold, whatever file, order or process it is met in, and a
    model trained on the other folds has never seen it.
    """
    text = "\x1f".join(words).encode("utf-8", "surrogatepass")
    # Not Python's own hash, which differs from process to process.
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "big") % folds + 1
