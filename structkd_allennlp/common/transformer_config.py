"""What Hugging Face's transformers say of themselves before their weights are loaded."""

from typing import Optional

from allennlp.common.checks import ConfigurationError
from transformers import AutoConfig, PretrainedConfig

# Their positions start behind that of the padding.
_OFFSET_POSITIONS = {
    "camembert",
    "data2vec-text",
    "ibert",
    "lilt",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}


def transformer_config(name: str) -> PretrainedConfig:
    """
    The configuration in a directory, or of a name that Hugging Face knows.

    Raises `ConfigurationError` where there is none.
    """
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{name}: no transformer can be loaded from there ({error}). Name the directory of "
            "one, which has its config.json, weights and tokenizer, or, with a network, a model of "
            "the Hugging Face Hub."
        ) from error


def max_length(config: PretrainedConfig) -> Optional[int]:
    """
    The longest input that a model takes, in sub-words with special tokens; `None` where positions
    are relative, and any length will do.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 0:
        return None
    if config.model_type in _OFFSET_POSITIONS:
        positions -= config.pad_token_id + 1
    return int(positions)


def folding_length(name: str, wanted: Optional[int] = None) -> Optional[int]:
    """
    The length at which input is folded: what is wanted, or else the longest that the transformer
    takes.

    Raises `ConfigurationError` for a transformer that is not there, or does not take as much.
    """
    longest = max_length(transformer_config(name))
    if wanted is None or longest is None:
        return wanted or longest
    if wanted > longest:
        raise ConfigurationError(
            f'"max_length": {wanted}, but {name} takes {longest} sub-words at most: leave it out '
            "of the indexer and the embedder, and longer sentences are folded at that length"
        )
    return wanted
