"""Frozen taggers from archives, as linear chains over the student's labels."""

import logging
import os
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import allennlp.nn.util as util
import numpy
import torch
from allennlp.common import FromParams, Tqdm
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, DatasetReader, Token
from allennlp.models.archival import CONFIG_NAME, load_archive
from torch import Tensor

from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.data.sentences import Sentence, instance_of_words
from structkd_allennlp.data.tag_schemes import scheme_of
from structkd_allennlp.distillation.target_store import TargetStore, TeacherHead, archive_digest
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.modules.tagger_chain import (
    LabelSpace,
    Potentials,
    constraints_of,
    crf_potentials,
    emission_scores,
    label_names,
    tagger_of,
)

logger = logging.getLogger(__name__)

# A teacher runs on batches of this many tokens, padding included: enough to keep a GPU busy, and
# small beside what training itself needs.
_TOKENS_A_BATCH = 4096
# How many sentences are looked up, and sorted by length, at a time.
_SENTENCES_A_CHUNK = 10_000


class CrossFitted(FromParams):
    """
    The archives of taggers that were each trained without one fold of the data, in the order of
    the folds, as `allennlp train-folds` makes them. A sentence is taught by the one that was not
    trained on it (see `structkd_allennlp.data.corpus_paths.fold_of`).

    # Parameters

    folds : `List[str]`
    """

    def __init__(self, folds: List[str]) -> None:
        if len(folds) < 2:
            raise ConfigurationError(f"cross-fitting needs 2 archives or more, not {folds}")
        self.folds = folds


TeacherArchives = Union[str, Dict[str, Union[str, CrossFitted, List[str]]]]
"""
One archive for all languages; or by language an archive, a list of archives, or the archives of
cross-fitted teachers.
"""


class TeacherTagger:
    """
    The model of a teacher's archive, which gives scores to sentences: a CRF tagger (ours, the
    student of an earlier distillation, or an allennlp-models `crf_tagger`) or a `simple_tagger`, a
    softmax classifier of tokens. It reads words through its own dataset reader, indexers and
    vocabulary.

    # Raises

    `ConfigurationError` for an archive that is missing, can not be loaded, or holds no tagger.
    """

    def __init__(self, archive: str) -> None:
        logger.info("loading teacher %s", archive)
        self.archive = archive
        loaded = _load(archive)
        try:
            tagger = tagger_of(loaded.model)
        except ConfigurationError as error:
            raise ConfigurationError(f"teacher {archive}: {error.message}") from error
        self._tagger = tagger.eval().requires_grad_(False)
        self._reader: DatasetReader = loaded.dataset_reader

    def head(self) -> TeacherHead:
        potentials = crf_potentials(self._tagger).plus(constraints_of(self._tagger))
        encoding = getattr(self._tagger, "label_encoding", None)
        transitions, start, end = (potential.detach().cpu().float() for potential in potentials)
        return TeacherHead(label_names(self._tagger), encoding, transitions, start, end)

    @torch.no_grad()
    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        """The emission scores of each sentence, `(length, labels)`, float32."""
        tagger = self._tagger.to(device)
        batch = Batch(
            [
                instance_of_words(self._reader, [Token(word) for word in words], language)
                for words, language in sentences
            ]
        )
        batch.index_instances(tagger.vocab)
        tensors = util.move_to_device(batch.as_tensor_dict(), device)
        logits, mask = emission_scores(tagger, tensors["tokens"])
        lengths = [len(words) for words, _ in sentences]
        if mask.sum(1).tolist() != lengths:
            raise ConfigurationError(
                f"teacher {self.archive} scores {mask.sum(1).tolist()} words for sentences of "
                f"{lengths}: its dataset reader must keep the words as they are"
            )
        scores = logits.float().cpu().numpy()
        return [row[:n] for row, n in zip(scores, lengths, strict=True)]


class Teacher:
    """
    One teacher of a student, by its archive. Where there is a store, scores come from it, and the
    model is loaded only for sentences that it lacks.

    # Parameters

    archive : `str`
        Path of a `model.tar.gz` or of a serialization directory.
    store : `TargetStore`, optional

    # Raises

    `ConfigurationError` for an archive that is missing, can not be loaded, or holds no tagger.
    """

    def __init__(self, archive: str, store: Optional[TargetStore] = None) -> None:
        _check_exists(archive)
        self.archive = archive
        self._store = store
        self._digest = archive_digest(archive) if store else ""
        self._tagger: Optional[TeacherTagger] = None
        head = store.head(self._digest) if store else None
        if head is None:
            head = self._loaded().head()
            if store:
                store.put_head(self._digest, head)
        self.head = head

    def _loaded(self) -> TeacherTagger:
        if self._tagger is None:
            self._tagger = TeacherTagger(self.archive)
        return self._tagger

    def release(self) -> None:
        """Lets go of the model. It is loaded again when it is needed."""
        self._tagger = None

    def stored(self, sentence: Sentence) -> Optional[numpy.ndarray]:
        """The emission scores of a sentence, `(length, labels)`, if they are in the store."""
        if self._store is None:
            return None
        return self._store.get(self._digest, sentence, len(self.head.labels))

    def computed(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        """The emission scores of sentences by the model, which also go into the store."""
        emissions = self._loaded().emissions(sentences, device)
        if self._store is not None:
            self._store.put(self._digest, zip(sentences, emissions, strict=True))
        return emissions

    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        """The emission scores of sentences, from wherever they are to be had."""
        found = [self.stored(sentence) for sentence in sentences]
        missing = [i for i, scores in enumerate(found) if scores is None]
        if missing:
            computed = self.computed([sentences[i] for i in missing], device)
            for i, scores in zip(missing, computed, strict=True):
                found[i] = scores
        return [scores for scores in found if scores is not None]

    def fill(self, sentences: Sequence[Sentence], device: torch.device) -> Iterator[int]:
        """
        Stores the scores of those sentences that the store lacks, batched by length. Yields how
        many sentences have been dealt with since it last did.
        """
        missing = {
            Sentence(tuple(words), language): None
            for words, language in sentences
            if self.stored(Sentence(words, language)) is None
        }
        yield len(sentences) - len(missing)
        for batch in _by_length(list(missing)):
            self.computed(batch, device)
            yield len(batch)


class _Matched(NamedTuple):
    """A teacher's potentials over the student's labels, and where they come from."""

    # Of each of the student's labels, the teacher's label of the same name, or -1.
    columns: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor


class Teachers:
    """
    The teachers of a student, by language. Archives are opened by `load`, or when first needed.

    # Parameters

    archives : `TeacherArchives`
    space : `LabelSpace`
        Of the student.
    store : `TargetStore`, optional
        Without one, the teachers run on every sentence each time it is trained on.
    unmatched_labels : `str`, optional (default = `"error"`)
        What to do about labels of a teacher that the student lacks: `"error"`, or `"renormalise"`,
        which takes the teacher's distribution over the sequences without them.

    # Raises

    `ConfigurationError` where there is no archive at all.
    """

    def __init__(
        self,
        archives: TeacherArchives,
        space: LabelSpace,
        store: Optional[TargetStore] = None,
        unmatched_labels: str = "error",
    ) -> None:
        if unmatched_labels not in ("error", "renormalise"):
            raise ConfigurationError(
                f'unmatched_labels must be "error" or "renormalise", not {unmatched_labels!r}'
            )
        self.sources = TeacherSources(archives, store)
        self._space = space
        self._unmatched_labels = unmatched_labels
        self._matched: Dict[str, _Matched] = {}

    def load(self, languages: Sequence[Optional[str]]) -> None:
        """Opens and checks the teachers of these languages, so that later calls can not fail."""
        for archive in self.sources.check(languages):
            self._match(archive)

    def _match(self, archive: str) -> _Matched:
        if archive in self._matched:
            return self._matched[archive]
        head, student = self.sources.teacher(archive).head, self._space
        lacking = sorted(set(head.labels) - set(student.labels))
        # A tagger need not say what encoding its labels are in, but they do.
        encodings = [
            scheme_of(labels) or declared
            for labels, declared in (
                (head.labels, head.label_encoding),
                (student.labels, student.encoding),
            )
        ]
        if encodings[0] != encodings[1]:
            raise ConfigurationError(
                f"teacher {archive} has labels of another scheme than the student: the teacher's "
                f"label encoding is {encodings[0]} and the student's {encodings[1]}; train both "
                f"with the same label_encoding. The teacher has {sorted(head.labels)}, the student "
                f"{sorted(student.labels)}"
            )
        if lacking and self._unmatched_labels == "error":
            raise ConfigurationError(
                f"teacher {archive} has labels that the student lacks: {lacking}; the student "
                f"has {sorted(student.labels)}; train the student on data with all of the "
                'teacher\'s labels, or set "unmatched_labels": "renormalise"'
            )
        if not set(head.labels) & set(student.labels):
            raise ConfigurationError(
                f"teacher {archive} and the student have no label in common: {head.labels} and "
                f"{student.labels}; they were trained for different tasks"
            )
        index = {label: i for i, label in enumerate(head.labels)}
        columns = torch.tensor([index.get(label, -1) for label in student.labels])
        own = columns.clamp(min=0)
        potentials = Potentials(head.transitions[own][:, own], head.start[own], head.end[own])
        # The teacher's distribution given that the student can say it at all.
        matched = _Matched(columns, *potentials.plus(student.constraints))
        self._matched[archive] = matched
        return matched

    @torch.no_grad()
    def chains(
        self, sentences: Sequence[Sentence], device: torch.device
    ) -> List[Tuple[LinearChain, Tensor]]:
        """
        The teachers' distributions over the student's labels, for a batch of sentences of any
        languages, given that a sequence is one that the student's constraints allow. Labels that a
        teacher does not have are impossible.

        # Returns

        `List[Tuple[LinearChain, Tensor]]`
            Chains over the whole batch, each with a weight for every sentence, `(batch,)`. The
            weights of a sentence add up to 1: several teachers of one language share it evenly,
            so that their losses are averaged (as in the code of Wang et al., 2020).
        """
        archives = [self.sources.archives(*sentence) for sentence in sentences]
        return [
            self._joined(
                sentences,
                [own[rank] if rank < len(own) else None for own in archives],
                [1 / len(own) for own in archives],
                device,
            )
            for rank in range(max(map(len, archives)))
        ]

    def _joined(
        self,
        sentences: Sequence[Sentence],
        archives: Sequence[Optional[str]],
        shares: Sequence[float],
        device: torch.device,
    ) -> Tuple[LinearChain, Tensor]:
        """
        One chain of a batch of sentences, each by the teacher named for it, if any, and for those
        that have one the share that it has in their loss.
        """
        batch, labels = len(sentences), len(self._space.labels)
        lengths = [len(words) for words, _ in sentences]
        emissions = torch.zeros(batch, max(lengths), labels, device=device)
        transitions = torch.zeros(batch, labels, labels, device=device)
        start, end = (torch.zeros(batch, labels, device=device) for _ in range(2))
        weights = torch.zeros(batch, device=device)
        for archive in dict.fromkeys(a for a in archives if a is not None):
            rows = [row for row, own in enumerate(archives) if own == archive]
            matched = _Matched(*(tensor.to(device) for tensor in self._match(archive)))
            teacher = self.sources.teacher(archive)
            scores = teacher.emissions([sentences[row] for row in rows], device)
            padded = numpy.zeros((len(rows), max(lengths), scores[0].shape[1]), numpy.float32)
            for i, one in enumerate(scores):
                padded[i, : len(one)] = one
            columns = torch.from_numpy(padded).to(device)[..., matched.columns.clamp(min=0)]
            emissions[rows] = columns.masked_fill(matched.columns < 0, -torch.inf)
            transitions[rows] = matched.transitions
            start[rows], end[rows] = matched.start, matched.end
            weights[rows] = torch.tensor([shares[row] for row in rows], device=device)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
        return LinearChain(emissions, transitions, mask.to(device), start, end), weights

    def fill(self, sentences: Iterable[Sentence], device: torch.device) -> None:
        self.sources.fill(sentences, device)


class TeacherSources:
    """
    The archives that teach each language, opened once each, and the store of what they say. It
    needs no student.

    # Parameters

    archives : `TeacherArchives`
    store : `TargetStore`, optional

    # Raises

    `ConfigurationError` where there is no archive at all.
    """

    def __init__(self, archives: TeacherArchives, store: Optional[TargetStore] = None) -> None:
        if not archives:
            raise ConfigurationError(
                'no teachers: give e.g. "teachers": {"en": "en/model.tar.gz"}, or one archive for '
                "all languages"
            )
        self.store = store
        self._for_all = archives if isinstance(archives, str) else None
        self._by_language: Dict[str, Union[CrossFitted, List[str]]] = {}
        if not isinstance(archives, str):
            for language, value in archives.items():
                own = [value] if isinstance(value, str) else value
                if isinstance(own, list) and not own:
                    raise ConfigurationError(f"the list of teachers for {language} is empty")
                self._by_language[language] = own
        self._opened: Dict[str, Teacher] = {}

    def _of(self, language: Optional[str]) -> Union[CrossFitted, List[str]]:
        if self._for_all is not None:
            return [self._for_all]
        if language not in self._by_language:
            raise ConfigurationError(
                f"no teacher for language {language!r}: the training data has sentences of it, and "
                f"there are teachers for {sorted(self._by_language)}. Add "
                f'"{language}": "PATH/model.tar.gz" to "teachers", or leave the language out of '
                "the training data"
            )
        return self._by_language[language]

    def archives(self, words: Sequence[str], language: Optional[str]) -> List[str]:
        """The archives that teach a sentence. Raises `ConfigurationError` if there is none."""
        own = self._of(language)
        if isinstance(own, CrossFitted):
            return [own.folds[fold_of(words, len(own.folds)) - 1]]
        return own

    def check(self, languages: Sequence[Optional[str]]) -> List[str]:
        """All archives that teach these languages, each of which exists and can be opened."""
        found: Dict[str, None] = {}
        for language in languages:
            own = self._of(language)
            for archive in own.folds if isinstance(own, CrossFitted) else own:
                _check_exists(archive, language)
                found[archive] = None
        # All that is missing is reported before the first is loaded.
        for archive in found:
            self.teacher(archive)
        return list(found)

    def teacher(self, archive: str) -> Teacher:
        if archive not in self._opened:
            self._opened[archive] = Teacher(archive, self.store)
        return self._opened[archive]

    def fill(self, sentences: Iterable[Sentence], device: torch.device) -> None:
        """
        Has every teacher score the sentences that the store lacks, with a progress bar. Holds no
        more than a chunk of them at a time.
        """
        with Tqdm.tqdm(desc="teacher targets", unit=" sentences") as progress:
            for chunk in _chunks(sentences):
                by_archive: Dict[str, List[Sentence]] = {}
                for sentence in chunk:
                    for archive in self.archives(*sentence):
                        by_archive.setdefault(archive, []).append(sentence)
                for archive, own in by_archive.items():
                    for done in self.teacher(archive).fill(own, device):
                        progress.update(done)
        for teacher in self._opened.values():
            teacher.release()


def _chunks(sentences: Iterable[Sentence]) -> Iterator[List[Sentence]]:
    chunk: List[Sentence] = []
    for sentence in sentences:
        chunk.append(sentence)
        if len(chunk) == _SENTENCES_A_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _by_length(sentences: List[Sentence]) -> Iterator[List[Sentence]]:
    batch: List[Sentence] = []
    for sentence in sorted(sentences, key=lambda s: len(s[0])):
        # Sorted, so this sentence is the longest of its batch.
        if batch and (len(batch) + 1) * len(sentence[0]) > _TOKENS_A_BATCH:
            yield batch
            batch = []
        batch.append(sentence)
    if batch:
        yield batch


def _check_exists(archive: str, language: Optional[str] = None) -> None:
    whose = f" of language {language!r}" if language else ""
    if not os.path.exists(archive):
        raise ConfigurationError(
            f"the teacher{whose} is missing: there is no {archive}. Train it first, e.g. with "
            'training_configs/teacher.jsonnet, or correct its path in "teachers"'
        )


def _load(archive: str) -> Any:
    _check_exists(archive)
    try:
        # A model draws random numbers before it gets its weights. Whether a teacher is loaded, or
        # its targets are all in the store, must not change what the student draws.
        with torch.random.fork_rng(devices=[]):
            return load_archive(archive)
    except ConfigurationError as error:
        raise ConfigurationError(f"teacher {archive} can not be loaded: {error}") from error
    except Exception as error:
        # Whatever is wrong inside the file, the user needs to know which file it is.
        raise ConfigurationError(
            f"teacher {archive} can not be loaded ({type(error).__name__}: {error}): it must be "
            f"the model.tar.gz of a finished training run, or a directory with a {CONFIG_NAME}"
        ) from error
