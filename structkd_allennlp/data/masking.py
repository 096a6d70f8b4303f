"""Dynamic masking: which sub-words a masked language model has to predict."""

import zlib
from typing import Any, Optional

import torch
from allennlp.data.data_loaders.data_collator import DataCollator, LanguageModelingDataCollator
from allennlp.data.data_loaders.data_loader import TensorDict


@DataCollator.register("masked_language_modeling")
class MaskingDataCollator(LanguageModelingDataCollator):
    """
    Masks the sub-words of a `TransformerTextField` anew in each batch, by Hugging Face's
    `DataCollatorForLanguageModeling`: of those that are chosen, 80% become the mask token, 10% any
    token, and 10% stay as they are. Special tokens are never chosen.

    It adds `labels` to the tensors of the field: the token where it is to be predicted, -100
    elsewhere.

    Registered as a `DataCollator` with name "masked_language_modeling".

    # Parameters

    model_name : `str`
        The tokenizer, by its directory or name.
    mlm_probability : `float`, optional (default=`0.15`)
    seed : `int`, optional (default=`None`)
        If given, the same batch is always masked in the same way, which makes validation figures
        comparable from epoch to epoch and from model to model.
    """

    def __init__(
        self,
        model_name: str,
        mlm_probability: float = 0.15,
        seed: Optional[int] = None,
        filed_name: str = "tokens",
    ) -> None:
        # The name of the last parameter is AllenNLP's.
        super().__init__(model_name, mlm_probability=mlm_probability, filed_name=filed_name)
        tokenizer: Any = self._collator.tokenizer
        self._special = torch.tensor(tokenizer.all_special_ids)
        self._seed = seed

    def process_tokens(self, tensor_dicts: TensorDict) -> TensorDict:
        tensors: Any = tensor_dicts[self._field_name]
        ids = tensors["input_ids"]
        special = torch.isin(ids, self._special)
        if self._seed is None:
            masked = self._mask_tokens(ids, special_tokens_mask=special)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._seed + zlib.crc32(ids.numpy().tobytes()))
                masked = self._mask_tokens(ids, special_tokens_mask=special)
        tensors["input_ids"], tensors["labels"] = masked
        return tensor_dicts
