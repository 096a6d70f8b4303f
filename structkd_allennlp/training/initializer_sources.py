"""The weights of taggers and of Hugging Face models, by what their rows stand for."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from allennlp.common import cached_transformers
from allennlp.common.checks import ConfigurationError
from allennlp.modules.token_embedders import Embedding, PretrainedTransformerEmbedder
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from structkd_allennlp.common.untrusted_archive import load_untrusted_archive
from structkd_allennlp.modules.crf_file import CRF_FILE, read_crf
from structkd_allennlp.modules.named_weights import NamedWeight, NamedWeights, Rows, Stack
from structkd_allennlp.modules.tagger_chain import Tagger, label_names, tagger_of

_TRANSFORMER = "transformer."
_HEAD = "tag_projection_layer._module."
# Dimensions of a tagger's weights that stand for its labels, by what AllenNLP calls them.
_LABELLED = {
    f"{_HEAD}weight": (0,),
    f"{_HEAD}bias": (0,),
    "crf.transitions": (0, 1),
    "crf.start_transitions": (0,),
    "crf.end_transitions": (0,),
}
# These tokens have other names in other vocabularies.
_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def weights_of_source(source: str) -> NamedWeights:
    """
    The weights of the tagger in an AllenNLP archive or serialization directory; or of a Hugging
    Face model, without its head, but for that of a token classifier, which is called what a
    tagger's is.

    # Raises

    `ConfigurationError` for a source that is missing, cannot be loaded, or is neither.
    """
    # What a model draws before it gets its weights must not change what the student draws.
    with torch.random.fork_rng(devices=[]):
        if os.path.isfile(source) or (Path(source) / "vocabulary").is_dir():
            return _weights_of_archive(source)
        if source.endswith(".gz"):
            raise ConfigurationError(
                f"there is no {source} to copy from. Train it first, or correct the path"
                + ("" if os.path.isabs(source) else f", which is relative to {os.getcwd()}")
            )
        return _weights_of_hugging_face(source)


def weights_of_tagger(tagger: Tagger) -> NamedWeights:
    """
    All parameters of a tagger. Those of embeddings have their vocabulary's tokens for rows, those
    of the projection and the CRF the labels.
    """
    parameters = dict(tagger.named_parameters())
    # It follows from the labels.
    parameters.pop("crf._constraint_mask", None)
    rows: Dict[str, Rows] = {}
    stacks = {}
    for name, module in tagger.named_modules():
        if isinstance(module, PretrainedTransformerEmbedder):
            prefix = f"{name}.transformer_model."
            stacks[prefix] = _stack(module.transformer_model, prefix, module.config)
            rows |= _sub_words(module.transformer_model, prefix, module.config.name_or_path)
        elif isinstance(module, Embedding) and module._vocab_namespace is not None:
            tokens = tagger.vocab.get_index_to_token_vocabulary(module._vocab_namespace)
            names = [tokens.get(i) for i in range(module.num_embeddings)]
            rows[f"{name}.weight"] = Rows(module._vocab_namespace, names)
    labels = Rows("labels", label_names(tagger))
    return NamedWeights(
        {
            name: _named(parameter, rows.get(name), labels, _LABELLED.get(name, ()))
            for name, parameter in parameters.items()
        },
        stacks,
    )


def _weights_of_archive(archive: str) -> NamedWeights:
    with _named_errors(archive, "an archive of a tagger"):
        return weights_of_tagger(tagger_of(load_untrusted_archive(archive).model))


def _weights_of_hugging_face(name: str) -> NamedWeights:
    with _named_errors(name, "an archive, or a directory or name of a Hugging Face model"):
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        kinds = config.architectures or []
        labelled = any(kind.endswith("ForTokenClassification") for kind in kinds)
        auto: Any = AutoModelForTokenClassification if labelled else AutoModel
        model, found = auto.from_pretrained(
            name, config=config, output_loading_info=True, trust_remote_code=False
        )
        rows = _sub_words(model.base_model, _TRANSFORMER, name)
    # These were drawn at random, such as a pooler, which masked language models do without. Some
    # names begin with that of the bare model within, whether or not this is one.
    prefix = f"{model.base_model_prefix}."
    missing = {key.removeprefix(prefix) for key in found["missing_keys"]}
    there = {
        id(parameter)
        for key, parameter in model.named_parameters()
        if key.removeprefix(prefix) not in missing
    }
    base = model.base_model
    weights = {
        _TRANSFORMER + key: _named(parameter, rows.get(_TRANSFORMER + key))
        for key, parameter in base.named_parameters()
        if id(parameter) in there
    }
    if labelled:
        labels = [config.id2label[i] for i in range(config.num_labels)]
        own: Dict[str, torch.Tensor] = {
            _HEAD + key: parameter
            for key, parameter in _head(model, len(labels))
            if id(parameter) in there
        }
        own |= _crf(Path(name) / CRF_FILE, labels)
        for key, parameter in own.items():
            weights[key] = _named(parameter, None, Rows("labels", labels), _LABELLED[key])
    return NamedWeights(weights, {_TRANSFORMER: _stack(base, _TRANSFORMER, config)})


def _named(
    parameter: torch.Tensor,
    rows: Optional[Rows],
    labels: Optional[Rows] = None,
    labelled: Tuple[int, ...] = (),
) -> NamedWeight:
    """Rows along the first dimension, and labels along others."""
    own: List[Optional[Rows]] = [None] * parameter.dim()
    if rows is not None:
        own[0] = rows
    for dim in labelled:
        own[dim] = labels
    return NamedWeight(parameter, tuple(own))


def _head(model: PreTrainedModel, labels: int) -> List[Tuple[str, torch.nn.Parameter]]:
    """The parameters of the layer that gives a token classifier's scores."""
    inside = {id(module) for module in model.base_model.modules()}
    layers = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear)
        and id(module) not in inside
        and module.out_features == labels
    ]
    return list(layers[-1].named_parameters()) if layers else []


def _crf(path: Path, labels: Sequence[str]) -> Dict[str, torch.Tensor]:
    """Beside a token classifier, if it is there; what it forbids has the score 0."""
    if not path.is_file():
        return {}
    potentials = read_crf(path, labels).potentials
    names = ("crf.transitions", "crf.start_transitions", "crf.end_transitions")
    return {
        name: values.masked_fill(values.isneginf(), 0)
        for name, values in zip(names, potentials, strict=True)
    }


def _stack(transformer: torch.nn.Module, prefix: str, config: PretrainedConfig) -> Stack:
    depth = config.num_hidden_layers
    for name, module in transformer.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return Stack(f"{prefix}{name}.", depth)
    return Stack(None, depth)


def _sub_words(transformer: torch.nn.Module, prefix: str, model_name: str) -> Dict[str, Rows]:
    """What the rows of a transformer's embeddings stand for, by the name of the weight."""
    embeddings = getattr(transformer, "get_input_embeddings", lambda: None)()
    for name, module in transformer.named_modules():
        if module is embeddings:
            names: List[Optional[str]] = [None] * embeddings.num_embeddings
            tokenizer = cached_transformers.get_tokenizer(model_name)
            for token, number in tokenizer.get_vocab().items():
                if number < len(names):
                    names[number] = token
            for role in _ROLES:
                number = getattr(tokenizer, f"{role}_id")
                if number is not None and number < len(names):
                    names[number] = f"<{role}>"
            return {f"{prefix}{name}.weight": Rows("sub-words", names)}
    return {}


@contextmanager
def _named_errors(source: str, kind: str) -> Iterator[None]:
    """Whatever is wrong inside a source, and `transformers` says it in errors of many kinds."""
    try:
        yield
    except Exception as error:
        reason = error.message if isinstance(error, ConfigurationError) else str(error)
        raise ConfigurationError(
            f"{source}, which the student is to start from, cannot be loaded "
            f"({' '.join(reason.split())[:300]}): it must be {kind}"
        ) from error
