from typing import Any, Dict, Optional

import torch
from allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder, TokenEmbedder
from torch import Tensor

from structkd_allennlp.common.transformer_config import folding_length


@TokenEmbedder.register("folded_transformer")
class FoldedTransformerEmbedder(PretrainedTransformerMismatchedEmbedder):
    """
    AllenNLP's `PretrainedTransformerMismatchedEmbedder` for what `FoldedTransformerIndexer` makes
    of sentences, with the same parameters by the same names. The vector of a word is the mean of
    those of its sub-words, or 0 if it has none.

    It differs in that

    - the length at which sentences are folded is, by default, the transformer's own;
    - a transformer that is not trained has no dropout in training either;
    - a word of thousands of sub-words needs no more memory than as many words of one.

    Registered as a `TokenEmbedder` with name "folded_transformer".

    # Parameters

    model_name, max_length
        As for the indexer.
    train_parameters : `bool`, optional (default = `True`)
        Whether the transformer is fine-tuned, or frozen.
    last_layer_only : `bool`, optional (default = `True`)
        If `False`, a mix of all layers, whose weights are trained.
    load_weights : `bool`, optional (default = `True`)
        If `False`, the transformer starts from random weights.
    transformer_kwargs : `Dict[str, Any]`, optional (default = `None`)
        What its configuration has otherwise, such as `{"num_hidden_layers": 3}`, with which it is
        made of the first three layers.

    # Raises

    `ConfigurationError` if there is no transformer, or it does not take `max_length`.
    """

    def __init__(
        self,
        model_name: str,
        max_length: Optional[int] = None,
        train_parameters: bool = True,
        last_layer_only: bool = True,
        load_weights: bool = True,
        transformer_kwargs: Optional[Dict[str, Any]] = None,
    ) -> None:
        super().__init__(
            model_name,
            max_length=folding_length(model_name, max_length),  # type: ignore[arg-type]
            train_parameters=train_parameters,
            last_layer_only=last_layer_only,
            load_weights=load_weights,
            transformer_kwargs=transformer_kwargs,
        )
        if not train_parameters:
            self._matched_embedder.eval_mode = True
            self._matched_embedder.transformer_model.eval()

    def forward(
        self,
        token_ids: torch.LongTensor,
        mask: torch.BoolTensor,
        offsets: torch.LongTensor,
        wordpiece_mask: torch.BoolTensor,
        type_ids: Optional[torch.LongTensor] = None,
        segment_concat_mask: Optional[torch.BoolTensor] = None,
    ) -> Tensor:
        """
        The parameters are those of the parent.

        # Returns

        `Tensor`
            `(batch, words, size)`.
        """
        # (batch, sub-words, size)
        embedded = self._matched_embedder(
            token_ids, wordpiece_mask, type_ids=type_ids, segment_concat_mask=segment_concat_mask
        )
        position = torch.arange(embedded.shape[1], device=embedded.device)
        first, last = offsets.unbind(-1)
        # (batch, words, sub-words)
        within = (first.unsqueeze(-1) <= position) & (position <= last.unsqueeze(-1))
        within = (within & mask.unsqueeze(-1)).to(embedded.dtype)
        means: Tensor = (within @ embedded) / within.sum(-1, keepdim=True).clamp(min=1)
        return means
