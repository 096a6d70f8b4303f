from typing import List, Optional

from allennlp.common import cached_transformers
from allennlp.data import Token, TokenIndexer, Vocabulary
from allennlp.data.token_indexers import PretrainedTransformerMismatchedIndexer
from allennlp.data.token_indexers.token_indexer import IndexedTokenList

from structkd_allennlp.common.transformer_config import folding_length


@TokenIndexer.register("folded_transformer")
class FoldedTransformerIndexer(PretrainedTransformerMismatchedIndexer):
    """
    AllenNLP's `PretrainedTransformerMismatchedIndexer` for sentences of any length and any words,
    to be used with `FoldedTransformerEmbedder`: a sentence that is longer than the transformer
    takes is folded into several of its inputs, and nothing is cut off.

    Registered as a `TokenIndexer` with name "folded_transformer".

    # Parameters

    model_name : `str`
        The directory of a transformer, or its name on the Hugging Face Hub.

    max_length : `int`, optional
        Where to fold, in sub-words with special tokens: the same as for the embedder. By default
        it is the longest input that the transformer takes.

    # Raises

    `ConfigurationError` if there is no transformer, or it does not take `max_length`.
    """

    def __init__(self, model_name: str, max_length: Optional[int] = None) -> None:
        length = folding_length(model_name, max_length)
        tokenizer = cached_transformers.get_tokenizer(
            model_name, add_special_tokens=False, use_fast=True
        )
        # Byte-level BPE has other sub-words for a word at the start of a text. A word is given to
        # it as one inside of a text.
        lacks_space = getattr(tokenizer, "add_prefix_space", True) is False
        super().__init__(
            model_name,
            max_length=length,  # type: ignore[arg-type]
            tokenizer_kwargs={"add_prefix_space": True} if lacks_space else None,
        )

    def tokens_to_indices(self, tokens: List[Token], vocabulary: Vocabulary) -> IndexedTokenList:
        indexed = super().tokens_to_indices(tokens, vocabulary)
        if tokens and not indexed["token_ids"]:
            # Nothing but words like "\u200b", of which no sub-word is left. A transformer cannot
            # run on nothing.
            unknown = Token(self._tokenizer.unk_token)
            indexed = super().tokens_to_indices([unknown] * len(tokens), vocabulary)
        return indexed
