from structkd_allennlp.data.token_indexers.folded_transformer_indexer import (
    FoldedTransformerIndexer,
)

__all__ = ["FoldedTransformerIndexer"]
