"""
Weights whose rows stand for something, such as tokens or labels, and what of one model's weights
goes where in another's.
"""

from typing import Dict, List, Literal, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from allennlp.common.checks import ConfigurationError
from torch import Tensor


class Rows(NamedTuple):
    """
    What the rows along one dimension of a weight stand for.

    # Parameters

    kind : `str`
        Such as `"tokens"`.
    names : `Sequence[Optional[str]]`
        In the order of the rows; `None` for one that stands for nothing.
    """

    kind: str
    names: Sequence[Optional[str]]


class NamedWeight(NamedTuple):
    """
    # Parameters

    values : `Tensor`
    rows : `Tuple[Optional[Rows], ...]`
        For each dimension; `None` where nothing but the position tells rows apart.
    """

    values: Tensor
    rows: Tuple[Optional[Rows], ...]


class Stack(NamedTuple):
    """
    The layers of a transformer within a model.

    # Parameters

    layers : `Optional[str]`
        What the names of their weights begin with, up to the layer's number, which counts from 0;
        `None` where no layers can be told apart.
    depth : `int`
        How many layers.
    """

    layers: Optional[str]
    depth: int

    def place(self, name: str) -> Optional[Tuple[int, str]]:
        """The layer of a weight, numbered from 1, and its name within."""
        if self.layers is None or not name.startswith(self.layers):
            return None
        number, _, rest = name[len(self.layers) :].partition(".")
        return int(number) + 1, rest

    def name(self, layer: int, rest: str) -> str:
        """The inverse of `place`."""
        return f"{self.layers}{layer - 1}.{rest}"


class NamedWeights(NamedTuple):
    """
    # Parameters

    weights : `Dict[str, NamedWeight]`
        By name.
    transformers : `Dict[str, Stack]`
        By what the names of all their weights begin with.
    """

    weights: Dict[str, NamedWeight]
    transformers: Dict[str, Stack]


LayerMap = Union[str, List[int], Dict[str, int]]
"""
Which layer of the source, numbered from 1, each layer of a transformer gets: `"every_second"`;
`{"first": n}` or `{"last": n}`, those into the first or the last n; a list, one for each; or a
dictionary, `{"1": 2, "3": 6}`.
"""


def check_layer_map(layers: Optional[LayerMap]) -> None:
    """Raises `ConfigurationError` for what is none, whatever it is for."""
    if isinstance(layers, dict):
        known = len(layers) == 1 and next(iter(layers)) in ("first", "last")
        known = known or all(key.isdecimal() for key in layers)
    else:
        known = layers is None or isinstance(layers, list) or layers == "every_second"
    if not known:
        raise ConfigurationError(
            f'"layers" is {layers!r}: use "every_second", {{"first": n}}, {{"last": n}}, a list '
            "such as [2, 4, 6] with a layer of the source for each of the student, or a dictionary "
            'such as {"1": 2, "2": 4, "3": 6}'
        )


def layer_map(layers: Optional[LayerMap], own: int, its: int) -> Dict[int, int]:
    """
    The layer of the source for each layer that gets one, numbered from 1.

    # Parameters

    layers : `Optional[LayerMap]`
        `None` for stacks of the same depth, layer by layer.
    own, its : `int`
        The number of layers of the model and of the source.

    # Raises

    `ConfigurationError` where a layer does not exist, and where the map does not say what to do.
    """
    check_layer_map(layers)
    depths = f"the student has {own} transformer layers and the source {its}"
    if layers is None:
        if own != its:
            raise ConfigurationError(
                f'{depths}: say by "layers" which are copied, e.g. "every_second" or '
                f'{{"first": {min(own, its)}}}'
            )
        pairs = {i: i for i in range(1, own + 1)}
    elif isinstance(layers, str):
        if own != its // 2:
            raise ConfigurationError(
                f'{depths}: "layers": "every_second" is for half as many, {its // 2}; list those '
                "to copy, such as [2, 4, 6]"
            )
        pairs = {i: 2 * i for i in range(1, own + 1)}
    elif isinstance(layers, list):
        if len(layers) != own:
            raise ConfigurationError(
                f'{depths}: the list "layers": {layers} needs {own}, one for each of the student'
            )
        pairs = dict(enumerate(layers, start=1))
    elif "first" in layers:
        pairs = {i: i for i in range(1, layers["first"] + 1)}
    elif "last" in layers:
        pairs = {own - i: its - i for i in range(layers["last"])}
    else:
        pairs = {int(key): value for key, value in layers.items()}
    for here, there in pairs.items():
        if not (1 <= here <= own and 1 <= there <= its):
            raise ConfigurationError(
                f'{depths}, numbered from 1: "layers": {layers!r} copies {there} to {here}'
            )
    return pairs


def source_names(
    own: NamedWeights, its: NamedWeights, layers: Optional[LayerMap]
) -> Dict[str, Optional[str]]:
    """
    For the name of each weight of a model, that of its counterpart in the source, whether there is
    one or not: the same; in a transformer, the same within the source's transformer, which is the
    one of the same name, or its only one, and in the layer that `layers` says. `None` in a layer
    that gets none.

    # Raises

    `ConfigurationError` for a map of layers that does not fit, or without two transformers.
    """
    prefixes = {prefix: prefix for prefix in own.transformers if prefix in its.transformers}
    if len(its.transformers) == 1:
        prefixes = dict.fromkeys(own.transformers, next(iter(its.transformers)))
    if layers is not None and not prefixes:
        raise ConfigurationError(
            '"layers" maps layers of transformers, and '
            + ("the source" if own.transformers else "the student")
            + " has none: leave it out"
        )
    names: Dict[str, Optional[str]] = {name: name for name in own.weights}
    for here, there in prefixes.items():
        mine, other = own.transformers[here], its.transformers[there]
        layered = mine.layers is not None and other.layers is not None
        if layers is not None and not layered:
            raise ConfigurationError(
                f'"layers" is {layers!r}, but the layers of {here}* or of the source\'s {there}* '
                "cannot be told apart: leave it out"
            )
        pairs = layer_map(layers, mine.depth, other.depth) if layered else {}
        for name in own.weights:
            place = mine.place(name) if layered else None
            if place is not None:
                layer, rest = place
                names[name] = other.name(pairs[layer], rest) if layer in pairs else None
            elif name.startswith(here):
                names[name] = there + name[len(here) :]
    return names


class Aligned(NamedTuple):
    """
    A weight of a source in the order of another model's.

    # Parameters

    result : `str`
        `"copied"`, `"in part"` where not all rows have a counterpart, `"mismatched"` where the
        shapes differ, or `"skipped"`.
    note : `str`
        Says more.
    values : `Optional[Tensor]`
        Of the shape of the model's weight; rows without a counterpart are as they were. `None` if
        nothing is copied.
    """

    result: Literal["copied", "in part", "mismatched", "skipped"]
    note: str = ""
    values: Optional[Tensor] = None


def aligned(own: NamedWeight, its: Optional[NamedWeight]) -> Aligned:
    """
    What a weight gets of its counterpart: all of it, where dimensions without names are of the same
    size; along the others, the rows that both have a name for.
    """
    if its is None:
        return Aligned("skipped", "the source has none")
    here, there = tuple(own.values.shape), tuple(its.values.shape)
    if len(here) != len(there):
        return Aligned("mismatched", f"{here} here, {there} there")
    notes, places = [], []
    for size, other_size, mine, others in zip(here, there, own.rows, its.rows, strict=True):
        if mine is None and others is None:
            if size != other_size:
                return Aligned("mismatched", f"{here} here, {there} there")
            places.append((torch.arange(size), torch.arange(size)))
        elif mine is None or others is None:
            known = mine or others
            assert known is not None
            return Aligned("skipped", f"only one side knows its rows by name ({known.kind})")
        else:
            pairs = _common_rows(mine.names, others.names)
            note = f"{len(pairs):,} of {size:,} {mine.kind}"
            if not pairs:
                return Aligned("skipped", note)
            if note not in notes:
                notes.append(note)
            to, from_ = torch.tensor(pairs).unbind(1)
            places.append((to, from_))
    values = own.values.detach().clone()
    values[_mesh([to for to, _ in places])] = its.values.detach()[
        _mesh([from_ for _, from_ in places])
    ].to(values)
    whole = all(len(to) == size for (to, _), size in zip(places, here, strict=True))
    return Aligned("copied" if whole else "in part", ", ".join(notes), values)


def _mesh(places: Sequence[Tensor]) -> Tuple[Tensor, ...]:
    """An index of all combinations, which broadcasts, as a whole grid of them is too large."""
    return tuple(
        place.view([-1 if other == dim else 1 for other in range(len(places))])
        for dim, place in enumerate(places)
    )


def _common_rows(
    own: Sequence[Optional[str]], its: Sequence[Optional[str]]
) -> List[Tuple[int, int]]:
    if list(own) == list(its):
        return [(i, i) for i in range(len(own))]
    places: Mapping[Optional[str], int] = {name: i for i, name in enumerate(its)}
    return [(i, places[name]) for i, name in enumerate(own) if name is not None and name in places]
