"""Labels of generations, as verdicts are exported: JSONL lines `{"conversation", "turn", "label"}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.request import About
from symposia.core.value import Count, Value, canonical, content_digest, decode

_Key = tuple[str, int, str | None]


class Labelled(Value, frozen=True, kw_only=True):
    """One line. Without `branch` it is of that turn on every branch; numbers and truth values are read as JSON text."""

    conversation: str
    turn: Count
    label: str | bool | int | float
    branch: str | None = None


@dataclass(frozen=True)
class Labels:
    """A label by conversation, turn and branch."""

    by_key: Mapping[_Key, str]
    digest: str

    def of(self, about: About) -> str | None:
        """The label of a generation."""
        return self.at(about, about.turn)

    def at(self, about: About, turn: int) -> str | None:
        """The label of a turn of the conversation that a generation is of, its own or one that it read."""
        own = self.by_key.get((about.conversation, turn, about.branch))
        return self.by_key.get((about.conversation, turn, None)) if own is None else own

    @property
    def known(self) -> tuple[str, ...]:
        """Every label there is."""
        return tuple(sorted(set(self.by_key.values())))


def labels_of(known: Mapping[tuple[str, int], str]) -> Labels:
    """Labels that are at hand, by conversation and turn."""
    digest = content_digest(canonical(sorted((*key, label) for key, label in known.items())))
    return Labels({(*key, None): label for key, label in known.items()}, digest)


def load_labels(path: Path | str) -> Labels:
    """Read a JSONL file. `InvalidInput` names a line that is none, or contradicts an earlier one."""
    raw = Path(path).read_bytes()
    found: dict[_Key, str] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        if not line.strip():
            continue
        one = decode(line, Labelled, f"{path}:{number}")
        label = one.label if isinstance(one.label, str) else msgspec.json.encode(one.label).decode()
        key = (one.conversation, one.turn, one.branch)
        if found.setdefault(key, label) != label:
            raise InvalidInput(
                f"{path}:{number}: conversation {one.conversation!r}, turn {one.turn} is labelled {label!r} here "
                f"and {found[key]!r} above; one label a turn"
            )
    if not found:
        raise InvalidInput(f"{path}: expected lines of conversation, turn and label; got none")
    return Labels(found, content_digest(raw))
