"""Debates as an evaluation held them, one JSON line each: enough to go on with one, to change it, or to audit it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from symposia.core.files import write_atomic
from symposia.core.message import Message
from symposia.core.transcript import Transcript
from symposia.core.value import Value, canonical, decode
from symposia.talk.debate import Debate
from symposia.talk.rules import BARE_DATE, Rules

FILE: Final = "debates.jsonl"


class KeptDebate(Value, frozen=True, kw_only=True):
    """A debate that ended. `id` names it in its run; `seed_key`, `conversation` and `date` are those of its turns."""

    id: str
    debate: Debate
    seed_key: tuple[int | str, ...]
    conversation: str
    date: str | None = BARE_DATE
    messages: tuple[Message, ...]

    @property
    def transcript(self) -> Transcript:
        """What was said."""
        return Transcript(self.messages)

    @property
    def rules(self) -> Rules:
        """How its turns were taken."""
        return Rules(seed_key=self.seed_key, conversation=self.conversation, date=self.date)


class Keeping:
    """Debates as they end, written whole and in the order of their names, in whatever order they came."""

    def __init__(self) -> None:
        self._debates: list[KeptDebate] = []

    def __call__(self, name: str, debate: Debate, rules: Rules, transcript: Transcript) -> None:
        """Keep one; several of one name are told apart by number."""
        self._debates.append(
            KeptDebate(
                id=name,
                debate=debate,
                seed_key=tuple(rules.seed_key),
                conversation=rules.conversation,
                date=rules.date,
                messages=transcript.messages,
            )
        )

    def write(self, folder: Path) -> None:
        """Write `debates.jsonl`; the same debates give the same bytes."""
        write_atomic(folder / FILE, b"".join(canonical(one) + b"\n" for one in _numbered(self._debates)))


def read_debates(folder: Path) -> tuple[KeptDebate, ...]:
    """The debates of an evaluation's folder; none if it held none."""
    path = folder / FILE
    if not path.exists():
        return ()
    lines = path.read_bytes().splitlines()
    return tuple(decode(line, KeptDebate, f"{path}:{at}") for at, line in enumerate(lines, start=1))


def _numbered(debates: Iterable[KeptDebate]) -> Iterable[KeptDebate]:
    seen: dict[str, int] = {}
    for one in sorted(debates, key=lambda one: (one.id, canonical(one.debate))):
        seen[one.id] = seen.get(one.id, 0) + 1
        yield one if seen[one.id] == 1 else replace(one, id=f"{one.id}#{seen[one.id]}")
