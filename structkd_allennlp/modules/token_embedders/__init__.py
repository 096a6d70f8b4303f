from structkd_allennlp.modules.token_embedders.folded_transformer_embedder import (
    FoldedTransformerEmbedder,
)

__all__ = ["FoldedTransformerEmbedder"]
