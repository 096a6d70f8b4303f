"""
Tagging without PyTorch, AllenNLP and transformers: nothing here imports them, but for what
`serving.export` makes of an archive.
"""

from structkd_allennlp.serving.tagger import Tagger

__all__ = ["Tagger"]
