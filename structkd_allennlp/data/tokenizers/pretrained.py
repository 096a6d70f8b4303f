"""Sub-word tokenizers of Hugging Face for masked language models."""

from allennlp.common import cached_transformers
from allennlp.common.checks import ConfigurationError
from transformers import PreTrainedTokenizerBase

ROLES = ("cls_token", "sep_token", "mask_token", "pad_token")


def masked_lm_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """
    The tokenizer in a directory, or of a name that Hugging Face knows.

    Raises `ConfigurationError` where there is none, or it lacks a token that a masked language
    model needs.
    """
    try:
        tokenizer = cached_transformers.get_tokenizer(name)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{name}: no tokenizer can be loaded from there ({error}). Name the directory of one, "
            "such as `allennlp train-tokenizer` writes."
        ) from error
    missing = [role for role in ROLES if getattr(tokenizer, role) is None]
    if missing:
        raise ConfigurationError(
            f"{name}: the tokenizer has no {', '.join(missing)}. A masked language model needs "
            f"{', '.join(ROLES)}: choose another tokenizer."
        )
    return tokenizer
