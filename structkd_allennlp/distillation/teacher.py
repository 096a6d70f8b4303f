"""One teacher: a source of scores, with a store in front of it."""

import copy
import logging
import os
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ContextManager, Iterable, Iterator, List, Optional, Sequence, Tuple

import allennlp.nn.util as util
import numpy
import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, Token
from allennlp.models.archival import CONFIG_NAME, Archive

from structkd_allennlp.common.archive_files import check_layout
from structkd_allennlp.common.files import digest_of, read_json
from structkd_allennlp.common.text import quoted
from structkd_allennlp.common.untrusted_archive import load_untrusted_archive
from structkd_allennlp.data.sentences import Sentence, instance_of_words
from structkd_allennlp.distillation.target_store import Head, TargetStore
from structkd_allennlp.distillation.teacher_quality import check_finite, warn_if_worthless
from structkd_allennlp.distillation.teacher_scheme import archived_scheme
from structkd_allennlp.modules.tagger_chain import (
    Potentials,
    Tagger,
    constraints_of,
    crf_potentials,
    emission_scores,
    label_names,
    tagger_of,
)

logger = logging.getLogger(__name__)


class TeacherSource(Registrable):
    """
    Where the scores of a teacher come from. It loads what it needs, such as a model, only when it
    is asked for a head or for emissions: archives of students name their teachers long after these
    are gone. Another kind of teacher is a subclass, registered under its own name.

    The default implementation is `"archive"`.

    # Parameters

    name : `str`
        What messages call it, such as its path.
    """

    default_implementation = "archive"

    missing: Optional[str] = None
    """
    What is to be done about sentences that it has no scores of: `"error"` or `"skip"`. `None` where
    it has scores of any.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, language: Optional[str] = None) -> None:
        """
        Loads nothing.

        # Parameters

        language : `str`, optional
            The one that it teaches, for the message.

        # Raises

        `ConfigurationError` if the source is missing.
        """
        raise NotImplementedError

    def digest(self) -> str:
        """Names the scores in a store: whatever changes them changes it."""
        raise NotImplementedError

    def head(self) -> Head:
        raise NotImplementedError

    def has(self, sentence: Sentence) -> bool:
        """Whether it has scores of a sentence."""
        return True

    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        """The scores of the labels of each sentence, `(length, labels)`, float32."""
        raise NotImplementedError

    def release(self) -> None:
        """Frees what was loaded. It is loaded again when it is needed."""

    def at(self, path: str) -> "TeacherSource":
        """The same source, not loaded, with its file or directory at another place."""
        other = copy.copy(self)
        other.release()
        other.name = path
        return other


@TeacherSource.register("archive")
class ArchiveSource(TeacherSource):
    """
    The model of an AllenNLP archive: a CRF tagger (ours, the student of an earlier distillation, or
    an allennlp-models `crf_tagger`) or a `simple_tagger`, a softmax classifier of tokens. It reads
    words through its own dataset reader, indexers and vocabulary.

    Registered as a `TeacherSource` with name "archive".

    # Parameters

    archive : `str`
        Path of a `model.tar.gz` or of a serialization directory.

    # Raises

    `ConfigurationError`, when it is used, for an archive that is missing, cannot be loaded, or
    holds no tagger.
    """

    def __init__(self, archive: str) -> None:
        super().__init__(archive)
        self._parts: Optional[Tuple[Tagger, Archive]] = None

    def check(self, language: Optional[str] = None) -> None:
        whose = f" of language {language!r}" if language else ""
        if not os.path.exists(self.name):
            # Which is there where somebody works in a checkout of this package.
            example = ", e.g. with training_configs/teacher.jsonnet,"
            if not os.path.exists("training_configs/teacher.jsonnet"):
                example = ""
            raise ConfigurationError(
                f"the teacher{whose} is missing: there is no {self.name}. Train it first{example} "
                'or correct its path in "teachers"'
                + ("" if example else f", which is relative to {os.getcwd()}")
            )
        if _is_hugging_face(self.name):
            raise ConfigurationError(
                f"the teacher{whose} {self.name} is no AllenNLP archive, but the directory of a "
                f'Hugging Face model: write it as {{"type": "hugging_face", "model": '
                f'"{self.name}"}}'
            )
        with _named(self.name):
            check_layout(self.name)

    def digest(self) -> str:
        return archive_digest(self.name)

    def head(self) -> Head:
        tagger, archive = self.loaded()
        potentials = crf_potentials(tagger).plus(constraints_of(tagger))
        labels = label_names(tagger)
        try:
            scheme = archived_scheme(labels, archive)
        except ConfigurationError as error:
            raise ConfigurationError(f"teacher {self.name}: {error.message}") from error
        return Head(
            labels,
            scheme,
            Potentials(*(potential.detach().cpu().float() for potential in potentials)),
        )

    @torch.no_grad()
    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        tagger, archive = self.loaded()
        tagger = tagger.to(device)
        batch = Batch(
            [
                instance_of_words(archive.dataset_reader, [Token(word) for word in words], language)
                for words, language in sentences
            ]
        )
        batch.index_instances(tagger.vocab)
        tensors = util.move_to_device(batch.as_tensor_dict(), device)
        logits, mask = emission_scores(tagger, tensors["tokens"])
        lengths = [len(sentence.words) for sentence in sentences]
        if mask.sum(1).tolist() != lengths:
            raise ConfigurationError(
                f"teacher {self.name} scores {mask.sum(1).tolist()} words for sentences of "
                f"{lengths}: its dataset reader must keep the words as they are"
            )
        scores = logits.float().cpu().numpy()
        return [row[:n] for row, n in zip(scores, lengths, strict=True)]

    def release(self) -> None:
        self._parts = None

    def loaded(self) -> Tuple[Tagger, Archive]:
        if self._parts is None:
            logger.info("loading teacher %s", self.name)
            archive = _load(self.name)
            try:
                tagger = tagger_of(archive.model)
                check_finite(tagger)
            except ConfigurationError as error:
                raise ConfigurationError(f"teacher {self.name}: {error.message}") from error
            warn_if_worthless(self.name, archive.config)
            self._parts = tagger.eval().requires_grad_(False), archive
        return self._parts


class Teacher:
    """
    A source of scores, with a store in front of it if there is one: the source is loaded only for
    what the store lacks.

    # Parameters

    source : `TeacherSource`
    store : `TargetStore`, optional
    """

    def __init__(self, source: TeacherSource, store: Optional[TargetStore] = None) -> None:
        self.source = source
        self._store = store
        self._head: Optional[Head] = None

    def head(self) -> Head:
        """Raises `ConfigurationError` for a source that is missing or cannot be loaded."""
        if self._head is None:
            self.source.check()
            if self._store is not None:
                self._head = self._store.head(self.digest)
        if self._head is None:
            with _random_state_kept():
                self._head = self.source.head()
            if self._store is not None:
                self._store.put_head(self.digest, self._head)
        return self._head

    @cached_property
    def digest(self) -> str:
        """Of its source."""
        return self.source.digest()

    def has(self, sentence: Sentence) -> bool:
        """Whether the store or the source has scores of a sentence."""
        if self.source.missing is None:
            return True
        return self.stored(sentence) is not None or self.source.has(sentence)

    def stored(self, sentence: Sentence) -> Optional[numpy.ndarray]:
        """The emission scores of a sentence, `(length, labels)`, if they are in the store."""
        if self._store is None:
            return None
        return self._store.get(self.digest, sentence, len(self.head().labels))

    def computed(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        """The emission scores of sentences by the source, which also go into the store."""
        with _random_state_kept():
            emissions = self.source.emissions(sentences, device)
        for sentence, scores in zip(sentences, emissions, strict=True):
            if not numpy.isfinite(scores).all():
                raise ConfigurationError(
                    f"teacher {self.source.name} gives the words of "
                    f"{quoted(' '.join(sentence.words))} scores that are not finite numbers: its "
                    "training has diverged, so train it again, or the sentence is too long for it"
                )
        if self._store is not None:
            self._store.put(self.digest, zip(sentences, emissions, strict=True))
        return emissions

    def missing(self, sentences: Iterable[Sentence]) -> List[Sentence]:
        """The distinct sentences that the store lacks."""
        distinct = {Sentence(tuple(words), language): None for words, language in sentences}
        return [sentence for sentence in distinct if self.stored(sentence) is None]

    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        """The emission scores of sentences, from the store as far as it has them."""
        found = [self.stored(sentence) for sentence in sentences]
        missing = [i for i, scores in enumerate(found) if scores is None]
        if missing:
            computed = self.computed([sentences[i] for i in missing], device)
            for i, scores in zip(missing, computed, strict=True):
                found[i] = scores
        return [scores for scores in found if scores is not None]


def _random_state_kept() -> ContextManager[None]:
    """
    A model draws random numbers before it gets its weights. Whether a teacher is loaded, or its
    targets are all in the store, must not change what the student draws.
    """
    return torch.random.fork_rng(devices=[])


def _load(archive: str) -> Archive:
    with _named(archive):
        return load_untrusted_archive(archive)


@contextmanager
def _named(archive: str) -> Iterator[None]:
    """Whatever is wrong inside an archive, the user needs to know which one it is."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"teacher {archive} cannot be loaded: {error}") from error
    except Exception as error:
        raise ConfigurationError(
            f"teacher {archive} cannot be loaded ({type(error).__name__}: {str(error)[:200]}): it "
            "must be the model.tar.gz of a finished training run, or a directory with a "
            f"{CONFIG_NAME}"
        ) from error


def _is_hugging_face(directory: str) -> bool:
    """Both kinds of directories have a config.json, with different things in it."""
    try:
        config = read_json(Path(directory, CONFIG_NAME))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "model_type" in config and "model" not in config


def archive_digest(archive: str) -> str:
    """
    The SHA-256 of a `model.tar.gz`, or of what a serialization directory would put into one.
    """
    path = Path(archive)
    files = [path]
    if path.is_dir():
        vocabulary = sorted((path / "vocabulary").glob("*"))
        weights = [path / name for name in ("weights.th", "best.th") if (path / name).exists()][:1]
        files = [path / "config.json", *weights, *vocabulary]
    return digest_of(files, path)
