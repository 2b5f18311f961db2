"""The arguments of a demanded call, each by its own name, as rules of a grammar: required ones, then those that may be.

Where text is written as it is, it may hold none of the tags of the call; the rest is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from keyword import iskeyword
from typing import Any

from symposia.core.errors import UnsupportedRequest
from symposia.core.parse import kinds, referred
from symposia.core.request import Request
from symposia.core.toolspec import ToolSpec

from .facts import ArgumentMarks
from .schema import JSON_FORM, arguments_of, in_order

_TAG = re.compile(r"<[^<>\s]+?[>=]")
_SAID = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "title",
    "description",
    "$defs",
    "definitions",
}
_REMARKS = {"$schema", "$id", "examples", "default", "$comment"}
_TEXT = {"type", "minLength", "maxLength", "title", "description", "default", "examples"}


class NamedArguments:
    """The rules for one tool's call. `said` makes terminals of literal text. Raises `UnsupportedRequest`."""

    def __init__(
        self, request: Request, tool: ToolSpec, marks: ArgumentMarks, said: Callable[[str], str]
    ) -> None:
        self._request, self._marks, self._said = request, marks, said
        self._schema: dict[str, Any] = in_order(arguments_of(tool))
        if strange := sorted(self._schema.keys() - _SAID - _REMARKS):
            raise self._refused(
                f"{', '.join(strange)} over several of its arguments cannot be kept", "leave it out"
            )
        required = list(self._schema.get("required", ()))
        told = self._schema.get("properties", {})
        self._shapes: dict[str, Any] = {name: told.get(name, {}) for name in (*required, *told)}
        self._required = set(required)
        for name in (*tool.name.split("."), *self._shapes):
            if marks.quoted and (iskeyword(name) or not name.isidentifier()):
                raise self._refused(
                    f"its calls are written as code, in which {name!r} is no name", "rename it"
                )
        self._close = _close(marks)
        self._tags = sorted(set(_TAG.findall(marks.first + marks.then + marks.last)))
        if not marks.quoted and not self._close:
            raise self._refused("text in its calls has no end that can be told", "use another model")

    def lark(self) -> str:
        """The rules; `first0` is where to begin, after the call's name."""
        marks, count = self._marks, len(self._shapes)
        lines = list(self._values())
        for i, name in enumerate(self._shapes):
            for rule, before in (("first", marks.first), ("then", marks.then[len(self._close) :])):
                rest = f"{self._said(before + name + marks.equals)} value{i} then{i + 1}"
                skip = "" if name in self._required else f" | {rule}{i + 1}"
                lines.append(f"{rule}{i}: {rest}{skip}")
        lines += [f"first{count}: {self._said(marks.none)}"]
        lines += [f"then{count}: {self._said(marks.last[len(self._close) :])}"]
        return "\n".join(lines) + "\n"

    def _values(self) -> Iterator[str]:
        for i, (name, shape) in enumerate(self._shapes.items()):
            said = set(kinds(shape, self._schema))
            if self._marks.quoted or (said and "string" not in said):
                yield f"value{i}: json{i} {self._said(self._close)}"
                yield f"json{i}: %json {json.dumps(self._alone(shape), ensure_ascii=False)}"
            else:
                yield from self._text(i, name, shape)

    def _alone(self, shape: object) -> dict[str, Any]:
        """The shape of one argument, with what it refers to."""
        shared = {name: self._schema[name] for name in ("$defs", "definitions") if name in self._schema}
        own = shape if isinstance(shape, dict) else {}
        return {**shared, **own, **JSON_FORM}

    def _text(self, i: int, name: str, shape: object) -> Iterator[str]:
        words = _only(shape)
        if words is not None:
            options = " | ".join(json.dumps(word + self._close, ensure_ascii=False) for word in words)
            if not words or any(tag in word for tag in self._tags for word in words):
                raise self._refused(
                    f"none of the values of {name!r} can be written in it", "name plain words"
                )
            yield f"value{i}: {options}"
            return
        text = _text_schema(shape, self._schema)
        if text is None or (strange := sorted(text.keys() - _TEXT)):
            why = f"{', '.join(strange)}" if text is not None else "what the text may be"
            raise self._refused(f"{why} of {name!r} cannot be kept where text has no quotes", "leave it out")
        least, most = int(text.get("minLength", 0)), text.get("maxLength")
        count = f"{{{least},{'' if most is None else int(most)}}}"
        tags = "|".join(re.escape(tag).replace("/", r"\/") for tag in self._tags)
        yield f"value{i}[suffix={json.dumps(self._close)}]: TEXT{i}"
        yield f"TEXT{i}: /(?s:.{count})/ & ~/(?s:.*({tags}).*)/"

    def _refused(self, why: str, way_out: str) -> UnsupportedRequest:
        return UnsupportedRequest(
            endpoint="engine", model=self._request.model, feature="force", why=why, way_out=way_out
        )


def _close(marks: ArgumentMarks) -> str:
    """What ends a value that is written as it is, whatever follows: up to the first tag."""
    if marks.quoted:
        return ""
    tag = _TAG.search(marks.then)
    close = marks.then[: tag.end()] if tag else ""
    return close if close and marks.last.startswith(close) else ""


def _only(shape: object) -> list[str] | None:
    """The texts an enumeration allows; None if it is none."""
    if not isinstance(shape, dict) or not ("enum" in shape or "const" in shape):
        return None
    values = shape.get("enum", [shape.get("const")])
    return [value for value in values if isinstance(value, str)]


def _text_schema(shape: object, root: object, depth: int = 0) -> dict[str, Any] | None:
    """The part of a shape that says what text may be; None where no part says it alone."""
    if not isinstance(shape, dict) or depth > 8:
        return None
    if isinstance(place := shape.get("$ref"), str):
        return _text_schema(referred(place, root), root, depth + 1)
    for word in ("anyOf", "oneOf"):
        parts = (_text_schema(option, root, depth + 1) for option in shape.get(word) or ())
        if (found := next((part for part in parts if part is not None), None)) is not None:
            return found
    said = shape.get("type", "string")
    return shape if "string" in (said if isinstance(said, list) else [said]) else None
