from structkd_allennlp.data.tokenizers.blank_spacy_tokenizer import (
    BlankSpacyTokenizer,
    blank_spacy_tokenizer,
)

__all__ = ["BlankSpacyTokenizer", "blank_spacy_tokenizer"]
