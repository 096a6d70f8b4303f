"""Hugging Face's masked language models."""

from typing import Any, Dict, List, Tuple

import torch
from allennlp.common.checks import ConfigurationError
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)


def masked_lm_from_config(
    config: Dict[str, Any], tokenizer: PreTrainedTokenizerBase, dropout: bool = True
) -> PreTrainedModel:
    """
    A masked language model with random weights for the sub-words of a tokenizer.

    # Parameters

    config : `Dict[str, Any]`
        `model_type`, such as `"bert"`, and values of that type's configuration in `transformers`,
        such as `hidden_size`.
    tokenizer : `PreTrainedTokenizerBase`
    dropout : `bool`, optional (default = `True`)
        If false, this model has none, whatever its configuration says. That stays as it is, for
        those who load the model to fine-tune it.

    # Raises

    `ConfigurationError` for a type that is not a masked language model, and for a value that the
    type does not know.
    """
    values = dict(config)
    model_type = values.pop("model_type", None)
    if model_type not in CONFIG_MAPPING:
        raise ConfigurationError(
            f'"model_type": {model_type!r} is not a type of model of transformers. Use "bert", for '
            "example."
        )
    known = CONFIG_MAPPING[model_type]()
    unknown = values.keys() - known.to_dict().keys() - known.attribute_map.keys()
    if unknown:
        raise ConfigurationError(
            f"a configuration of type {model_type!r} has no {', '.join(map(repr, sorted(unknown)))}"
        )
    values.update(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    try:
        made = AutoConfig.for_model(model_type, **values)
        rates = {
            name: rate
            for name, rate in made.to_dict().items()
            if "dropout" in name and isinstance(rate, float)
        }
        if not dropout:
            made.update(dict.fromkeys(rates, 0.0))
        model = AutoModelForMaskedLM.from_config(made)
        model.config.update(rates)
        return model
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"no masked language model is made of {config}: {error}"
        ) from error


def run_masked_lm(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    positions: Tensor,
    hidden_states: bool = False,
) -> Tuple[Tensor, List[Tensor]]:
    """
    Runs a model, but its output layer, the most expensive one, at some positions only.

    # Parameters

    model : `PreTrainedModel`
    input_ids : `Tensor`
        `(batch, length)`
    attention_mask : `Tensor`
        `(batch, length)` bool, false where padded.
    positions : `Tensor`
        `(batch, length)` bool: those to predict at, `n` in all.
    hidden_states : `bool`, optional (default=`False`)

    # Returns

    `Tuple[Tensor, List[Tensor]]` : logits, `(n, pieces)`, and, if asked for, the embeddings and the
    output of each layer, each `(batch, length, size)`.
    """

    def select(_: torch.nn.Module, arguments: Tuple[Tensor, ...]) -> Tuple[Tensor, ...]:
        hidden, *others = arguments
        # (batch, length, size) -> (n, size)
        return (hidden[positions], *others)

    # Heads have different names and parts, but each ends in this layer.
    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        output = model(
            input_ids=input_ids,
            attention_mask=attention_mask.long(),
            output_hidden_states=hidden_states,
        )
    finally:
        handle.remove()
    logits = output.logits
    if logits.dim() == 3:
        # A head that multiplies by the weights of its last layer without calling it.
        logits = logits[positions]
    return logits.float(), list(output.hidden_states or [])
