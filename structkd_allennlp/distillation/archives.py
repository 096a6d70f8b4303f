"""Which teachers teach which sentence."""

import json
import logging
from copy import deepcopy
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Union

from allennlp.common import FromParams, Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import ArchiveSource, Teacher, TeacherSource

logger = logging.getLogger(__name__)

# Of the sentences that a teacher lacks.
_SHOWN = 3

TeacherArchives = Union[str, TeacherSource, Dict[str, Any], List[Union[str, TeacherSource]]]
"""
One teacher, a list of teachers, or a `CrossFitted`, which is written `{"folds": [...]}`, for all
languages; or one of these by language. A teacher is the path of an archive, or a `TeacherSource`.
"""


class CrossFitted(FromParams):
    """
    Taggers that were each trained without one fold of the data, in the order of the folds, as
    `allennlp train-folds` makes them. A sentence is taught by the one that was not trained on it
    (see `structkd_allennlp.data.corpus_paths.fold_of`).

    # Parameters

    folds : `List[Union[str, TeacherSource]]`
    """

    def __init__(self, folds: List[Union[str, TeacherSource]]) -> None:
        if len(folds) < 2:
            raise ConfigurationError(f"cross-fitting needs 2 archives or more, not {folds}")
        self.folds = folds


class _Own(NamedTuple):
    """The teachers of a language."""

    teachers: List[Teacher]
    cross_fitted: bool = False


class _Count:
    """How many sentences a teacher has been asked about, and which of these it lacks."""

    def __init__(self) -> None:
        self.asked = self.lacking = 0
        self.first: List[Sentence] = []

    def add(self, sentence: Sentence, found: bool) -> None:
        self.asked += 1
        if not found:
            self.lacking += 1
            if len(self.first) < _SHOWN:
                self.first.append(sentence)

    def report(self, source: TeacherSource) -> None:
        if not self.lacking:
            return
        shown = ", ".join(f"{quoted(' '.join(x.words), 60)} ({x.language})" for x in self.first)
        problem = (
            f"teacher {source.name} lacks {self.lacking:,} of its {self.asked:,} training "
            f"sentences: {shown}{', ...' if self.lacking > _SHOWN else ''}"
        )
        remedy = "Add them, their words split as the dataset reader splits them"
        if source.missing == "error":
            raise ConfigurationError(
                f'{problem}. {remedy}, or set "missing": "skip" to train on them without it'
            )
        if self.lacking == self.asked:
            raise ConfigurationError(f"{problem}. It has nothing to teach. {remedy}")
        logger.warning("%s. They are trained on without it.", problem)


class Archives:
    """
    The teachers of every language. The same archive, or the same parameters of a `TeacherSource`,
    are one teacher, however often they are named.

    # Parameters

    archives : `TeacherArchives`
    store : `TargetStore`, optional

    # Raises

    `ConfigurationError` where there is no teacher at all, and for what is not `TeacherArchives`.
    """

    def __init__(self, archives: TeacherArchives, store: Optional[TargetStore] = None) -> None:
        if not archives:
            raise ConfigurationError(
                'no teachers: give e.g. "teachers": {"en": "en/model.tar.gz"}, or one archive for '
                "all languages"
            )
        self.store = store
        self._teachers: Dict[Union[str, TeacherSource], Teacher] = {}
        self._sources: Dict[str, TeacherSource] = {}
        self._for_all: Optional[_Own] = None
        self._by_language: Dict[str, _Own] = {}
        if isinstance(archives, dict) and not {"type", "folds"} & set(archives):
            self._by_language = {
                language: self._own(language, value) for language, value in archives.items()
            }
        else:
            self._for_all = self._own("all languages", archives)

    def _own(self, language: str, value: Any) -> _Own:
        if isinstance(value, dict) and "folds" in value:
            value = CrossFitted.from_params(Params(deepcopy(value)))
        if isinstance(value, CrossFitted):
            return _Own([self._teacher(fold) for fold in value.folds], cross_fitted=True)
        if not isinstance(value, list):
            return _Own([self._teacher(value)])
        if not value:
            raise ConfigurationError(f"the list of teachers for {language} is empty")
        return _Own([self._teacher(one) for one in value])

    def _teacher(self, value: Any) -> Teacher:
        if isinstance(value, Params):
            # AllenNLP leaves what is in a list for all languages as it is.
            value = value.as_dict(quiet=True)
        if isinstance(value, dict):
            # The same parameters are the same teacher, which is loaded once.
            written = json.dumps(value, sort_keys=True, default=repr)
            if written not in self._sources:
                self._sources[written] = TeacherSource.from_params(Params(deepcopy(value)))
            value = self._sources[written]
        if not isinstance(value, (str, TeacherSource)):
            raise ConfigurationError(
                f"{value!r} is no teacher: give the path of an archive, e.g. "
                '"teachers": {"en": "en/model.tar.gz"}'
            )
        if value not in self._teachers:
            source = ArchiveSource(value) if isinstance(value, str) else value
            self._teachers[value] = Teacher(source, self.store)
        return self._teachers[value]

    def _of(self, language: Optional[str]) -> _Own:
        if self._for_all is not None:
            return self._for_all
        if language not in self._by_language:
            raise ConfigurationError(
                f"no teacher for language {language!r}: the training data has sentences of it, and "
                f"there are teachers for {sorted(self._by_language)}. Add "
                f'"{language}": "PATH/model.tar.gz" to "teachers", or leave the language out of '
                "the training data"
            )
        return self._by_language[language]

    def teachers_of(self, sentence: Sentence) -> List[Teacher]:
        """
        The teachers of a sentence: those of its language, but for teachers that lack it and are
        set to skip what they lack.

        # Raises

        `ConfigurationError` where its language has none.
        """
        return [
            teacher
            for teacher in self._asked(sentence)
            if teacher.source.missing != "skip" or teacher.has(sentence)
        ]

    def _asked(self, sentence: Sentence) -> List[Teacher]:
        teachers, cross_fitted = self._of(sentence.language)
        if cross_fitted:
            return [teachers[fold_of(sentence.words, len(teachers)) - 1]]
        return teachers

    def check(self, languages: Sequence[Optional[str]]) -> List[Teacher]:
        """
        All teachers of these languages.

        # Raises

        `ConfigurationError` for a language without a teacher, and for a teacher that is missing or
        cannot be loaded.
        """
        found: Dict[Teacher, None] = {}
        for language in languages:
            for teacher in self._of(language).teachers:
                teacher.source.check(language)
                found[teacher] = None
        # Nothing is loaded before all are there.
        for teacher in found:
            teacher.head()
        return list(found)

    def check_sentences(self, sentences: Iterable[Sentence]) -> None:
        """
        Counts the sentences that teachers lack which do not have scores of any. Nothing is read
        where there are no such teachers.

        # Parameters

        sentences : `Iterable[Sentence]`
            All of the training data.

        # Raises

        `ConfigurationError` for a teacher that lacks any and is not set to skip them, and for one
        that lacks all.
        """
        if all(teacher.source.missing is None for teacher in self._teachers.values()):
            return
        counts: Dict[Teacher, _Count] = {}
        for sentence in sentences:
            for teacher in self._asked(sentence):
                if teacher.source.missing is not None:
                    counts.setdefault(teacher, _Count()).add(sentence, teacher.has(sentence))
        for teacher, count in counts.items():
            count.report(teacher.source)

    def release(self) -> None:
        """Frees all models. They are loaded again when they are needed."""
        for teacher in self._teachers.values():
            teacher.source.release()
