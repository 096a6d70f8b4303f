"""The parts of a tagger that become ONNX graphs: from words to vectors, from these to scores."""

import warnings
from pathlib import Path
from typing import Any, Dict, List, Sequence

import onnx
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.modules.seq2seq_encoders import PassThroughEncoder, PytorchSeq2SeqWrapper
from allennlp.modules.seq2vec_encoders import CnnEncoder
from allennlp.modules.text_field_embedders import BasicTextFieldEmbedder
from allennlp.modules.token_embedders import (
    Embedding,
    PretrainedTransformerMismatchedEmbedder,
    TokenCharactersEncoder,
)
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from structkd_allennlp.modules.tagger_chain import Tagger
from structkd_allennlp.serving.inputs import VECTORS
from structkd_allennlp.serving.model_directory import GRAPH, WORD_GRAPH

_OPSET = 17

SCORES = "scores"

_NOWHERE = -1e30
"""Added to what is not there, so that it is never the highest."""

_Names = Dict[str, List[str]]


class Embedder(torch.nn.Module):
    """
    What stands in a graph for one of a tagger's embedders.

    # Attributes

    inputs : `Dict[str, List[str]]`
        The names of its inputs, each with those of its dimensions.
    """

    inputs: _Names

    def example(self, batch: int, length: int) -> List[Tensor]:
        """One tensor for each input."""
        raise NotImplementedError


class TypeEmbedder(Embedder):
    """Of words by themselves: `(words, size)`, whatever the sentences are that they are in."""

    size: int

    def example(self, batch: int, length: int) -> List[Tensor]:
        return [torch.ones(5, dtype=torch.long)]


class WordEmbedder(TypeEmbedder):
    """`NAME` `(words,)`: see `serving.inputs.WordInput`."""

    def __init__(self, name: str, embedding: Embedding) -> None:
        super().__init__()
        self.inputs = {name: ["words"]}
        self.size = embedding.get_output_dim()
        self._embedding = embedding

    def forward(self, numbers: Tensor) -> Tensor:
        embedded: Tensor = self._embedding(numbers)
        return embedded


class CharacterEmbedder(TypeEmbedder):
    """A convolution over characters: see `serving.inputs.CharacterInput`."""

    def __init__(self, name: str, encoder: TokenCharactersEncoder) -> None:
        super().__init__()
        self.inputs = {name: ["words", f"{name}_characters"]}
        self.size = encoder.get_output_dim()
        self._embedding = encoder._embedding._module
        self._cnn: CnnEncoder = encoder._encoder._module

    def example(self, batch: int, length: int) -> List[Tensor]:
        longest = max(self._cnn._ngram_filter_sizes) + 4
        return [torch.ones(5, longest, dtype=torch.long)]

    def forward(self, characters: Tensor) -> Tensor:
        # Shape: (words, characters, size)
        embedded = self._embedding(characters)
        padding = (characters == 0).to(embedded.dtype)
        pooled = []
        for layer in self._cnn._convolution_layers:
            (width,) = layer.kernel_size
            positions = characters.size(1) - width + 1
            # Shape: (words, positions, width * size)
            windows = torch.cat([embedded[:, i : i + positions] for i in range(width)], 2)
            # Shape: (filters, size, width) -> (width * size, filters)
            weights = layer.weight.permute(2, 1, 0).flatten(0, 1)
            # A window that holds padding ends with it.
            values = windows @ weights + _NOWHERE * padding[:, width - 1 :].unsqueeze(2)
            # The activation never falls, so the highest stays the highest.
            highest = values.amax(1)
            assert layer.bias is not None
            activations = self._cnn._activation(highest + layer.bias)
            pooled.append(activations.masked_fill(highest < _NOWHERE / 2, 0.0))
        # Shape: (words, filters)
        vectors = torch.cat(pooled, 1)
        if self._cnn.projection_layer is not None:
            vectors = self._cnn.projection_layer(vectors)
        return vectors


class TransformerEmbedder(Embedder):
    """The vectors of words from those of their sub-words: see `serving.sub_words.SubWordInput`."""

    def __init__(self, name: str, embedder: PretrainedTransformerMismatchedEmbedder) -> None:
        super().__init__()
        self.inputs = {
            name: [f"{name}_segments", f"{name}_pieces"],
            f"{name}_mask": [f"{name}_segments", f"{name}_pieces"],
            f"{name}_places": [f"{name}_used"],
            f"{name}_words": [f"{name}_used"],
            f"{name}_weights": [f"{name}_used"],
        }
        matched: Any = embedder._matched_embedder
        self._transformer = matched.transformer_model
        self._mix = matched._scalar_mix

    def example(self, batch: int, length: int) -> List[Tensor]:
        pieces = torch.ones(batch + 1, length + 2, dtype=torch.long)
        used = torch.arange(length)
        return [pieces, pieces, used, used, torch.ones(length)]

    def forward(
        self,
        pieces: Tensor,
        present: Tensor,
        places: Tensor,
        words: Tensor,
        weights: Tensor,
        mask: Tensor,
    ) -> Tensor:
        output = self._transformer(input_ids=pieces, attention_mask=present.float())
        if self._mix is None:
            hidden = output.last_hidden_state
        else:
            # The first are those that the layers start from.
            hidden = self._mix(output.hidden_states[1:])
        # Shape: (used, size)
        parts = hidden.flatten(0, 1)[places] * weights.unsqueeze(1)
        # Shape: (batch * length, size)
        sums = parts.new_zeros(mask.size(0) * mask.size(1), parts.size(1))
        # Not `index_put`, which the exporter turns into one that adds nothing up.
        sums = sums.scatter_add(0, words.unsqueeze(1).expand_as(parts), parts)
        return sums.view(mask.size(0), mask.size(1), parts.size(1))


class Graph(Embedder):
    """
    What becomes a file.

    # Attributes

    outputs : `Dict[str, List[str]]`
        As `inputs`; of dimensions that are always the same there is no name.
    """

    outputs: _Names


class WordGraph(Graph):
    """
    From words to what is known of them by themselves.

    # Parameters

    embedders : `Sequence[TypeEmbedder]`
    """

    def __init__(self, embedders: Sequence[TypeEmbedder]) -> None:
        super().__init__()
        self._embedders = embedders
        self.parts = torch.nn.ModuleList(embedders)
        self.inputs = {name: own for one in embedders for name, own in one.inputs.items()}
        self.outputs = {VECTORS: ["words"]}
        self.eval()

    def example(self, batch: int, length: int) -> List[Tensor]:
        return [array for one in self._embedders for array in one.example(batch, length)]

    def forward(self, *arrays: Tensor) -> Tensor:
        """`(words, size)`: the vectors of all embedders, one after the other."""
        return torch.cat([one(x) for one, x in zip(self._embedders, arrays, strict=True)], -1)


class EmissionGraph(Graph):
    """
    From sentences to emission scores.

    # Parameters

    tagger : `Tagger`
    embedders : `Sequence[Embedder]`
        In the order in which the tagger concatenates their vectors. Those of words by themselves
        are given.

    # Raises

    `ConfigurationError` for an encoder that has no form here.
    """

    def __init__(self, tagger: Tagger, embedders: Sequence[Embedder]) -> None:
        super().__init__()
        self._sizes = [one.size for one in embedders if isinstance(one, TypeEmbedder)]
        # `None` is for vectors that are given.
        self._order = [None if isinstance(one, TypeEmbedder) else one for one in embedders]
        self._embedders = [one for one in self._order if one is not None]
        self.parts = torch.nn.ModuleList(self._embedders)
        self._rnn = rnn_of(tagger.encoder)
        self._feedforward = getattr(tagger, "_feedforward", None)
        self._projection = tagger.tag_projection_layer._module
        self.inputs = {"mask": ["batch", "length"]}
        if self._sizes:
            self.inputs[VECTORS] = ["batch", "length"]
        for one in self._embedders:
            self.inputs.update(one.inputs)
        self.outputs = {SCORES: ["batch", "length"]}
        self.eval()

    def example(self, batch: int, length: int) -> List[Tensor]:
        # Sorted, as PyTorch wants them.
        lengths = torch.tensor([length] * (batch - 1) + [2])
        arrays = [torch.arange(length) < lengths.unsqueeze(1)]
        if self._sizes:
            arrays.append(torch.ones(batch, length, sum(self._sizes)))
        return arrays + [array for one in self._embedders for array in one.example(batch, length)]

    def forward(self, mask: Tensor, *arrays: Tensor) -> Tensor:
        """
        # Parameters

        mask : `Tensor`
            `(batch, length)`, bool.
        arrays : `Tensor`
            The vectors of words by themselves, `(batch, length, size)`, if any are, and what the
            embedders take, in order.

        # Returns

        `Tensor`
            `(batch, length, labels)`; undefined where masked.
        """
        rest, vectors = list(arrays), []
        # Shape: (batch, length, size)
        hidden = rest.pop(0) if self._sizes else None
        if hidden is None or self._embedders:
            given = [] if hidden is None else list(hidden.split(self._sizes, -1))
            for one in self._order:
                if one is None:
                    vectors.append(given.pop(0))
                else:
                    vectors.append(one(*(rest.pop(0) for _ in one.inputs), mask=mask))
            hidden = torch.cat(vectors, -1)
        if self._rnn is not None:
            # The graph's operator takes sentences in any order.
            packed = pack_padded_sequence(hidden, mask.sum(1), batch_first=True)
            hidden, _ = pad_packed_sequence(self._rnn(packed)[0], batch_first=True)
        if self._feedforward is not None:
            hidden = self._feedforward(hidden)
        scores: Tensor = self._projection(hidden)
        return scores


def graphs_of(tagger: Tagger) -> Dict[str, Graph]:
    """
    By the name of the file. There is one of words where anything is known of them by themselves.

    # Raises

    `ConfigurationError` for parts of a tagger that have no form here.
    """
    embedders = [graph_embedder(*item) for item in embedders_of(tagger).items()]
    by_type = [one for one in embedders if isinstance(one, TypeEmbedder)]
    graphs: Dict[str, Graph] = {GRAPH: EmissionGraph(tagger, embedders)}
    return {**graphs, WORD_GRAPH: WordGraph(by_type)} if by_type else graphs


def rnn_of(encoder: torch.nn.Module) -> Any:
    """`None` where there is none."""
    if isinstance(encoder, PassThroughEncoder):
        return None
    rnn = encoder._module if isinstance(encoder, PytorchSeq2SeqWrapper) else None
    if not isinstance(rnn, (torch.nn.LSTM, torch.nn.GRU)) or encoder.stateful:
        raise ConfigurationError(
            f"its encoder is a {type(encoder).__name__}, which has no form in an exported graph: "
            'train it with "type": "lstm", "gru" or "pass_through"'
        )
    return rnn


def embedders_of(tagger: Tagger) -> Dict[str, Any]:
    """By the name of their indexers, in the order in which their vectors are concatenated."""
    fields = tagger.text_field_embedder
    if not isinstance(fields, BasicTextFieldEmbedder):
        raise ConfigurationError(
            f'its text_field_embedder is a {type(fields).__name__}: train it with "type": "basic"'
        )
    return {key: fields._token_embedders[key] for key in fields._ordered_embedder_keys}


def graph_embedder(name: str, embedder: torch.nn.Module) -> Embedder:
    """
    # Raises

    `ConfigurationError` for an embedder that has no form here.
    """
    if type(embedder) is Embedding:
        return WordEmbedder(name, embedder)
    if isinstance(embedder, PretrainedTransformerMismatchedEmbedder):
        return TransformerEmbedder(name, embedder)
    if type(embedder) is TokenCharactersEncoder:
        cnn = embedder._encoder._module
        if type(cnn) is CnnEncoder and type(embedder._embedding._module) is Embedding:
            return CharacterEmbedder(name, embedder)
        kind = f"{type(embedder).__name__} with a {type(cnn).__name__}"
    else:
        kind = type(embedder).__name__
    raise ConfigurationError(
        f"its {name!r} are embedded by a {kind}, which has no form in an exported graph. There are "
        "embedding, character_encoding with a cnn, folded_transformer and "
        "pretrained_transformer_mismatched"
    )


def write_onnx(graph: Graph, path: Path) -> None:
    """Writes the graph with batch, length and all sizes of inputs left open, and checks it."""
    dimensions = {**graph.inputs, **graph.outputs}
    with torch.no_grad(), warnings.catch_warnings():
        # Of shapes that are fixed in PyTorch's own modules, and of the exporter's age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            tuple(graph.example(batch=3, length=5)),
            path,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: dict(enumerate(own)) for name, own in dimensions.items()},
            opset_version=_OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(path), full_check=True)


def parameters(graph: Graph) -> int:
    return sum(parameter.numel() for parameter in graph.parameters())
