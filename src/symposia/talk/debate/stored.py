"""A debate's run folder: what was asked of whom, what was said, what it came to; beside it lies its journal.

The debate is stored as its models can hold it; everything after that follows from it and from the journal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.core.transcript import Transcript, check_header
from symposia.core.value import Value, canonical, decode
from symposia.talk.rules import BARE_DATE, Rules

from .protocol import Debate

FORMAT: Final = "symposia.debate"
DEBATE, TRANSCRIPT, ANSWER, EVENTS = "debate.json", "transcript.json", "answer.json", "events.jsonl"
ID = "1"


class StoredDebate(Value, frozen=True, kw_only=True):
    """What `debate.json` holds. `id` names the debate in its run; `seed` is the root of its random streams."""

    format: Literal["symposia.debate"] = FORMAT
    version: Literal[1] = 1
    id: str = ID
    question: str
    debate: Debate
    seed: int = 0
    date: str | None = BARE_DATE

    @property
    def rules(self) -> Rules:
        """How its turns are taken: the same random streams whenever it is held."""
        return Rules(seed_key=(self.seed, "debate", self.id), conversation=self.id, date=self.date)

    def save(self, folder: Path) -> None:
        """Write `debate.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / DEBATE, canonical(self))


def load_debate(folder: Path) -> StoredDebate:
    """The debate of a run folder; `InvalidInput` says what the folder lacks."""
    path = folder / DEBATE
    if not path.exists():
        raise InvalidInput(f"{folder}: expected a debate's run folder, with {DEBATE}; there is none")
    raw = path.read_bytes()
    check_header(raw, FORMAT, 1, str(path))
    return decode(raw, StoredDebate, str(path))


def load_transcript(folder: Path) -> Transcript:
    """What was said in the debate of a run folder."""
    path = folder / TRANSCRIPT
    if not path.exists():
        raise InvalidInput(f"{folder}: the debate has not ended; run it again to go on")
    return Transcript.load(path)
