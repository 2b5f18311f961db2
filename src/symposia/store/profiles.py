"""The profile registry: profiles never change and are named by their digest; what changes is where aliases point.

An alias is the last row of its moves; no row is changed or deleted. Every change is a transaction of the row, its act
in the audit and its event in the log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile
from symposia.core.served import AliasMoved, ProfileArchived, ProfileCreated, ServerEvent
from symposia.core.store import Entry
from symposia.core.value import Count, Value, canonical, checked, decode, stored_digest

from .audit import Act, AuditRow, read_acts, write_act
from .log import write
from .refusals import AliasConflict, AmbiguousDigest, Damaged, InUse, UnknownProfile
from .sql import Database, Reading, Row, Writing
from .told import words

NONE: Final = "none"
PROTECTED: Final = frozenset({"champion", "challenger", "baseline"})
SHORTEST: Final = 12
"""Hex digits of a digest that may stand for all of it."""
_ALIAS = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{12,64}")
_STORED = "SELECT digest, json, created, actor, note, archived FROM profile"
_NOW = """SELECT model, name, digest, seq FROM alias AS moved WHERE digest IS NOT NULL
    AND seq = (SELECT max(seq) FROM alias WHERE model = moved.model AND name = moved.name)"""


class Stored(Value, frozen=True, kw_only=True):
    """A profile with who put it there, and when; `archived`: since when it answers no more. Seconds since the epoch."""

    digest: str
    profile: Profile
    created: float
    actor: str
    note: str
    archived: float | None


class Alias(Value, frozen=True, kw_only=True):
    """A name of a model and the profile it points at; `seq` is the number of the act that moved it there."""

    model: str
    name: str
    digest: str
    seq: Count


class Move(Value, frozen=True, kw_only=True):
    """An alias went from one profile to another; None: it pointed nowhere."""

    seq: Count
    time: float
    model: str
    alias: str
    before: str | None
    after: str | None
    actor: str
    reason: str
    evidence: str


class Profiles:
    """Synchronous: called from the admin's path and the command line, never while a request waits.

    `model` is a profile's model address, as the profile says it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def put(self, profile: Profile, *, actor: str, note: str = "") -> str:
        """Keep a profile; its digest. Again is once; one that was archived answers again."""
        raw = canonical(checked(profile))
        digest = stored_digest(Profile, raw)
        words(note, "note")
        with self._database.writing() as writing:
            found = writing.rows("SELECT archived FROM profile WHERE digest = ?", (digest,))
            if found and found[0][0] is None:
                return digest
            now = self._clock.time()
            if found:
                writing.rows("UPDATE profile SET archived = NULL WHERE digest = ?", (digest,))
            else:
                writing.rows(
                    "INSERT INTO profile (digest, json, created, actor, note) VALUES (?, ?, ?, ?, ?)",
                    (digest, raw.decode(), now, actor, note),
                )
            act = Act(actor=actor, action="profile_created", subject=digest, after=digest, reason=note)
            event = ProfileCreated(digest=digest, model=profile.model, actor=actor, note=note)
            _kept(writing, act, event, stream="profiles", now=now)
        return digest

    def get(self, digest: str) -> Profile:
        """The profile of that whole digest, archived or not. `UnknownProfile`; `Damaged`."""
        return self.stored(digest).profile

    def stored(self, digest: str) -> Stored:
        """`get`, with where it came from."""
        rows = self._database.rows(f"{_STORED} WHERE digest = ?", (digest,))
        if not rows:
            raise UnknownProfile(digest, (f"{one.digest} ({one.name})" for one in self.aliases()))
        return _stored(rows[0])

    def all(self) -> tuple[Stored, ...]:
        """Every profile, in order of arrival, archived ones too. `Damaged`."""
        return tuple(map(_stored, self._database.rows(f"{_STORED} ORDER BY created, digest")))

    def aliases(self, model: str | None = None) -> tuple[Alias, ...]:
        """Where every alias points, of one model or all; those that point nowhere are left out."""
        rows = self._database.rows(f"{_NOW} ORDER BY model, name")
        return tuple(_alias(row) for row in rows if model in (None, row[0]))

    def resolve(self, model: str, selector: str) -> str:
        """The digest an alias of a model, or `sha256:` and at least 12 digits, stands for.

        `UnknownProfile`, also for an archived one; `AmbiguousDigest`. `none`, the plain model, is the caller's.
        """
        if selector.startswith("sha256:"):
            return self.find(selector, model=model)
        known = {alias.name: alias.digest for alias in self.aliases(model)}
        if selector not in known:
            raise UnknownProfile(selector, known)
        return known[selector]

    def find(self, selector: str, *, model: str | None = None, archived: bool = False) -> str:
        """The whole digest that a shortened one begins, of one model's profiles or of all; `archived`: those too."""
        if not _DIGEST.fullmatch(selector):
            raise InvalidInput(f"digest {selector!r}: expected sha256: and {SHORTEST} to 64 hex digits")
        rows = self._database.rows(f"{_STORED} WHERE substr(digest, 1, ?) = ?", (len(selector), selector))
        found = [one for one in map(_stored, rows) if model in (None, one.profile.model)]
        live = [one.digest for one in found if archived or one.archived is None]
        if not live:
            known = (f"{one.digest} ({one.name})" for one in self.aliases(model))
            raise UnknownProfile(selector, known, archived=bool(found))
        return only(selector, live)

    def move(
        self,
        model: str,
        alias: str,
        to: str | None,
        *,
        expect: str | None,
        actor: str,
        reason: str,
        evidence: str = "",
    ) -> int:
        """Point an alias at a profile, or nowhere, if it is now at `expect`; the number of the act.

        `AliasConflict` holds where it is instead. `UnknownProfile` for one that is not here, or archived.
        """
        _check_alias(alias, reason)
        with self._database.writing() as writing:
            current = _current(writing, model, alias)
            if current != expect:
                raise AliasConflict(model=model, alias=alias, expected=expect, current=current)
            if to == current:
                raise InvalidInput(f"alias {alias!r} of {model} is at {to or NONE} already; expected another")
            if to is not None:
                _check_target(writing, model, to)
            act = Act(
                actor=actor,
                action="alias_moved",
                subject=f"{model}@{alias}",
                before=current,
                after=to,
                reason=reason,
                evidence=evidence,
            )
            event = AliasMoved(
                model=model,
                alias=alias,
                before=current,
                after=to,
                actor=actor,
                reason=reason,
                evidence=evidence,
            )
            seq = _kept(writing, act, event, stream="aliases", now=self._clock.time())
            writing.rows(
                "INSERT INTO alias (model, name, digest, seq) VALUES (?, ?, ?, ?)", (model, alias, to, seq)
            )
        return seq

    def archive(self, digest: str, *, actor: str, reason: str) -> None:
        """Let a profile answer no more; again is once. `InUse` while an alias points at it; `UnknownProfile`."""
        words(reason, "reason", needed=True)
        with self._database.writing() as writing:
            found = writing.rows("SELECT archived FROM profile WHERE digest = ?", (digest,))
            if not found:
                raise UnknownProfile(digest, ())
            if found[0][0] is not None:
                return
            users = [f"{row[0]}@{row[1]}" for row in writing.rows(_NOW) if row[2] == digest]
            if users:
                raise InUse(digest, users)
            now = self._clock.time()
            writing.rows("UPDATE profile SET archived = ? WHERE digest = ?", (now, digest))
            act = Act(actor=actor, action="profile_archived", subject=digest, before=digest, reason=reason)
            event = ProfileArchived(digest=digest, actor=actor, reason=reason)
            _kept(writing, act, event, stream="profiles", now=now)

    def history(self, model: str, alias: str) -> tuple[Move, ...]:
        """Every move of an alias, the first first."""
        rows = self._database.rows(
            """SELECT audit.seq, audit.time, alias.model, alias.name, audit.before, alias.digest, audit.actor,
                audit.reason, audit.evidence
            FROM alias JOIN audit ON audit.seq = alias.seq
            WHERE alias.model = ? AND alias.name = ? ORDER BY alias.seq""",
            (model, alias),
        )
        return tuple(Move(**dict(zip(Move.__struct_fields__, row, strict=True))) for row in rows)

    def audit(self, since: int = 0) -> tuple[AuditRow, ...]:
        """Every act after a number, of whatever kind."""
        return read_acts(self._database, since)


def only(selector: str, digests: Sequence[str]) -> str:
    """The one digest that the selector begins, of those it begins; `AmbiguousDigest`."""
    if len(digests) > 1:
        raise AmbiguousDigest(selector, digests)
    return digests[0]


def _kept(writing: Writing, act: Act, event: ServerEvent, *, stream: str, now: float) -> int:
    write(writing, Entry(event=event, stream=stream, time=now))
    return write_act(writing, act, time=now)


def _check_alias(alias: str, reason: str) -> None:
    if not _ALIAS.fullmatch(alias) or alias == NONE:
        raise InvalidInput(
            f"alias {alias!r}: expected 1 to 63 of a-z 0-9 . _ -, the first a letter or digit, and not {NONE!r}"
        )
    if alias in PROTECTED:
        words(reason, f"reason of moving {alias!r}", needed=True)


def _check_target(reading: Reading, model: str, digest: str) -> None:
    rows = reading.rows(f"{_STORED} WHERE digest = ?", (digest,))
    if not rows or rows[0][5] is not None:
        known = [str(row[0]) for row in reading.rows(f"{_STORED} WHERE archived IS NULL")]
        raise UnknownProfile(digest, known, archived=bool(rows))
    profile = _stored(rows[0]).profile
    if profile.model != model:
        raise InvalidInput(f"profile {digest} is of model {profile.model!r}; expected one of {model!r}")


def _current(reading: Reading, model: str, alias: str) -> str | None:
    rows = reading.rows(
        "SELECT digest FROM alias WHERE model = ? AND name = ? ORDER BY seq DESC LIMIT 1", (model, alias)
    )
    return rows[0][0] if rows else None


def _alias(row: Row) -> Alias:
    return Alias(**dict(zip(Alias.__struct_fields__, row, strict=True)))


def _stored(row: Row) -> Stored:
    digest, json, created, actor, note, archived = row
    try:
        named = stored_digest(Profile, json.encode())
    except UnicodeEncodeError:
        named = ""
    if named != digest:
        raise Damaged(f"profile {digest}", "its content has another digest")
    profile = decode(json, Profile, f"profile {digest}")
    return Stored(digest=digest, profile=profile, created=created, actor=actor, note=note, archived=archived)
