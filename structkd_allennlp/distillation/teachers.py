"""Frozen taggers from archives, as linear chains over the student's labels."""

import logging
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import allennlp.nn.util as util
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, DatasetReader, Token
from allennlp.models.archival import CONFIG_NAME, load_archive
from allennlp_models.tagging.models.crf_tagger import CrfTagger
from torch import Tensor

from structkd_allennlp.data.instances import instance_of_words
from structkd_allennlp.models.structured_crf_tagger import (
    StructuredCrfTagger,
    emission_scores,
    forbidden_transitions,
    label_names,
    linear_chain,
)
from structkd_allennlp.modules.linear_chain import LinearChain

logger = logging.getLogger(__name__)

TeacherArchives = Union[str, Dict[str, Union[str, List[str]]]]
"""One archive for all languages, or by language an archive or a list of archives."""


class Teacher:
    """
    A trained CRF tagger from an archive: ours, a student of an earlier distillation, or an
    allennlp-models `crf_tagger`. It reads words through its own dataset reader, indexers and
    vocabulary; its labels are matched to the student's by name.

    It is not a `Module`: a student that holds it neither trains it nor saves it.

    # Parameters

    archive : `str`
        Path of a `model.tar.gz` or of a serialization directory.
    student : `StructuredCrfTagger`

    # Raises

    `ConfigurationError` for an archive that is missing, that can not be loaded, that holds no CRF
    tagger, or that has labels which the student lacks.
    """

    def __init__(self, archive: str, student: StructuredCrfTagger) -> None:
        self.archive = archive
        loaded = _load(archive)
        model = loaded.model
        # The archive of an earlier distillation run holds a tagger as its student.
        tagger = getattr(model, "student", model)
        if not isinstance(tagger, CrfTagger):
            raise ConfigurationError(
                f"teacher {archive} is a {type(model).__name__}, not a CRF tagger: a teacher is "
                "the archive of a structured_crf_tagger, a structure_kd or a crf_tagger"
            )
        self._tagger = tagger.eval().requires_grad_(False)
        self._reader: DatasetReader = loaded.dataset_reader
        self._student = student
        # Of each of the student's labels, the teacher's label of the same name, or -1.
        self._label_map = self._match_labels(label_names(tagger), student)

    def _match_labels(self, labels: List[str], student: StructuredCrfTagger) -> Tensor:
        missing = sorted(set(labels) - set(student.labels))
        if missing:
            encodings = self._tagger.label_encoding, student.label_encoding
            remedy = (
                f"the teacher's label encoding is {encodings[0]} and the student's {encodings[1]}: "
                "train both with the same label_encoding"
                if encodings[0] != encodings[1]
                else "train the student on data with all of the teacher's labels, or the teacher "
                "without these"
            )
            raise ConfigurationError(
                f"teacher {self.archive} has labels that the student lacks: {missing}; the student "
                f"has {sorted(student.labels)}; {remedy}"
            )
        index = {label: i for i, label in enumerate(labels)}
        return torch.tensor([index.get(label, -1) for label in student.labels])

    @torch.no_grad()
    def chain(self, sentences: Sequence[Sequence[str]], languages: Sequence[str]) -> LinearChain:
        """
        The teacher's distribution over the student's labels, given that the sequence is one that
        the student's own constraints allow. Labels that the teacher does not have are impossible.

        # Parameters

        sentences : `Sequence[Sequence[str]]`
            The words of each sentence.
        languages : `Sequence[str]`
            Their languages.
        """
        device = self._student.crf.transitions.device
        self._tagger.to(device)
        instances = [
            instance_of_words(self._reader, [Token(word) for word in words], language)
            for words, language in zip(sentences, languages, strict=True)
        ]
        batch = Batch(instances)
        batch.index_instances(self._tagger.vocab)
        tensors = util.move_to_device(batch.as_tensor_dict(), device)
        logits, mask = emission_scores(self._tagger, tensors["tokens"])
        lengths = [len(words) for words in sentences]
        if mask.sum(1).tolist() != lengths:
            raise ConfigurationError(
                f"teacher {self.archive} scores {mask.sum(1).tolist()} words for sentences of "
                f"{lengths}: its dataset reader must keep the words as they are"
            )
        has_constraints = bool(forbidden_transitions(self._tagger)[0].any())
        own = linear_chain(self._tagger, logits, mask, constrained=has_constraints)

        # Into the student's labels. Start and end potentials are in the chain's scores already.
        here = self._label_map.to(device)
        lacking = here < 0
        scores = own.scores[..., here.clamp(min=0)].masked_fill(lacking, -torch.inf)
        transitions = own.transitions[here.clamp(min=0)][:, here.clamp(min=0)]
        start = end = None
        if self._student.constrain_crf:
            no_step, no_start, no_end = forbidden_transitions(self._student)
            transitions = transitions.masked_fill(no_step, -torch.inf)
            zeros = transitions.new_zeros(len(here))
            start, end = (zeros.masked_fill(no, -torch.inf) for no in (no_start, no_end))
        return LinearChain(scores, transitions, mask, start, end)


class Teachers:
    """
    The teachers of a student, by language. Archives are opened by `load`, or when first needed.

    # Parameters

    archives : `TeacherArchives`
        One archive for all languages, or by language an archive or a list of archives.
    student : `StructuredCrfTagger`

    # Raises

    `ConfigurationError` where there is no archive at all.
    """

    def __init__(self, archives: TeacherArchives, student: StructuredCrfTagger) -> None:
        if not archives:
            raise ConfigurationError(
                'no teachers: give e.g. "teachers": {"en": "en/model.tar.gz"}, or one archive for '
                "all languages"
            )
        self._student = student
        self._for_all = archives if isinstance(archives, str) else None
        self._by_language: Dict[str, List[str]] = {}
        if not isinstance(archives, str):
            for language, value in archives.items():
                self._by_language[language] = [value] if isinstance(value, str) else list(value)
                if not self._by_language[language]:
                    raise ConfigurationError(f"the list of teachers for {language} is empty")
        self._loaded: Dict[str, Teacher] = {}

    def archives_for(self, language: Optional[str]) -> List[str]:
        """The archives that teach a language. Raises `ConfigurationError` where there is none."""
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

    def load(self, languages: Sequence[Optional[str]]) -> None:
        """Opens and checks the teachers of these languages, so that later calls can not fail."""
        wanted = [(archive, x) for x in languages for archive in self.archives_for(x)]
        # All that is missing is reported before the first is loaded.
        for archive, language in wanted:
            _check_exists(archive, language)
        for archive, _ in wanted:
            self._get(archive)

    def _get(self, archive: str) -> Teacher:
        if archive not in self._loaded:
            logger.info("loading teacher %s", archive)
            self._loaded[archive] = Teacher(archive, self._student)
        return self._loaded[archive]

    def chains(
        self, sentences: Sequence[Sequence[str]], languages: Sequence[Optional[str]]
    ) -> List[Tuple[LinearChain, Tensor]]:
        """
        The teachers' distributions for a batch of sentences of any languages.

        # Returns

        `List[Tuple[LinearChain, Tensor]]`
            Chains over the whole batch, each with a weight for every sentence, `(batch,)`. The
            weights of a sentence add up to 1: several teachers of one language share it evenly,
            so that their losses are averaged (as in the code of Wang et al., 2020).
        """
        rows_of: Dict[Tuple[int, str], List[int]] = {}
        teachers_of_row = [self.archives_for(language) for language in languages]
        for row, archives in enumerate(teachers_of_row):
            for rank, archive in enumerate(archives):
                rows_of.setdefault((rank, archive), []).append(row)

        results = []
        for rank in range(max(map(len, teachers_of_row))):
            parts = {
                archive: rows for (of_rank, archive), rows in rows_of.items() if of_rank == rank
            }
            results.append(self._joined(parts, sentences, languages, teachers_of_row))
        return results

    def _joined(
        self,
        parts: Dict[str, List[int]],
        sentences: Sequence[Sequence[str]],
        languages: Sequence[Optional[str]],
        teachers_of_row: List[List[str]],
    ) -> Tuple[LinearChain, Tensor]:
        """One chain out of those of several teachers, each for its rows of the batch."""
        parameter = self._student.crf.transitions
        batch, length = len(sentences), max(map(len, sentences))
        labels = len(self._student.labels)
        lengths = torch.tensor([len(words) for words in sentences], device=parameter.device)
        mask = torch.arange(length, device=parameter.device) < lengths.unsqueeze(1)
        scores = torch.zeros(batch, length, labels, device=parameter.device)
        transitions = torch.zeros(batch, labels, labels, device=parameter.device)
        weights = torch.zeros(batch, device=parameter.device)
        for archive, rows in parts.items():
            chain = self._get(archive).chain(
                [sentences[row] for row in rows], [languages[row] or "und" for row in rows]
            )
            scores[rows, : chain.length] = chain.scores
            transitions[rows] = chain.transitions
            weights[rows] = torch.tensor(
                [1 / len(teachers_of_row[row]) for row in rows], device=weights.device
            )
        by_position = transitions.unsqueeze(1).expand(-1, length - 1, -1, -1)
        return LinearChain(scores, by_position, mask), weights


def _check_exists(archive: str, language: Optional[str]) -> None:
    whose = f" of language {language!r}" if language else ""
    if not os.path.exists(archive):
        raise ConfigurationError(
            f"the teacher{whose} is missing: there is no {archive}. Train it first, e.g. with "
            'training_configs/teacher.jsonnet, or correct its path in "teachers"'
        )


def _load(archive: str) -> Any:
    _check_exists(archive, None)
    try:
        return load_archive(archive)
    except ConfigurationError as error:
        raise ConfigurationError(f"teacher {archive} can not be loaded: {error}") from error
    except Exception as error:
        # Whatever is wrong inside the file, the user needs to know which file it is.
        raise ConfigurationError(
            f"teacher {archive} can not be loaded ({type(error).__name__}: {error}): it must be "
            f"the model.tar.gz of a finished training run, or a directory with a {CONFIG_NAME}"
        ) from error
