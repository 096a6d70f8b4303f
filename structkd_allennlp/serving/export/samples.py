"""Sentences on which an exported tagger is compared with its archive."""

import random
from itertools import islice
from typing import Any, List, Sequence

from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import Archive

from structkd_allennlp.data.sentences import Sentence

_READ = 100
_INVENTED = 40
_LENGTHS = (1, 2, 3, 7, 15, 40)


def sample_sentences(archive: Archive, words: Sequence[str]) -> List[Sentence]:
    """
    The first sentences of the archive's own validation data, where that can be read from here, and
    some invented ones of several lengths.

    # Parameters

    archive : `Archive`
    words : `Sequence[str]`
        To invent sentences of.
    """
    return _read(archive) + _invented(words)


def _read(archive: Archive) -> List[Sentence]:
    path = archive.config.get("validation_data_path", None)
    if path is None:
        return []
    try:
        # Its parts are `Params` where a path is an object.
        path = getattr(path, "as_dict", lambda **_: path)(quiet=True)
        reader: Any = archive.validation_dataset_reader
        sentences = reader.sentences(path)
        return [Sentence(own.words, own.language) for own in islice(sentences, _READ)]
    except (ConfigurationError, OSError):
        return []


def _invented(words: Sequence[str]) -> List[Sentence]:
    """Always the same."""
    draw = random.Random(0)
    known = draw.sample(words, min(len(words), 500)) if words else []
    odd = ["a", "Ⅷ", "z" * 40, "Ab-c/d", "日本", "𝔘nicode", "ß" * 3, "12,5", "…"]
    sentences = []
    for i in range(_INVENTED):
        length = _LENGTHS[i % len(_LENGTHS)]
        chosen = [known if known and draw.random() < 0.7 else odd for _ in range(length)]
        sentences.append(Sentence([draw.choice(own) for own in chosen], None))
    return sentences
