import copy
import time
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.models.model import Model
from torch import Tensor
from torch.nn.functional import cross_entropy

from structkd_allennlp.common.archive_files import ChecksWeights
from structkd_allennlp.common.files import whole_directory
from structkd_allennlp.common.transformer_config import max_length
from structkd_allennlp.common.transformer_files import write_transformer
from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer
from structkd_allennlp.distillation.interpolation import (
    ConstantInterpolation,
    InterpolationSchedule,
)
from structkd_allennlp.distillation.masked_lm import (
    HiddenStateLoss,
    MaskedLanguageModelTeacher,
    soft_target_cross_entropy,
)
from structkd_allennlp.modules.masked_lm import masked_lm_from_config, run_masked_lm
from structkd_allennlp.training.metrics import Means
from structkd_allennlp.training.perplexity import MultilingualPerplexity

_NOT_MASKED = -100  # Hugging Face's label where there is nothing to predict


@Model.register("masked_language_model_distillation")
class MaskedLanguageModelDistillation(ChecksWeights, Model):
    """
    Pre-trains an encoder as a masked language model, alone or distilled from a larger one:

        loss = lambda * (L_soft_targets + weight * L_hidden_states) + (1 - lambda) * L_mlm,

    where `L_soft_targets` (see `soft_target_cross_entropy`) and `L_mlm`, the cross-entropy with the
    tokens that were masked, are means over the masked sub-words of the batch, and
    `L_hidden_states` (see `HiddenStateLoss`) is one over all sub-words. Without a teacher the loss
    is `L_mlm`, as it is outside of training.

    The teacher is no part of the module: it is loaded when training starts, is never trained, and
    is in neither the `state_dict` nor the archive.

    Add the trainer callback `{"type": "masked_language_model"}`: it has the teacher checked before
    the first step, moves lambda, and at the end writes the student as a Hugging Face directory,
    which any transformer configuration takes as its `model_name`.

    Registered as a `Model` with name "masked_language_model_distillation".

    # Parameters

    student : `Dict[str, Any]`
        `model_type` and values of its configuration in `transformers` (see
        `masked_lm_from_config`). Its weights start at random.
    tokenizer : `str`
        The directory or name of the tokenizer that the text is read with.
    dropout : `bool`, optional (default = `True`)
        Whether the student has the dropout of its configuration here, too, and not only where it is
        fine-tuned later on.
    teacher : `str`, optional (default = `None`)
        The Hugging Face directory or name of a masked language model with the same sub-words.
    temperature : `float`, optional (default = `2.0`)
        Of the soft targets.
    hidden_states : `HiddenStateLoss`, optional (default = `None`)
    interpolation : `InterpolationSchedule`, optional (default = one half, constantly)
        Gives lambda.

    # Raises

    `ConfigurationError` for a student that cannot be made, for `hidden_states` that it has not or
    that have no teacher, and for a temperature that is not above 0; in training for a teacher that
    is missing or does not fit, for blocks that are longer than the student takes, and for a
    schedule that needs the callback.
    """

    communicates_in_forward = False

    def __init__(
        self,
        vocab: Vocabulary,
        student: Dict[str, Any],
        tokenizer: str,
        dropout: bool = True,
        teacher: Optional[str] = None,
        temperature: float = 2.0,
        hidden_states: Optional[Lazy[HiddenStateLoss]] = None,
        interpolation: Optional[InterpolationSchedule] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab, **kwargs)
        if temperature <= 0:
            raise ConfigurationError(f'"temperature" must be above 0, not {temperature}')
        if hidden_states is not None and teacher is None:
            raise ConfigurationError('"hidden_states" without a "teacher": name one, or leave out')
        self.tokenizer = masked_lm_tokenizer(tokenizer)
        self.student = masked_lm_from_config(student, self.tokenizer, dropout)
        self.teacher = None if teacher is None else MaskedLanguageModelTeacher(teacher)
        self.temperature = temperature
        config = self.student.config
        self.hidden_states = (
            None
            if hidden_states is None
            else hidden_states.construct(student_size=config.hidden_size)
        )
        for layer in self.hidden_states.layers if self.hidden_states is not None else ():
            if not 0 <= layer <= config.num_hidden_layers:
                raise ConfigurationError(
                    f"the student has no layer {layer}, only 0 (embeddings) to "
                    f"{config.num_hidden_layers}"
                )
        self.interpolation = interpolation or ConstantInterpolation()
        # How far training has come, in epochs. The callback keeps it up to date.
        self.epochs: Optional[float] = None
        self._perplexity = MultilingualPerplexity()
        names = [] if teacher is None else ["lambda", "mlm_loss", "soft_target_loss"]
        self._means = Means(*names, *(["hidden_state_loss"] if hidden_states is not None else []))
        self._tokens, self._started = 0, 0.0

    def forward(
        self, tokens: Mapping[str, Tensor], metadata: Sequence[Mapping[str, Any]]
    ) -> Dict[str, Any]:
        """
        # Parameters

        tokens : `Mapping[str, Tensor]`
            `input_ids`, `attention_mask` and `labels`, each `(batch, length)`. Labels are -100
            where nothing is masked.
        metadata : `Sequence[Mapping[str, Any]]`
            Of each block, its `language`.

        # Returns

        `Dict[str, Any]` : the `loss`.
        """
        ids, mask = tokens["input_ids"], tokens["attention_mask"].bool()
        if "labels" not in tokens:
            raise ConfigurationError(
                'nothing is masked: set "collate_fn": {"type": "masked_language_modeling", '
                '"model_name": ...} in the data loader and the validation data loader'
            )
        longest = max_length(self.student.config)
        if longest is not None and ids.shape[1] > longest:
            raise ConfigurationError(
                f"a block of {ids.shape[1]} sub-words, but the student takes "
                f'{longest} at most: set a smaller "length" in the dataset '
                'reader, or larger "max_position_embeddings" of the student'
            )
        masked = tokens["labels"] != _NOT_MASKED
        distilled = self.training and self.teacher is not None
        wants_hidden = distilled and self.hidden_states is not None
        if self.training and not self._tokens:
            self._started = time.monotonic()
        logits, states = run_masked_lm(self.student, ids, mask, masked, wants_hidden)
        # (masked,)
        losses = cross_entropy(logits, tokens["labels"][masked], reduction="none")
        # Chance may have masked nothing of a short text.
        count = max(len(losses), 1)
        loss = mlm_loss = losses.sum() / count
        self._count(losses, masked, metadata)
        if self.training:
            self._tokens += int(mask.sum())
        if distilled:
            assert self.teacher is not None
            with torch.no_grad():
                teacher = self.teacher.load(self.tokenizer, self.hidden_states, ids.device)
                targets, its_states = run_masked_lm(teacher, ids, mask, masked, wants_hidden)
            soft = soft_target_cross_entropy(targets, logits, self.temperature).sum() / count
            weight = self._weight()
            self._means("lambda", weight, 1)
            self._means("mlm_loss", mlm_loss.item(), 1)
            self._means("soft_target_loss", soft.item(), 1)
            distillation_loss = soft
            if self.hidden_states is not None:
                hidden = self.hidden_states(its_states, states, mask)
                self._means("hidden_state_loss", hidden.item(), 1)
                distillation_loss = soft + self.hidden_states.weight * hidden
            loss = weight * distillation_loss + (1 - weight) * mlm_loss
        return {"loss": loss}

    def check_teacher(self) -> None:
        """Loads the teacher, if there is one. Raises `ConfigurationError` where it does not fit."""
        if self.teacher is not None:
            device = next(self.parameters()).device
            self.teacher.load(self.tokenizer, self.hidden_states, device)

    def save_transformer(self, directory: Path) -> None:
        """
        Writes the student (weights as safetensors, configuration, tokenizer) as a Hugging Face
        directory, whole or not at all.
        """
        tokenizer = copy.deepcopy(self.tokenizer)
        longest = max_length(self.student.config)
        if longest is not None:
            tokenizer.model_max_length = longest
        with whole_directory(directory) as new:
            write_transformer(new, self.student, tokenizer)

    def _weight(self) -> float:
        """Lambda of this step."""
        if self.epochs is None and self.interpolation.needs_position:
            raise ConfigurationError(
                "the interpolation schedule depends on how far training has come, which nobody "
                'tells the model: add {"type": "masked_language_model"} to the callbacks of the '
                "trainer"
            )
        return self.interpolation(self.epochs or 0.0)

    def _count(self, losses: Tensor, masked: Tensor, metadata: Sequence[Mapping[str, Any]]) -> None:
        """Counts the losses of the masked sub-words, `(masked,)`, to their languages."""
        rows = masked.nonzero()[:, 0]
        # (batch,)
        of_row = torch.zeros(len(masked), device=losses.device).index_add(0, rows, losses.detach())
        languages = [x.get("language") for x in metadata]
        self._perplexity(of_row.tolist(), masked.sum(1).tolist(), languages)

    def get_metrics(self, reset: bool = False) -> Dict[str, float]:
        metrics = self._perplexity.get_metric(reset)
        if self.training:
            metrics.update(self._means.get_metric(reset))
            if self._tokens:
                seconds = max(time.monotonic() - self._started, 1e-9)
                metrics["tokens_per_second"] = self._tokens / seconds
            if reset:
                self._tokens = 0
        return metrics
