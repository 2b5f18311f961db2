"""Every single-field variation of a struct, by introspection: for laws that must hold for all fields."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect


@cache
def variants(kind: Any) -> tuple[Any, ...]:
    """A valid value of `kind` and, for a struct, that value with each field changed in each way."""
    return tuple(_variants(inspect.type_info(kind)))


def _variants(info: inspect.Type) -> list[Any]:
    match info:
        case inspect.Metadata(type=inner):
            return _variants(inner)
        case inspect.StructType():
            return _structs(info)
        case inspect.UnionType(types=types):
            return [value for member in types for value in _variants(member)]
        case inspect.VarTupleType(item_type=item):
            items = _variants(item)
            return [*((value,) for value in items), tuple(items[:2]), ()]
        case inspect.TupleType(item_types=items):
            columns = [_variants(item) for item in items]
            rows = max(map(len, columns))
            even = zip(*(_stretch(c, rows) for c in columns), strict=True)
            rising = zip(
                *(_stretch(c[i % len(c) :] + c[: i % len(c)], rows) for i, c in enumerate(columns)),
                strict=True,
            )
            return [*rising, *even]
        case inspect.FrozenSetType(item_type=item) | inspect.SetType(item_type=item):
            return [frozenset(), *(frozenset([value]) for value in _variants(item))]
        case inspect.DictType(value_type=item):
            return [{}, *({"k": value} for value in _variants(item))]
        case inspect.LiteralType(values=values):
            return list(values)
        case _:
            return _scalars(info)


def _scalars(info: inspect.Type) -> list[Any]:
    match info:
        case inspect.IntType(ge=low):
            return [low or 0, (low or 0) + 1, (low or 0) + 2]
        case inspect.FloatType(ge=low, le=high):
            start = float(low) if low is not None else 0.25
            return [value for value in (start, start + 0.25, start + 0.5) if high is None or value <= high]
        case inspect.StrType():
            return ["aaa", "bbb"]
        case inspect.BoolType():
            return [False, True]
        case inspect.NoneType():
            return [None]
        case inspect.AnyType():
            return [1, "x", None]
        case _:
            raise AssertionError(f"no variants for {info}")


def _stretch(column: list[Any], length: int) -> list[Any]:
    return [column[i % len(column)] for i in range(length)]


def _structs(info: inspect.StructType) -> list[Any]:
    options = {field.name: _variants(field.type) for field in info.fields}
    base = _first_valid(info, options)
    found, same, changing = [base], repr(base), set()
    for name, values in options.items():
        for value in values:
            try:
                changed = msgspec.structs.replace(base, **{name: value})
            except ValueError:  # the struct's own cross-field rule
                continue
            if name not in changing and repr(changed) != same:
                changing.add(name)
            found.append(changed)
    never = [name for name in options if name not in changing and not _coupled(info.cls, name)]
    assert not never, f"{info.cls.__name__}: no valid variation of {never}"
    return found


def _coupled(kind: type, field: str) -> bool:
    """Fields only valid together with another, or refused by one kind; laws add examples of these by hand."""
    known = {"Capture": {"heads"}, "Heads": {"site", "mode", "means"}, "Replace": {"where", "heads"}}
    return field == "weights" or field in known.get(kind.__name__, set())


def _first_valid(info: inspect.StructType, options: dict[str, list[Any]]) -> Any:
    required = [field.name for field in info.fields if field.required]
    for shift in range(4):
        chosen = {name: options[name][min(shift, len(options[name]) - 1)] for name in required}
        for extra in ({}, {"low": 0.25}):
            try:
                return info.cls(**chosen, **{k: v for k, v in extra.items() if k in options})
            except ValueError:
                continue
    raise AssertionError(f"no valid {info.cls.__name__}")
