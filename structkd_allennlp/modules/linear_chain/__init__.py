from structkd_allennlp.modules.linear_chain.distribution import (
    KBest,
    LinearChain,
    StructuredDistribution,
)

__all__ = ["KBest", "LinearChain", "StructuredDistribution"]
