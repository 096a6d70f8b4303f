"""Dataclasses that are parts of a suite's file, and how a value in it is refused."""

from dataclasses import MISSING, fields
from typing import Any, NoReturn, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from allennlp.common import FromParams, Params
from allennlp.common.checks import ConfigurationError

S = TypeVar("S", bound="Section")

_REMEDIES = {
    str: "write a string",
    int: "write an integer",
    list: "give a list",
    dict: "it must be an object",
}


class Section(FromParams):
    """
    A dataclass that is a part of a suite's file. `from_params` refuses keys that are missing,
    unknown or of another type, and says where in the file they are.
    """

    @classmethod
    def from_params(cls: Type[S], params: Params, **extras: Any) -> S:  # type: ignore[override]
        place = params.history
        where = place.rstrip(".") or "the suite"
        own = {one.name: one for one in fields(cls)}  # type: ignore[arg-type]
        for key in params:
            if key not in own:
                refuse(f"{where}: the key", key, f"there is no such key; the keys are {list(own)}")
        for key, one in own.items():
            if key in params:
                continue
            if one.default_factory is not MISSING:
                # AllenNLP would take the marker "has a factory" for the value.
                params[key] = one.default_factory()
            elif one.default is MISSING:
                raise ConfigurationError(f"{where} lacks the key {key!r}: add it")
        hints = get_type_hints(cls)
        for key, value in params.as_dict(quiet=True).items():
            check_type(f"{place}{key}", value, hints[key])
        return super().from_params(params, **extras)


def refuse(key: str, value: Any, remedy: str) -> NoReturn:
    shown = repr(value)
    raise ConfigurationError(f"{key} is {shown[:200]}{'...' * (len(shown) > 200)}: {remedy}")


def check_type(key: str, value: Any, hint: Any) -> None:
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Union:
        options = {get_origin(x) or x: x for x in arguments}
        if type(value) not in options:
            refuse(key, value, ", or ".join(_REMEDIES[x] for x in options if x in _REMEDIES))
        check_type(key, value, options[type(value)])
        return
    if isinstance(origin, type) and issubclass(origin, Section):
        origin = dict
    # A bool is an int to Python.
    if origin in _REMEDIES and (not isinstance(value, origin) or isinstance(value, bool)):
        refuse(key, value, _REMEDIES[origin])
    if origin is list and arguments:
        for i, one in enumerate(value):
            check_type(f"{key}.{i}", one, arguments[0])
    elif origin is dict and arguments:
        for name, one in value.items():
            check_type(f"{key}.{name}", one, arguments[1])
