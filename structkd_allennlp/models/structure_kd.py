from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import is_distributed
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models.model import Model
from torch import Tensor

from structkd_allennlp.common.archive_files import ChecksWeights
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.archives import TeacherArchives
from structkd_allennlp.distillation.interpolation import InterpolationSchedule
from structkd_allennlp.distillation.objectives import DistillationObjective
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teachers import Teachers
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger, labelled_sentences
from structkd_allennlp.models.tagger_output import TaggerOutput
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.training.finite import check_finite
from structkd_allennlp.training.metrics import Means


@Model.register("structure_kd")
class StructureKD(ChecksWeights, Model):
    """
    Distils one or more frozen teachers into a student tagger (Wang et al., ACL 2020):

        loss = lambda * L_distillation + (1 - lambda) * L_nll,

    each a mean over the sentences of the batch. Outside of training it is its student: it
    evaluates and predicts without any teacher.

    The teachers are no part of the module: they are loaded when training starts, are never trained,
    and are in neither the `state_dict` nor the archive. An archive of this model loads where no
    teacher file exists any more.

    To have every teacher checked against the training data before the first step, and for
    schedules of lambda that depend on the position in training, add the trainer callback
    `{"type": "structure_kd"}`.

    Registered as a `Model` with name "structure_kd".

    # Parameters

    student : `Model`
        A `structured_crf_tagger`.
    teachers : `TeacherArchives`
        By language, the archive that teaches it, a list of archives whose losses are averaged, or
        `{"folds": [...]}` with the archives of cross-fitted teachers; or one of these for all
        languages. In place of an archive there may be another `TeacherSource`. Where all teachers
        of a sentence skip it, it trains on its gold tags alone.
    objective : `DistillationObjective`
    interpolation : `InterpolationSchedule`
        Gives lambda.
    target_store : `TargetStore`, optional
        Where the teachers' scores are kept, so that they run on each sentence once. Without one
        they run in every epoch.
    unmatched_labels : `str`, optional (default = `"error"`)
        What to do about labels of a teacher that the student lacks: `"error"`, or `"renormalise"`,
        which takes the teacher's distribution over the sequences without them.

    # Raises

    `ConfigurationError` for a student of another type; in training, for teachers that are missing
    or do not fit, for a language without a teacher, and for a schedule that needs the callback.
    """

    default_predictor = "structured_tagger"

    communicates_in_forward = False

    def __init__(
        self,
        vocab: Vocabulary,
        student: Model,
        teachers: TeacherArchives,
        objective: DistillationObjective,
        interpolation: InterpolationSchedule,
        target_store: Optional[TargetStore] = None,
        unmatched_labels: str = "error",
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab, **kwargs)
        if not isinstance(student, StructuredCrfTagger):
            raise ConfigurationError(
                f"the student is a {type(student).__name__}: it must be of type "
                "structured_crf_tagger"
            )
        self.student = student
        self.teachers = Teachers(
            teachers,
            student.label_space,
            target_store,
            unmatched_labels,
            compares_emissions=objective.compares_emissions,
        )
        self.objective = objective
        self.interpolation = interpolation
        # How far training has come, in epochs. The callback keeps it up to date.
        self.epochs: Optional[float] = None
        self._stepped = False
        self._means = Means("lambda", "distillation_loss", "nll_loss")

    def forward(  # type: ignore[override]
        self,
        tokens: TextFieldTensors,
        metadata: Sequence[Mapping[str, Any]],
        tags: Optional[torch.LongTensor] = None,
        **kwargs: Any,
    ) -> Dict[str, Any]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        metadata : `Sequence[Mapping[str, Any]]`
            Of each sentence, its `words` and its `language`.
        tags : `torch.LongTensor`, optional
            `(batch, length)`: the gold labels. Distillation alone trains on sentences without.

        # Returns

        What the student returns, in training with the interpolated `loss`.
        """
        if not self.training:
            return self.student(tokens=tokens, tags=tags, metadata=metadata, **kwargs)

        logits, mask = self.student.emission_scores(tokens, metadata)
        chain = self.student.chain(logits, mask)
        distillation_losses, taught = self._distillation_losses(chain, metadata)
        losses = distillation_losses
        check_finite(losses, "the distillation loss", metadata)
        # Without gold tags there is nothing else to learn from.
        weight = 1.0
        labelled = torch.zeros(0) if tags is None else labelled_sentences(tags)
        if tags is not None and labelled.any():
            nll = self.student.nll(chain, tags, metadata)
            check_finite(nll, "the negative log-likelihood", metadata)
            weight = self._weight()
            weights = torch.ones_like(nll).masked_fill(labelled, weight)
            # Nor is there without a teacher.
            weights = weights.masked_fill(labelled & ~taught, 0.0)
            losses = weights * distillation_losses + (1 - weights) * nll
            self._means("nll_loss", nll.sum().item(), int(labelled.sum()))
        elif is_distributed():
            # Every parameter takes part in every step, also under an objective without transitions,
            # as the workers that have labels wait for its gradient.
            losses = losses + 0 * chain.log_partition
        self._means("lambda", weight, 1)
        self._means("distillation_loss", distillation_losses.sum().item(), int(taught.sum()))
        output = TaggerOutput(chain, logits=logits, mask=mask, loss=losses.mean())
        if self.student.decode_in_training:
            output.update(self.student.decoded(chain, tags, metadata))
        return output

    def _distillation_losses(
        self, chain: LinearChain, metadata: Sequence[Mapping[str, Any]]
    ) -> Tuple[Tensor, Tensor]:
        """Of each sentence, `(batch,)`: the loss, and whether it has a teacher. If not, it is 0."""
        sentences = list(map(Sentence.from_metadata, metadata))
        chains = self.teachers.chains(sentences, chain.mask.device)
        if not chains:
            nothing = 0 * chain.log_partition
            return nothing, torch.zeros_like(nothing, dtype=torch.bool)
        losses = [self.objective(teacher, chain) * weights for teacher, weights in chains]
        taught = torch.stack([weights for _, weights in chains]).sum(0) > 0
        return torch.stack(losses).sum(0), taught

    def _weight(self) -> float:
        """Lambda of this step."""
        if self.epochs is not None or not self.interpolation.needs_position:
            return self.interpolation(self.epochs or 0.0)
        # The first step is at the start, whoever takes it. After it somebody has to keep count.
        if self._stepped:
            raise ConfigurationError(
                "the interpolation schedule depends on how far training has come, which nobody "
                'tells the model: add {"type": "structure_kd"} to the callbacks of the trainer'
            )
        self._stepped = True
        return self.interpolation(0.0)

    def make_output_human_readable(self, output_dict: Dict[str, Any]) -> Dict[str, Any]:
        return self.student.make_output_human_readable(output_dict)

    def get_metrics(self, reset: bool = False) -> Dict[str, float]:
        metrics = self.student.get_metrics(reset)
        if self.training:
            metrics.update(self._means.get_metric(reset))
        return metrics
