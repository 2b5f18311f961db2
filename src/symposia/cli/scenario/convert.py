"""From plain data to typed values, with msgspec's error paths turned into places in the file."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from .located import Path, ScenarioFileError
from .tree import Tree

T = TypeVar("T")
_ERROR = re.compile(r"(?P<what>.*?)(?: - at `(?:key` in `)?\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TAG = re.compile(r"Invalid value '(.*)'")
_EXPECTED = re.compile(r"Expected `(.*?)`(.*?)(?:, got `(.*)`)?", re.DOTALL)
_PLAIN = {
    "object": "a mapping",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
}
_PLAIN |= {"bool": "true or false", "null": "nothing"}


def convert(tree: Tree, kind: type[T]) -> T:
    """The tree's data as `kind`; `ScenarioFileError` says where it does not fit, and the nearest name."""
    try:
        return msgspec.convert(tree.data, kind)
    except msgspec.ValidationError as error:
        raise _located(tree, kind, str(error)) from error


def _located(tree: Tree, kind: type, message: str) -> ScenarioFileError:
    found = _ERROR.fullmatch(message)
    what, steps = (found["what"], found["path"] or "") if found else (message, "")
    path = _path(tree.data, kind, steps)
    if unknown := _UNKNOWN.fullmatch(what):
        return tree.error((*path, unknown[1]), _unknown(kind, tree.data, path, unknown[1]), at_key=True)
    if missing := _MISSING.fullmatch(what):
        return tree.error(path, f"expected a field {missing[1]!r}; it is missing")
    if tag := _TAG.fullmatch(what):
        return tree.error(path, _choose("value", tag[1], _tags(kind, tree.data, path)))
    if expected := _EXPECTED.fullmatch(what):
        return tree.error(path, _expected(tree, path, expected))
    return tree.error(path, what)


def _expected(tree: Tree, path: Path, expected: re.Match[str]) -> str:
    wanted = " or ".join(_PLAIN.get(word, word) for word in expected[1].split(" | "))
    got = _at(tree.data, path)
    bare = tree.bare.get(path)
    if bare is not None and "text" in wanted and not isinstance(got, str):
        shown = "nothing" if got is None else str(got).lower()
        return f'expected {wanted}; got {bare or "nothing"}, which is {shown} to YAML: quote it: "{bare}"'
    came = _PLAIN.get(expected[3], expected[3]) if expected[3] else ""
    shown = repr(got) if isinstance(got, str | int | float) and not isinstance(got, bool) else ""
    return (
        f"expected {wanted}{expected[2]}; got {' '.join(word for word in (came, shown) if word) or 'nothing'}"
    )


def _unknown(kind: type, data: Any, path: Path, name: str) -> str:
    struct = _struct(kind, data, path)
    known = [field.encode_name for field in struct.fields] if struct else []
    if struct and struct.tag_field:
        known.append(struct.tag_field)
    return _choose("field", name, known)


def _choose(what: str, got: str, known: list[str]) -> str:
    near = get_close_matches(got, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {got!r}; expected one of {', '.join(known)}{hint}"


def _path(data: Any, kind: type, steps: str) -> Path:
    """msgspec's path with every `[...]` (some key of a mapping) replaced by the key that is at fault."""
    path: Path = ()
    for name, index, any_key in _STEP.findall(steps):
        step = _guilty(data, kind, path, steps) if any_key else int(index) if index else name
        path = (*path, step)
    return path


def _guilty(data: Any, kind: type, path: Path, steps: str) -> str:
    """The first key of the mapping at `path` that alone makes the same error."""
    keys = list(_at(data, path))
    for key in keys:
        try:
            msgspec.convert(_with_only(data, path, key), kind)
        except msgspec.ValidationError as error:
            if f"`${steps}`" in str(error):
                return str(key)
    return str(keys[0])


def _with_only(data: Any, path: Path, key: str) -> Any:
    if not path:
        return {key: data[key]}
    head, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_with_only(item, rest, key) if i == head else item for i, item in enumerate(data)]
    return {k: _with_only(v, rest, key) if k == head else v for k, v in data.items()}


def _at(data: Any, path: Path) -> Any:
    for step in path:
        inside = (
            step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))
        )
        if not inside:
            return None
        data = data[step]
    return data


def _tags(kind: type, data: Any, path: Path) -> list[str]:
    """The tags a union could have at the mapping whose tag stands at `path`."""
    last = path[-1] if path else ""
    structs = [s for s in _structs(_type_at(kind, data, path[:-1])) if s.tag_field == last]
    if structs:
        return [str(s.tag) for s in structs]
    own = _type_at(kind, data, path)
    return [str(v) for t in _members(own) if isinstance(t, inspect.LiteralType) for v in t.values]


def _struct(kind: type, data: Any, path: Path) -> inspect.StructType | None:
    """The struct that reads the mapping at `path`; in a union, the one its tag names."""
    structs = _structs(_type_at(kind, data, path))
    value = _at(data, path)
    for struct in structs:
        if struct.tag_field and isinstance(value, dict) and value.get(struct.tag_field) == struct.tag:
            return struct
    return structs[0] if len(structs) == 1 else None


def _type_at(kind: type, data: Any, path: Path) -> inspect.Type:
    current: inspect.Type = inspect.type_info(kind)
    for depth, step in enumerate(path):
        current = _below(current, _at(data, path[:depth]), step)
    return current


def _below(current: inspect.Type, value: Any, step: str | int) -> inspect.Type:
    for member in _members(current):
        match member:
            case inspect.StructType(fields=fields, tag_field=tag_field, tag=tag):
                of_this = not tag_field or (isinstance(value, dict) and value.get(tag_field) == tag)
                inside = [f.type for f in fields if of_this and f.encode_name == step]
                if inside:
                    return inside[0]
            case inspect.DictType(value_type=inner) if isinstance(step, str):
                return inner
            case inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner) if isinstance(
                step, int
            ):
                return inner
    return inspect.AnyType()


def _members(of: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(of, inspect.Metadata):
        return _members(of.type)
    return of.types if isinstance(of, inspect.UnionType) else (of,)


def _structs(of: inspect.Type) -> list[inspect.StructType]:
    return [member for member in _members(of) if isinstance(member, inspect.StructType)]
