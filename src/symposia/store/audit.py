"""Who changed what, and why: rows that only grow, each holding the hash of the one before.

`hash = sha256(prev + canonical JSON of the row)`, so a row that is changed, left out or put in breaks the chain. Who
can rewrite every row can rewrite the chain too: keep the last hash elsewhere to see that.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence

from symposia.core.value import Count, Value, canonical

from .sql import Bound, Reading, Row, Writing
from .told import finite, words

COLUMNS = "seq, time, actor, action, subject, before, after, reason, evidence, prev, hash"
_INSERT = f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (fixed)


class Act(Value, frozen=True, kw_only=True):
    """Somebody did something: `before` and `after` are what it was about, as text; None: there was nothing."""

    actor: str
    action: str
    subject: str
    before: str | None = None
    after: str | None = None
    reason: str = ""
    evidence: str = ""


class AuditRow(Value, frozen=True, kw_only=True):
    """An act as it was kept. `seq` counts from 1; `prev` is the hash of the row before, "" of the first."""

    seq: Count
    time: float
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    reason: str
    evidence: str
    prev: str
    hash: str


def write_act(writing: Writing, act: Act, *, time: float) -> int:
    """Add a row to the chain, and wake who waits; its number. `InvalidInput` for words that cannot be kept."""
    seq, prev = writing.rows("SELECT audit, hash FROM head")[0]
    told: tuple[Bound, ...] = (seq + 1, finite(time, "time of an act"), *_words(act))
    made = chained(prev, told)
    writing.rows(_INSERT, (*told, prev, made))
    writing.rows("UPDATE head SET audit = ?, hash = ?", (seq + 1, made))
    writing.tell()
    return int(seq) + 1


def read_acts(reading: Reading, since: int = 0, limit: int = sys.maxsize) -> tuple[AuditRow, ...]:
    """Rows after a number, in order, at most so many."""
    after = f"SELECT {COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 (fixed)
    return tuple(audit_row(row) for row in reading.rows(after, (since, limit)))


def audit_row(row: Row) -> AuditRow:
    """A row of the table as a value."""
    return AuditRow(**dict(zip(AuditRow.__struct_fields__, row, strict=True)))


def chained(prev: str, told: Sequence[object]) -> str:
    """The hash of a row, `told` being all of it but `prev` and `hash`; "" if it holds bytes that are no text."""
    try:
        raw = prev.encode() + canonical(tuple(told))
    except UnicodeEncodeError:
        return ""
    return hashlib.sha256(raw).hexdigest()


def _words(act: Act) -> tuple[str | None, ...]:
    return (
        words(act.actor, "actor", needed=True),
        words(act.action, "action", needed=True),
        words(act.subject, "subject", needed=True),
        None if act.before is None else words(act.before, "before", longest=sys.maxsize),
        None if act.after is None else words(act.after, "after", longest=sys.maxsize),
        words(act.reason, "reason"),
        words(act.evidence, "evidence"),
    )
