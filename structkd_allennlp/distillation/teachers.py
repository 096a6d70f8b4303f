"""The teachers of a student, as linear chains over its labels."""

from typing import Dict, List, Optional, Sequence, Tuple

import numpy
import torch
from allennlp.common.checks import ConfigurationError
from torch import Tensor

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.archives import Archives, TeacherArchives
from structkd_allennlp.distillation.matching import Matched, match
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import Teacher
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.modules.tagger_chain import LabelSpace


class Teachers:
    """
    The teachers of a student, by language. They are opened by `load`, or when first needed.

    # Parameters

    archives : `TeacherArchives`
    space : `LabelSpace`
        Of the student.
    store : `TargetStore`, optional
        Without one, the teachers run on every sentence each time it is trained on.
    unmatched_labels : `str`, optional (default = `"error"`)
        What to do about labels of a teacher that the student lacks: `"error"`, or `"renormalise"`,
        which takes the teacher's distribution over the sequences without them.
    compares_emissions : `bool`, optional (default = `False`)
        Whether emissions are going to be looked at by themselves, without transitions.

    # Raises

    `ConfigurationError` where there is no archive at all.
    """

    def __init__(
        self,
        archives: TeacherArchives,
        space: LabelSpace,
        store: Optional[TargetStore] = None,
        unmatched_labels: str = "error",
        compares_emissions: bool = False,
    ) -> None:
        if unmatched_labels not in ("error", "renormalise"):
            raise ConfigurationError(
                f'unmatched_labels must be "error" or "renormalise", not {unmatched_labels!r}'
            )
        self.archives = Archives(archives, store)
        self._space = space
        self._unmatched_labels = unmatched_labels
        self._compares_emissions = compares_emissions
        self._matched: Dict[Tuple[Teacher, torch.device], Matched] = {}

    def load(self, languages: Sequence[Optional[str]]) -> None:
        """Opens and checks the teachers of these languages, so that later calls cannot fail."""
        for teacher in self.archives.check(languages):
            self._match(teacher)

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
            so that their losses are averaged (as in the code of Wang et al., 2020). They are 0 for
            a sentence that all of its teachers skip, and there are no chains where that is every
            sentence.
        """
        teachers = [self.archives.teachers_of(sentence) for sentence in sentences]
        return [
            self._chain(
                sentences,
                [own[rank] if rank < len(own) else None for own in teachers],
                [1 / len(own) if rank < len(own) else 0.0 for own in teachers],
                device,
            )
            for rank in range(max(map(len, teachers)))
        ]

    def _chain(
        self,
        sentences: Sequence[Sentence],
        teachers: Sequence[Optional[Teacher]],
        weights: Sequence[float],
        device: torch.device,
    ) -> Tuple[LinearChain, Tensor]:
        """
        One chain over all sentences, each by its own teacher, with the weights. A sentence without
        a teacher has a weight of 0, and the potentials of another's.
        """
        lengths = [len(sentence.words) for sentence in sentences]
        shape = len(sentences), max(lengths), len(self._space.labels)
        emissions = numpy.zeros(shape, numpy.float32)
        by_position: Optional[numpy.ndarray] = None
        present = {own: self._matched_on(own, device) for own in teachers if own is not None}
        for teacher, (columns, _, adjacency) in present.items():
            rows = [row for row, own in enumerate(teachers) if own is teacher]
            scores = teacher.emissions([sentences[row] for row in rows], device)
            padded = numpy.zeros((len(rows), shape[1], scores[0].shape[1]), numpy.float32)
            for i, one in enumerate(scores):
                padded[i, : len(one)] = one
            emissions[rows] = numpy.where(columns < 0, -numpy.inf, padded[..., columns])
            if adjacency is not None:
                if by_position is None:
                    pairs = (shape[0], shape[1] - 1, shape[2], shape[2])
                    by_position = numpy.zeros(pairs, numpy.float32)
                other = padded[..., adjacency.columns] - padded[..., columns]
                # Shape: (rows, length - 1, labels, labels)
                by_position[rows] = other[:, 1:, None, :] * adjacency.pairs
        number: Dict[Optional[Teacher], int] = {teacher: i for i, teacher in enumerate(present)}
        index = torch.tensor([number.get(teacher, 0) for teacher in teachers], device=device)
        transitions, start, end = (
            torch.stack(potentials)[index]
            for potentials in zip(*(own.potentials for own in present.values()), strict=True)
        )
        if by_position is not None:
            transitions = transitions.unsqueeze(1) + torch.from_numpy(by_position).to(device)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
        chain = LinearChain(
            torch.from_numpy(emissions).to(device), transitions, mask.to(device), start, end
        )
        return chain, torch.tensor(weights, device=device)

    def _matched_on(self, teacher: Teacher, device: torch.device) -> Matched:
        key = teacher, device
        if key not in self._matched:
            matched = self._match(teacher)
            self._matched[key] = matched._replace(potentials=matched.potentials.to(device))
        return self._matched[key]

    def _match(self, teacher: Teacher) -> Matched:
        head = teacher.head()
        try:
            return match(head, self._space, self._unmatched_labels, self._compares_emissions)
        except ConfigurationError as error:
            raise ConfigurationError(f"teacher {teacher.source.name} {error.message}") from error
