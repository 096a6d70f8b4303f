"""A trained transformer tagger as a token classifier of Hugging Face, with its CRF beside it."""

import copy
import os
import random
from pathlib import Path
from string import Template
from typing import Any, List, NamedTuple, Tuple

import numpy
import torch
from allennlp.common import cached_transformers
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Token
from allennlp.data.fields import TextField
from allennlp.data.token_indexers import PretrainedTransformerMismatchedIndexer
from allennlp.modules.seq2seq_encoders import PassThroughEncoder
from allennlp.modules.text_field_embedders import BasicTextFieldEmbedder
from allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder
from transformers import (
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from structkd_allennlp.common.files import whole_directory, write_text
from structkd_allennlp.common.transformer_config import max_length
from structkd_allennlp.common.transformer_files import write_transformer
from structkd_allennlp.data.sentences import Sentence, instance_of_words
from structkd_allennlp.distillation.huggingface_teacher import HuggingFaceSource
from structkd_allennlp.distillation.target_store import Head
from structkd_allennlp.distillation.teacher import ArchiveSource
from structkd_allennlp.modules.crf_file import CRF_FILE, StoredCrf, write_crf
from structkd_allennlp.modules.tagger_chain import Tagger

_TOLERANCE = 1e-4
# What both are compared on.
_SENTENCES = 24
_WORDS = 20


class Exported(NamedTuple):
    """
    # Parameters

    labels : `List[str]`
    sub_token_mode : `str`
        `"first"`, or `"avg"` for a tagger that reads the mean of a word's sub-words.
    words : `int`
        How many have been compared.
    difference : `float`
        The largest between any two scores.
    """

    labels: List[str]
    sub_token_mode: str
    words: int
    difference: float


def export_transformer(archive: str, directory: Path) -> Exported:
    """
    Writes the tagger of an archive as a directory that `AutoModelForTokenClassification` and
    `AutoTokenizer` load, with its transitions in `crf.safetensors` and a `README.md` that shows how
    to tag with both. Loads it again, and compares its emission scores with the tagger's on
    sentences made of sub-words of its vocabulary. It appears whole or not at all.

    # Parameters

    archive : `str`
        Of a tagger that is a transformer, a projection and a CRF, or no CRF, and nothing between.
    directory : `Path`
        Which must not exist.

    # Raises

    `ConfigurationError` for an archive that cannot be loaded, a tagger of another shape, and where
    the scores differ.
    """
    if directory.exists():
        raise ConfigurationError(
            f"{directory} exists already: name another directory, or delete it"
        )
    if not os.path.exists(archive):
        raise ConfigurationError(f"there is no archive {archive}: correct its path")
    source = ArchiveSource(archive)
    source.check()
    head = source.head()
    tagger, loaded = source.loaded()
    try:
        embedder = _embedder(tagger)
        tokenizer = _tokenizer(loaded.dataset_reader, embedder)
        classifier = _classifier(tagger, embedder, head)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{archive} cannot be written as a token classifier of Hugging Face: {error.message}"
        ) from error
    mode = embedder.sub_token_mode or "avg"
    with whole_directory(directory) as new:
        write_crf(new / CRF_FILE, StoredCrf(head.labels, head.encoding, mode, head.potentials))
        write_text(new / "README.md", _readme(tokenizer.model_max_length, mode))
        write_transformer(new, classifier, tokenizer)
        sentences = _sentences(tokenizer)
        difference = _difference(source, HuggingFaceSource(str(new)), sentences)
        if not difference <= _TOLERANCE:
            raise ConfigurationError(
                f"{archive}: what was written gives scores that differ by up to {difference:.2g}, "
                f"so {directory} has not been kept. Most likely its tokenizer splits words in "
                'another way than the archive does: give indexer and embedder "tokenizer_kwargs": '
                '{"add_prefix_space": true}, which byte-level sub-words need, and train it again'
            )
    words = sum(len(sentence.words) for sentence in sentences)
    return Exported(head.labels, mode, words, difference)


def _embedder(tagger: Tagger) -> PretrainedTransformerMismatchedEmbedder:
    """Raises `ConfigurationError` for a tagger of another shape."""
    fields = tagger.text_field_embedder
    own: List[Any] = [fields]
    if isinstance(fields, BasicTextFieldEmbedder):
        own = list(fields._token_embedders.values())
    embedder = own[0]
    if len(own) != 1 or not isinstance(embedder, PretrainedTransformerMismatchedEmbedder):
        raise ConfigurationError(
            f"its words are embedded by {', '.join(type(x).__name__ for x in own)}. That has to be "
            "a transformer alone, pretrained_transformer_mismatched or folded_transformer"
        )
    matched: Any = embedder._matched_embedder
    if matched._scalar_mix is not None:
        raise ConfigurationError(
            "it mixes the layers of its transformer, and a token classifier has the last one: "
            'train it with "last_layer_only": true'
        )
    if not isinstance(tagger.encoder, PassThroughEncoder):
        raise ConfigurationError(
            f"there is a {type(tagger.encoder).__name__} between its transformer and its scores, "
            'which a token classifier does not have: train it with "encoder": {"type": '
            '"pass_through"}'
        )
    if getattr(tagger, "_feedforward", None) is not None:
        raise ConfigurationError(
            "there is a feedforward network between its transformer and its scores, which a token "
            "classifier does not have: train it without"
        )
    transformer = matched.transformer_model
    kind = type(transformer.config)
    if (
        kind not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING
        or type(transformer) is not MODEL_MAPPING[kind]
    ):
        raise ConfigurationError(
            f"transformers has no token classifier for a {type(transformer).__name__}"
        )
    return embedder


def _tokenizer(
    reader: DatasetReader, embedder: PretrainedTransformerMismatchedEmbedder
) -> PreTrainedTokenizerFast:
    field = instance_of_words(reader, [Token("a")], None)["tokens"]
    assert isinstance(field, TextField)
    (indexer,) = field.token_indexers.values()
    if not isinstance(indexer, PretrainedTransformerMismatchedIndexer):
        raise ConfigurationError(
            f"its words are indexed by a {type(indexer).__name__}. That has to be the indexer of "
            "its transformer"
        )
    own = indexer._allennlp_tokenizer
    tokenizer = copy.deepcopy(
        cached_transformers.get_tokenizer(own._model_name, **own._tokenizer_kwargs)
    )
    if not tokenizer.is_fast:
        raise ConfigurationError(
            f"its {type(tokenizer).__name__} is no fast tokenizer, and only these know which "
            "sub-words a word has"
        )
    if getattr(tokenizer, "add_prefix_space", True) is False:
        # Without, it refuses words.
        tokenizer = copy.deepcopy(
            cached_transformers.get_tokenizer(
                own._model_name, **{**own._tokenizer_kwargs, "add_prefix_space": True}
            )
        )
    matched = embedder._matched_embedder
    longest = matched._max_length or max_length(matched.config)
    if longest is not None:
        tokenizer.model_max_length = longest
    return tokenizer


def _classifier(
    tagger: Tagger, embedder: PretrainedTransformerMismatchedEmbedder, head: Head
) -> PreTrainedModel:
    transformer = embedder._matched_embedder.transformer_model
    config = copy.deepcopy(transformer.config)
    config.id2label = dict(enumerate(head.labels))
    config.label2id = {label: number for number, label in enumerate(head.labels)}
    model = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING[type(config)](config)
    base = getattr(model, model.base_model_prefix)
    missing, unexpected = base.load_state_dict(transformer.state_dict(), strict=False)
    # A pooler makes one vector of a sentence.
    unexpected = [name for name in unexpected if not name.startswith("pooler.")]
    layers = [module for module in model.children() if isinstance(module, torch.nn.Linear)]
    projection = tagger.tag_projection_layer._module
    if missing or unexpected or [x.weight.shape for x in layers] != [projection.weight.shape]:
        raise ConfigurationError(
            f"a {type(model).__name__} of transformers is not one linear layer on top of a "
            f"{type(transformer).__name__}"
        )
    layers[0].load_state_dict(projection.state_dict())
    return model.eval()


def _sentences(tokenizer: PreTrainedTokenizerFast) -> List[Sentence]:
    """Of words made of one to three pieces each, always the same."""
    draw = random.Random(0)
    special = set(tokenizer.all_special_ids)
    ids = sorted(set(tokenizer.get_vocab().values()) - special)
    pieces = [
        text
        for text in map(tokenizer.decode, ([i] for i in draw.sample(ids, min(len(ids), 1000))))
        if text.strip("# ").isalnum()
    ]
    most = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
    sentences = []
    for _ in range(_SENTENCES):
        words: List[str] = []
        size = 0
        for _ in range(draw.randint(1, _WORDS)):
            word = "".join(draw.choice(pieces).strip("# ") for _ in range(draw.randint(1, 3)))
            size += len(tokenizer.encode([word], is_split_into_words=True))
            if words and size > most:
                break
            words.append(word)
        sentences.append(Sentence(words, None))
    return sentences


def _difference(
    archive: ArchiveSource, written: HuggingFaceSource, sentences: List[Sentence]
) -> float:
    cpu = torch.device("cpu")
    pairs: List[Tuple[numpy.ndarray, numpy.ndarray]] = list(
        zip(archive.emissions(sentences, cpu), written.emissions(sentences, cpu), strict=True)
    )
    return max(float(numpy.abs(one - other).max()) for one, other in pairs)


def _readme(longest: int, mode: str) -> str:
    first = mode == "first"
    return _README.substitute(
        longest=longest,
        scores="the scores of its first sub-word" if first else "the mean scores of its sub-words",
        pipelines="" if first else " Pipelines that read first\nsub-words see something else.",
        word="logits[own[0]]" if first else "logits[own].mean(0)",
    )


_README = Template("""---
library_name: transformers
pipeline_tag: token-classification
---

# A sequence tagger

A transformer and a linear layer, which `AutoModelForTokenClassification` loads, and a linear-chain
CRF in `crf.safetensors`, whose transitions are minus infinity where labels may not follow each
other. A word has $scores.$pipelines

```python
import torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, AutoTokenizer

directory = "."
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForTokenClassification.from_pretrained(directory).eval()
crf = load_file(f"{directory}/crf.safetensors")


def tag(words):
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    word_ids = encoded.word_ids()
    with torch.no_grad():
        logits = model(**encoded).logits[0]
    emissions = []
    for i in range(len(words)):
        own = [position for position, word in enumerate(word_ids) if word == i]
        emissions.append($word if own else torch.zeros(logits.shape[1]))
    best, pointers = crf["start_transitions"] + emissions[0], []
    for emission in emissions[1:]:
        scores, previous = (best.unsqueeze(1) + crf["transitions"]).max(0)
        best = scores + emission
        pointers.append(previous)
    path = [int((best + crf["end_transitions"]).argmax())]
    for previous in reversed(pointers):
        path.append(int(previous[path[-1]]))
    return [model.config.id2label[label] for label in reversed(path)]
```

`tag(["Ada", "lives", "in", "Rotterdam", "."])` gives a label for each word, of a sentence of up to
$longest sub-words. For structkd_allennlp it is a teacher, of sentences of any length:
`{"type": "hugging_face", "model": "DIRECTORY"}`.
""")
