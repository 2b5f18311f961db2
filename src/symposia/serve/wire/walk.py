"""JSON beside the types it should have, until the first thing that does not fit.

The walk reads the very types the decoder was made of, so it cannot know other fields or bounds than the decoder does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from .bounds import bounds_of, lengths, scalar_of

Path = tuple[str | int, ...]
_Array = inspect.VarTupleType | inspect.ListType | inspect.SetType | inspect.FrozenSetType
MOST_SHOWN = 80


class Misfit(NamedTuple):
    """A value that does not fit: `code` is a row of the fault table.

    `word`: the type is right, but it is a word that is not taken here, or anything where only null is.
    """

    path: Path
    code: str
    expected: str
    got: str
    word: bool = False


def walk(kind: inspect.Type, value: Any, path: Path) -> Iterator[Misfit]:
    """What does not fit, in the order of the document; lazily, as only the first is told."""
    match _bare(kind):
        case inspect.AnyType():
            yield from _finite(value, path)
        case inspect.UnionType() as union:
            yield from _union(union, value, path)
        case inspect.StructType() as struct:
            yield from _tagged([struct], value, path)
        case inspect.DictType() as mapping:
            yield from _dict(mapping, value, path)
        case inspect.TupleType() as row:
            yield from _row(row, value, path)
        case (
            inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType()
        ) as array:
            yield from _array(array, value, path)
        case inspect.LiteralType() as words:
            if not (isinstance(value, str) and value in words.values):
                expected = "one of " + ", ".join(map(repr, words.values))
                yield Misfit(path, "invalid_value", expected, shown(value), isinstance(value, str))
        case scalar:
            yield from _scalar(scalar, value, path)


def shown(value: Any) -> str:
    """A value as a message shows it: short."""
    match value:
        case dict() | list():
            return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
        case float() if not math.isfinite(value):
            text = repr(value)
        case int() if not isinstance(value, bool):
            text = str(value) if abs(value) < 10**MOST_SHOWN else "a number of too many digits"
        case _:
            text = msgspec.json.encode(value).decode()
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"


def _bare(kind: inspect.Type) -> inspect.Type:
    """The type without what is only said of it in a schema."""
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _wrong(path: Path, expected: str, value: Any) -> Misfit:
    return Misfit(path, "invalid_value", expected, shown(value))


def _finite(value: Any, path: Path) -> Iterator[Misfit]:
    """Free JSON may hold anything but numbers without an end."""
    match value:
        case float() if not math.isfinite(value):
            yield _wrong(path, "a finite number", value)
        case dict():
            for key, item in value.items():
                yield from _finite(item, (*path, key))
        case list():
            for at, item in enumerate(value):
                yield from _finite(item, (*path, at))


def _scalar(kind: inspect.Type, value: Any, path: Path) -> Iterator[Misfit]:
    scalar, bounds = scalar_of(kind), bounds_of(kind)
    if not scalar.fits(value) or not all(bound.holds(value) for bound in bounds):
        expected = _within(scalar.name, [bound.said for bound in bounds])
        yield Misfit(path, "invalid_value", expected, shown(value), isinstance(kind, inspect.NoneType))


def _within(name: str, said: list[str]) -> str:
    return f"{name} {' and '.join(said)}" if said else name


def _sized(kind: inspect.DictType | _Array, name: str, value: Any, path: Path) -> Iterator[Misfit]:
    bounds = lengths(kind.min_length, kind.max_length, "items")
    if not all(bound.holds(value) for bound in bounds):
        yield _wrong(path, _within(name, [bound.said for bound in bounds]), value)


def _dict(kind: inspect.DictType, value: Any, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield _wrong(path, "an object", value)
        return
    yield from _sized(kind, "an object", value, path)
    whole = isinstance(kind.key_type, inspect.IntType)
    for key, item in value.items():
        as_key = int(key) if whole and re.fullmatch(r"-?(?:0|[1-9]\d{0,17})", key, re.ASCII) else key
        yield from walk(kind.key_type, as_key, (*path, key))
        yield from walk(kind.value_type, item, (*path, key))


def _array(kind: _Array, value: Any, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, list):
        yield _wrong(path, "an array", value)
        return
    yield from _sized(kind, "an array", value, path)
    for at, item in enumerate(value):
        yield from walk(kind.item_type, item, (*path, at))


def _row(kind: inspect.TupleType, value: Any, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, list) or len(value) != len(kind.item_types):
        yield _wrong(path, f"an array of {len(kind.item_types)} items", value)
        return
    for at, (item_kind, item) in enumerate(zip(kind.item_types, value, strict=True)):
        yield from walk(item_kind, item, (*path, at))


def _union(kind: inspect.UnionType, value: Any, path: Path) -> Iterator[Misfit]:
    """By what JSON tells apart: an object by its tag, anything else by its type."""
    options = [_bare(option) for option in kind.types]
    structs = [option for option in options if isinstance(option, inspect.StructType)]
    others = [option for option in options if not isinstance(option, inspect.StructType)]
    if isinstance(value, dict) and structs:
        yield from _tagged(structs, value, path)
        return
    found = [next(walk(option, value, path), None) for option in others]
    misfits = [misfit for misfit in found if misfit is not None]
    if len(misfits) < len(found):
        return
    own = [
        misfit for option, misfit in zip(others, misfits, strict=True) if _is_of(option, value, misfit, path)
    ]
    if len(own) == 1:
        yield own[0]
        return
    expected = " or ".join([*(misfit.expected for misfit in misfits), *(["an object"] if structs else [])])
    words = isinstance(value, str) and any(isinstance(option, inspect.LiteralType) for option in others)
    yield Misfit(path, "invalid_value", expected, shown(value), words)


def _is_of(option: inspect.Type, value: Any, misfit: Misfit, path: Path) -> bool:
    """Whether the value is of the option's JSON type, so that its misfit is the one to tell."""
    match option:
        case inspect.DictType():
            return isinstance(value, dict)
        case (
            inspect.TupleType()
            | inspect.VarTupleType()
            | inspect.ListType()
            | inspect.SetType()
            | inspect.FrozenSetType()
        ):
            return isinstance(value, list)
        case inspect.LiteralType() | inspect.AnyType():
            return misfit.path != path
        case _:
            return scalar_of(option).fits(value)


def _tagged(options: list[inspect.StructType], value: Any, path: Path) -> Iterator[Misfit]:
    field = options[0].tag_field
    if field is None or not isinstance(value, dict):
        yield from _struct(options[0], value, path)
        return
    tag = value.get(field)
    chosen = next((option for option in options if option.tag == tag), None)
    if chosen is None:
        expected = "one of " + ", ".join(repr(option.tag) for option in options)
        got = shown(tag) if field in value else "nothing"
        yield Misfit((*path, field), "invalid_value", expected, got, isinstance(tag, str))
        return
    yield from _struct(chosen, value, path)


def _struct(kind: inspect.StructType, value: Any, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield _wrong(path, "an object", value)
        return
    fields = {field.encode_name: field for field in kind.fields}
    named = [name for name, field in fields.items() if _is_name(field.type) and name in value]
    for key in (*named, *(key for key in value if key not in named)):  # what it is, then what it holds
        item = value[key]
        if key in fields:
            yield from walk(fields[key].type, item, (*path, key))
        elif key != kind.tag_field:
            yield _unknown(key, [*fields, *([kind.tag_field] if kind.tag_field else [])], path)
    for name, field in fields.items():
        if field.required and name not in value:
            yield Misfit((*path, name), "invalid_value", "a value", "nothing")
    yield from _contradiction(kind, value, path)


def _is_name(kind: inspect.Type) -> bool:
    """Whether a field says what kind of object it is in."""
    return isinstance(kind, inspect.LiteralType) and len(kind.values) == 1


def _unknown(key: str, known: list[str], path: Path) -> Misfit:
    near = get_close_matches(key[:MOST_SHOWN], known, n=1, cutoff=0.5)
    expected = f"a known field, such as {near[0]!r}" if near else f"one of {', '.join(sorted(known))}"
    return Misfit((*path, key), "unknown_parameter", expected, f"the unknown field {key[:MOST_SHOWN]!r}")


def _contradiction(kind: inspect.StructType, value: dict[str, Any], path: Path) -> Iterator[Misfit]:
    """What a value says of itself once every field fits: an intervention that contradicts itself, and such."""
    try:
        msgspec.convert(value, kind.cls)
    except msgspec.ValidationError as error:
        said = str(error.__cause__) if error.__cause__ is not None else str(error)
        code = "invalid_steering" if "interventions" in path else "invalid_value"
        yield Misfit(path, code, f"fields that hold together ({said})", "these")
