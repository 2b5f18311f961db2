"""A provider's reasoning, kept so that it can be sent back in the field it came from."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from symposia.core.message import Reasoning

Field = Literal["reasoning", "reasoning_content"]
_TEXTS = ("text", "summary", "data")


class Kept(msgspec.Struct, frozen=True, tag_field="of", tag="chat", omit_defaults=True):
    """What `Reasoning.opaque` holds for this protocol: the field, and structured details if there were any."""

    field: Field = "reasoning"
    details: tuple[dict[str, Any], ...] = ()


class Thoughts:
    """Reasoning being received, from whichever field the server uses."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._field: Field = "reasoning"
        self._details: list[dict[str, Any]] = []

    def feed(self, reasoning: str | None, content: str | None, details: list[dict[str, Any]] | None) -> str:
        """The text this chunk adds. A server that fills both fields says the same in both."""
        for detail in details or ():
            self._add(detail)
        text = reasoning or content or ""
        if text:
            self._field = "reasoning" if reasoning else "reasoning_content"
            self._texts.append(text)
        return text

    def part(self) -> Reasoning | None:
        """The reasoning so far; None if there was none."""
        text = "".join(self._texts)
        if not text and not self._details:
            return None
        kept = Kept(field=self._field, details=tuple(self._details))
        return Reasoning(text, msgspec.json.encode(kept).decode())

    def _add(self, detail: dict[str, Any]) -> None:
        """Pieces of one detail are joined: the same kind and index, one after the other."""
        last = self._details[-1] if self._details else {}
        if last.get("type") != detail.get("type") or last.get("index") != detail.get("index"):
            self._details.append(dict(detail))
            return
        for key, value in detail.items():
            if key in _TEXTS and isinstance(value, str) and isinstance(last.get(key), str):
                last[key] += value
            elif value is not None:
                last[key] = value


def sent_back(thoughts: tuple[Reasoning, ...]) -> dict[str, Any]:
    """The fields of an assistant message that return its reasoning to the server it came from."""
    fields: dict[str, Any] = {}
    for thought in thoughts:
        kept = _kept(thought.opaque)
        if kept is None:
            continue
        if thought.text:
            fields[kept.field] = fields.get(kept.field, "") + thought.text
        if kept.details:
            fields.setdefault("reasoning_details", []).extend(kept.details)
    return fields


def _kept(opaque: str | None) -> Kept | None:
    try:
        return None if opaque is None else msgspec.json.decode(opaque, type=Kept)
    except msgspec.MsgspecError:  # another protocol's
        return None
