"""Whether the labels of a teacher are BIO or IOB1, which have the same letters."""

import logging
import os
from collections import Counter
from itertools import islice
from typing import Any, Iterator, List, Optional, Sequence, Set

from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader
from allennlp.data.fields import SequenceLabelField
from allennlp.models.archival import CONFIG_NAME, Archive

from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED
from structkd_allennlp.data.tag_schemes import possible_schemes, scheme_of, schemes_of_tags

logger = logging.getLogger(__name__)

# Of the training data.
_MOST_SENTENCES = 10_000
# Corpora have errors: so many times as many sentences must be valid in one scheme only as in the
# other only.
_CLEAR_MAJORITY = 100


def archived_scheme(labels: Sequence[str], archive: Archive) -> Optional[str]:
    """
    What the labels of an archive's tagger are in. Whether that is BIO or IOB1 is told, in turn, by

    - the dataset reader, if it is one of ours, which recode tags;
    - labels that only one can have;
    - the training data, if they still are where they were;
    - the `label_encoding` of the tagger;
    - what the reader takes its files to be in, as `conll2003` takes them to be in IOB1.

    # Returns

    `Optional[str]` : `"BIO"`, `"IOB1"`, `"BIOUL"`, `"BMES"`, or `None` for labels without spans.

    # Raises

    `ConfigurationError` where nothing tells, where the training data are a mixture, and where the
    tagger is set to the other encoding, which forbids it what it has been trained to say.
    """
    model = archive.config.params["model"]
    declared = model.get("student", model).get("label_encoding")
    scheme = scheme_of(labels)
    if scheme != "BIO":
        return scheme or declared
    found = _made_by(archive.dataset_reader) or _only(possible_schemes(labels))
    found = found or _used_in_training(labels, archive)
    if found and {found, declared} == {"BIO", "IOB1"}:
        raise ConfigurationError(
            f"its labels are {found}, but its label_encoding is {declared}: train it again with "
            f'"label_encoding": "{found}"'
        )
    if found is None and declared in ("BIO", "IOB1"):
        found = declared
    # Of AllenNLP's readers of CoNLL-2000, CoNLL-2003 and OntoNotes.
    for name in ("_original_coding_scheme", "_coding_scheme"):
        found = found or getattr(archive.dataset_reader, name, None)
    if found is None:
        raise ConfigurationError(
            f"its labels {sorted(labels)} may be BIO or IOB1, and nothing says which. Unpack it, "
            f'add "label_encoding": "BIO" (or "IOB1") to the "model" in its {CONFIG_NAME}, and '
            "name the directory as the teacher"
        )
    return found


def stated_scheme(
    labels: Sequence[str], label_encoding: Optional[str], in_use: Optional[str] = None
) -> Optional[str]:
    """
    What the labels of a teacher are in that is no archive. Whether that is BIO or IOB1 is told, in
    turn, by labels that only one can have, by the tags that the teacher gives, and by what the
    configuration says.

    # Parameters

    labels : `Sequence[str]`
    label_encoding : `Optional[str]`
        What the configuration says.
    in_use : `Optional[str]`, optional (default = `None`)
        That of its tags, by `SchemesInUse`.

    # Returns

    As `archived_scheme` does.

    # Raises

    `ConfigurationError` where nothing tells, and for a `label_encoding` that they are not in.
    """
    shown = scheme_of(labels)
    found = shown
    if shown == "BIO":
        found = _only(possible_schemes(labels)) or in_use
    possible = [found] if found else ["BIO", "IOB1"] if shown else []
    if label_encoding is not None and label_encoding not in possible:
        known = " or ".join(possible) or "no parts of entities"
        raise ConfigurationError(
            f"its labels {sorted(labels)} are {known}, and not {label_encoding}, as its "
            '"label_encoding" says: correct that, or leave it out'
        )
    if shown == "BIO" and found is None and label_encoding is None:
        raise ConfigurationError(
            f"its labels {sorted(labels)} may be BIO or IOB1, and nothing says which: add "
            '"label_encoding": "BIO" to it if each of its entities starts with a B, or "IOB1" if '
            "only those do that follow right after another of their type"
        )
    return found or label_encoding


class MixedSchemes(ConfigurationError):
    """Tags of two schemes."""


class SchemesInUse:
    """Counts which of BIO and IOB1 the tags of sentences are valid in."""

    def __init__(self) -> None:
        self._counts: Counter[Optional[str]] = Counter()

    def add(self, tags: Sequence[str]) -> None:
        self._counts[_only(schemes_of_tags(tags))] += 1

    def scheme(self) -> Optional[str]:
        """The one in use, or `None` where they tell nothing. Raises `MixedSchemes`."""
        counts = self._counts
        least, most = sorted(("BIO", "IOB1"), key=lambda scheme: counts[scheme])
        if counts[most] < _CLEAR_MAJORITY * counts[least]:
            raise MixedSchemes(
                f"a mixture of IOB1 and BIO ({counts['IOB1']} sentences are valid in IOB1 only, "
                f"and {counts['BIO']} in BIO only)"
            )
        return most if counts[most] else None


def _only(schemes: Set[str]) -> Optional[str]:
    return next(iter(schemes)) if len(schemes) == 1 else None


def _made_by(reader: DatasetReader) -> Optional[str]:
    """The scheme that a reader of ours makes, whatever is in its files."""
    readers = [reader]
    if isinstance(reader, MultilingualReader):
        readers = [own for own in (reader.reader, *reader.readers.values()) if own is not None]
    made = {own.label_encoding for own in readers if isinstance(own, TaggingReader)}
    return made.pop() if len(made) == 1 else None


def _used_in_training(labels: Sequence[str], archive: Archive) -> Optional[str]:
    schemes = SchemesInUse()
    try:
        for tags in islice(_training_tags(archive.config, archive.dataset_reader), _MOST_SENTENCES):
            # Another file by the same name tells nothing.
            if not set(tags) <= {*labels, UNLABELLED}:
                return None
            schemes.add(tags)
    # Whatever a reader of any kind says to a file that is not there any more, or is another.
    except Exception as error:
        logger.info("the teacher's training data cannot be read (%s)", type(error).__name__)
        return None
    try:
        return schemes.scheme()
    except MixedSchemes as error:
        raise ConfigurationError(
            f"its training data are {error.message}: recode them, e.g. with the dataset reader "
            'structkd_conll and its "label_encoding": "BIO", and train it again'
        ) from error


def _training_tags(config: Params, reader: DatasetReader) -> Iterator[List[str]]:
    path: Any = config.params["train_data_path"]
    # Ours have many forms of paths, and look at what they open. Of others nothing is downloaded.
    if not isinstance(reader, (TaggingReader, MultilingualReader)) and not os.path.isfile(path):
        return
    for instance in reader.read(path):
        field = instance["tags"]
        assert isinstance(field, SequenceLabelField)
        yield [str(label) for label in field.labels]
