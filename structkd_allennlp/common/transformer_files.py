"""Hugging Face directories."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase


def write_transformer(
    directory: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """
    Writes weights as safetensors, configuration and tokenizer into a directory, and makes all that
    is in it as readable as the directory.
    """
    model.save_pretrained(str(directory), safe_serialization=True)
    tokenizer.save_pretrained(str(directory))
    for path in directory.iterdir():
        # The weights are written for their owner only; read by whoever may read the rest.
        path.chmod(directory.stat().st_mode & 0o666)
