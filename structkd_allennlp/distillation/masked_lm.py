"""What a masked language model learns of a larger one."""

from typing import Dict, Optional, Sequence

import torch
from allennlp.common import FromParams
from allennlp.common.checks import ConfigurationError
from torch import Tensor
from torch.nn.functional import log_softmax, softmax
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer


def soft_target_cross_entropy(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """
    `T^2 * -sum_j p_t(j) log p_s(j)` with `p = softmax(logits / T)` on both sides. The factor keeps
    gradients of one size at any temperature (Hinton et al., 2015).

    # Parameters

    teacher, student : `Tensor`
        Logits, `(n, pieces)`.
    temperature : `float`

    # Returns

    `Tensor` : `(n,)`
    """
    targets = softmax(teacher / temperature, dim=-1)
    return -(targets * log_softmax(student / temperature, dim=-1)).sum(-1) * temperature**2


class HiddenStateLoss(torch.nn.Module, FromParams):
    """
    The mean squared error between layers of the student, projected to the teacher's size, and the
    layers of the teacher that they are mapped to (Jiao et al., 2020, TinyBERT). One projection
    serves all layers.

    # Parameters

    layers : `Dict[str, int]`
        The teacher's layer for each of some layers of the student: 0 stands for the embeddings, n
        for the output of the n-th layer. (A key of a configuration is always a string.)
    student_size : `int`
        Of a hidden state. A model that has such a loss knows it.
    teacher_size : `int`
        Of a hidden state. It is stated here, so that a checkpoint loads without the teacher.
    weight : `float`, optional (default = `1.0`)
        Of this loss against that of the soft targets.
    """

    def __init__(
        self, layers: Dict[str, int], student_size: int, teacher_size: int, weight: float = 1.0
    ) -> None:
        super().__init__()
        if not layers:
            raise ConfigurationError(
                '"layers" of hidden states is empty: map a layer, or leave out'
            )
        if weight < 0:
            raise ConfigurationError(f'"weight" of hidden states is negative: {weight}')
        try:
            self.layers = {int(own): its for own, its in layers.items()}
        except ValueError as error:
            raise ConfigurationError(
                f'"layers" of hidden states: {error}. Number layers from 0, the embeddings.'
            ) from error
        self.teacher_size = teacher_size
        self.weight = weight
        self.projection = torch.nn.Linear(student_size, teacher_size)

    def forward(self, teacher: Sequence[Tensor], student: Sequence[Tensor], mask: Tensor) -> Tensor:
        """
        # Parameters

        teacher, student : `Sequence[Tensor]`
            The embeddings and the output of each layer, each `(batch, length, size)`.
        mask : `Tensor`
            `(batch, length)` bool, false where padded.

        # Returns

        `Tensor` : `()`, the mean over layers, tokens and units.
        """
        errors = [
            # (tokens, size of the teacher) -> ()
            (self.projection(student[own][mask]) - teacher[its][mask]).float().pow(2).mean()
            for own, its in self.layers.items()
        ]
        return torch.stack(errors).mean()


class MaskedLanguageModelTeacher:
    """
    A frozen masked language model, loaded when it is first needed. It is no `torch.nn.Module`, so a
    model that has one does not save it.

    # Parameters

    name : `str`
        A Hugging Face directory or name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._model: Optional[PreTrainedModel] = None

    def load(
        self,
        tokenizer: PreTrainedTokenizerBase,
        hidden_states: Optional[HiddenStateLoss],
        device: torch.device,
    ) -> PreTrainedModel:
        """
        The model in evaluation mode, on this device.

        # Raises

        `ConfigurationError` where there is none, its sub-words are not those of `tokenizer`, or it
        does not have the layers that `hidden_states` maps to.
        """
        if self._model is None:
            own = masked_lm_tokenizer(self.name)
            if own.get_vocab() != tokenizer.get_vocab():
                raise ConfigurationError(
                    f"the teacher {self.name} has other sub-words than the student. Set its "
                    f'tokenizer in the dataset reader, the collator and the model: "{self.name}".'
                )
            model = self._from_pretrained()
            if model.config.vocab_size != len(tokenizer):
                raise ConfigurationError(
                    f"the teacher {self.name} predicts {model.config.vocab_size} sub-words, and "
                    f"its tokenizer has {len(tokenizer)}. Resize its embeddings to these."
                )
            if hidden_states is not None:
                self._check_layers(model, hidden_states)
            self._model = model.eval().requires_grad_(False)
        return self._model.to(device)

    def _from_pretrained(self) -> PreTrainedModel:
        try:
            model, found = AutoModelForMaskedLM.from_pretrained(self.name, output_loading_info=True)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{self.name}: no masked language model can be loaded from there ({error}). Name a "
                "Hugging Face directory."
            ) from error
        missing = sorted(found["missing_keys"])
        if missing:
            raise ConfigurationError(
                f"{self.name}: not a whole masked language model, since it has no {missing[0]} "
                f"({len(missing)} weights missing). Name a directory of one that was saved with "
                "its head."
            )
        return model

    def _check_layers(self, model: PreTrainedModel, hidden_states: HiddenStateLoss) -> None:
        size, layers = model.config.hidden_size, model.config.num_hidden_layers
        if size != hidden_states.teacher_size:
            raise ConfigurationError(
                f"the hidden states of the teacher {self.name} have {size} units, not "
                f'"teacher_size": {hidden_states.teacher_size}'
            )
        for layer in hidden_states.layers.values():
            if not 0 <= layer <= layers:
                raise ConfigurationError(
                    f"the teacher {self.name} has no layer {layer}, only 0 (embeddings) to {layers}"
                )
