"""What of one model's weights goes where in another's."""

import re

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.modules.named_weights import (
    NamedWeight,
    NamedWeights,
    Rows,
    Stack,
    aligned,
    check_layer_map,
    layer_map,
    source_names,
)

NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=8)


def weight(names, other=None, columns=2):
    """A weight of `(names, columns)`, or `(names, other)` with names on both sides."""
    size = columns if other is None else len(other)
    rows = (Rows("tokens", names), None if other is None else Rows("labels", other))
    return NamedWeight(torch.rand(len(names), size), rows)


@given(NAMES, NAMES)
def test_rows_go_by_name(own, its):
    here, there = weight(own), weight(its)
    found = aligned(here, there)
    common = set(own) & set(its)
    assert found.note == f"{len(common)} of {len(own)} tokens"
    whole = "copied" if common == set(own) else "in part"
    assert found.result == (whole if common else "skipped")
    if not common:
        assert found.values is None
        return
    for i, name in enumerate(own):
        expected = there.values[its.index(name)] if name in common else here.values[i]
        assert torch.equal(found.values[i], expected)


@given(NAMES, NAMES, NAMES, NAMES)
def test_both_dimensions_at_once(own, own_columns, its, its_columns):
    """As of transitions between labels."""
    here, there = weight(own, own_columns), weight(its, its_columns)
    found = aligned(here, there)
    if not set(own) & set(its) or not set(own_columns) & set(its_columns):
        assert found.result == "skipped"
        return
    for i, row in enumerate(own):
        for j, column in enumerate(own_columns):
            known = row in its and column in its_columns
            expected = (
                there.values[its.index(row), its_columns.index(column)]
                if known
                else here.values[i, j]
            )
            assert found.values[i, j] == expected


def test_rows_that_nobody_names():
    here = NamedWeight(torch.zeros(3), (Rows("sub-words", ["a", None, "b"]),))
    there = NamedWeight(torch.tensor([1.0, 2.0, 3.0]), (Rows("sub-words", [None, "b", "a"]),))
    assert aligned(here, there).values.tolist() == [3, 0, 2]
    # In the same vocabulary they are the same.
    there = NamedWeight(torch.tensor([1.0, 2.0, 3.0]), here.rows)
    assert aligned(here, there).result == "copied"
    unnamed = NamedWeight(torch.ones(3), (None,))
    assert aligned(here, unnamed).result == aligned(unnamed, here).result == "skipped"


def test_positions_have_to_agree():
    here = NamedWeight(torch.zeros(2, 3), (None, None))
    assert torch.equal(
        aligned(here, NamedWeight(torch.ones(2, 3), (None, None)))[2], torch.ones(2, 3)
    )
    found = aligned(here, NamedWeight(torch.ones(2, 4), (None, None)))
    assert found[:2] == ("mismatched", "(2, 3) here, (2, 4) there")
    found = aligned(here, NamedWeight(torch.ones(6), (None,)))
    assert found[:2] == ("mismatched", "(2, 3) here, (6,) there")
    assert aligned(here, None)[:2] == ("skipped", "the source has none")


def test_what_is_aligned_is_a_copy():
    here, there = weight("ab"), weight("ab")
    before = here.values.clone()
    aligned(here, there).values.zero_()
    assert torch.equal(here.values, before)
    assert there.values.any()


@pytest.mark.parametrize(
    ("layers", "own", "its", "expected"),
    [
        (None, 2, 2, {1: 1, 2: 2}),
        ("every_second", 3, 6, {1: 2, 2: 4, 3: 6}),
        ("every_second", 2, 5, {1: 2, 2: 4}),
        ({"first": 3}, 3, 6, {1: 1, 2: 2, 3: 3}),
        ({"first": 2}, 3, 6, {1: 1, 2: 2}),
        ({"last": 3}, 3, 6, {3: 6, 2: 5, 1: 4}),
        ({"last": 2}, 3, 6, {3: 6, 2: 5}),
        ([1, 3, 6], 3, 6, {1: 1, 2: 3, 3: 6}),
        ([2, 2], 2, 2, {1: 2, 2: 2}),
        ({"1": 6, "3": 1}, 3, 6, {1: 6, 3: 1}),
    ],
)
def test_maps_of_layers(layers, own, its, expected):
    assert layer_map(layers, own, its) == expected


@pytest.mark.parametrize(
    ("layers", "own", "its", "message"),
    [
        (None, 3, 6, 'has 3 transformer layers and the source 6: say by "layers"'),
        ("every_second", 2, 6, "is for half as many, 3"),
        ("every_second", 6, 6, "is for half as many, 3"),
        ({"first": 4}, 3, 6, "copies 4 to 4"),
        ({"last": 4}, 3, 6, "copies 3 to 0"),
        ({"first": 3}, 3, 2, "copies 3 to 3"),
        ([1, 2], 3, 6, "needs 3"),
        ([0, 2, 4], 3, 6, "copies 0 to 1"),
        ({"4": 1}, 3, 6, "copies 1 to 4"),
    ],
)
def test_maps_that_do_not_fit(layers, own, its, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        layer_map(layers, own, its)


@pytest.mark.parametrize(
    "layers", ["every second", "first", {"first": 1, "last": 1}, {"middle": 2}, {"-1": 2}, 3]
)
def test_what_is_no_map_of_layers(layers):
    with pytest.raises(ConfigurationError, match='use "every_second"'):
        check_layer_map(layers)


def model(prefix, depth, layers="layer."):
    names = [f"{prefix}words", *(f"{prefix}layer.{i}.bias" for i in range(depth)), "head"]
    named = {name: NamedWeight(torch.rand(2), (None,)) for name in names}
    stack = Stack(None if layers is None else prefix + layers, depth)
    return NamedWeights(named, {prefix: stack})


def test_a_transformer_goes_into_that_of_another_name():
    assert source_names(model("bert.", 2), model("xlmr.", 4), "every_second") == {
        "bert.words": "xlmr.words",
        "bert.layer.0.bias": "xlmr.layer.1.bias",
        "bert.layer.1.bias": "xlmr.layer.3.bias",
        "head": "head",
    }
    names = source_names(model("bert.", 2), model("xlmr.", 4), {"2": 4})
    assert names["bert.layer.0.bias"] is None
    assert names["bert.layer.1.bias"] == "xlmr.layer.3.bias"


def test_of_several_transformers_each_goes_to_its_own_name():
    both = NamedWeights(
        {**model("a.", 2).weights, **model("b.", 1).weights},
        {**model("a.", 2).transformers, **model("b.", 1).transformers},
    )
    assert source_names(model("b.", 1), both, None)["b.layer.0.bias"] == "b.layer.0.bias"
    # One goes to all.
    names = source_names(both, model("c.", 2), {"first": 1})
    assert names["a.layer.0.bias"] == names["b.layer.0.bias"] == "c.layer.0.bias"
    assert names["a.layer.1.bias"] is None


def test_a_map_of_layers_needs_layers():
    without = NamedWeights({"head": NamedWeight(torch.rand(2), (None,))}, {})
    assert source_names(without, model("bert.", 2), None) == {"head": "head"}
    with pytest.raises(ConfigurationError, match="the student has none"):
        source_names(without, model("bert.", 2), {"first": 1})
    with pytest.raises(ConfigurationError, match="the source has none"):
        source_names(model("bert.", 2), without, {"first": 1})
    with pytest.raises(ConfigurationError, match="cannot be told apart"):
        source_names(model("bert.", 2), model("albert.", 2, layers=None), {"first": 1})
    # Then all goes by name.
    names = source_names(model("bert.", 3), model("albert.", 2, layers=None), None)
    assert names["bert.layer.2.bias"] == "albert.layer.2.bias"
