"""Whether the registry is what its audit says: any byte changed, any row added or left out is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile
from symposia.core.value import Count, Value, stored_digest

from .audit import COLUMNS, chained
from .keyring import COLUMNS as KEY_COLUMNS
from .keyring import key_digest, key_of
from .sql import Reading, Row

_TOLD = len(COLUMNS.split(", ")) - 2  # all but prev and hash
_SEQ, _TIME, _ACTOR, _ACTION, _SUBJECT, _BEFORE, _AFTER, _REASON = range(8)
Told = tuple[Any, ...]


class Flaw(Value, frozen=True, kw_only=True):
    """A row that is not as it was written: its table, which row, and what is wrong."""

    table: str
    row: str
    why: str


class Verified(Value, frozen=True, kw_only=True):
    """How many rows were looked at, the last hash of the chain, and what is wrong; nothing, if all is well."""

    audit: Count
    profiles: Count
    aliases: Count
    keys: Count
    head: str
    flaws: tuple[Flaw, ...] = ()


def verify(reading: Reading) -> Verified:
    """Walk the chain, then hold every profile, alias and key against it. Nobody may write meanwhile."""
    acts = reading.rows(f"SELECT {COLUMNS} FROM audit ORDER BY seq")  # noqa: S608 (fixed)
    length, head = reading.rows("SELECT audit, hash FROM head")[0]
    profiles = reading.rows("SELECT digest, json, created, actor, note, archived FROM profile")
    aliases = reading.rows("SELECT seq, model, name, digest FROM alias")
    keys = reading.rows(f"SELECT {KEY_COLUMNS} FROM access_key")  # noqa: S608 (fixed)
    flaws = [
        *_chain(acts, length, head),
        *_named(profiles),
        *_held("profile", _put(acts), {row[0]: (row[0], *row[2:]) for row in profiles}),
        *_held("alias", _moved(acts), {row[0]: tuple(row) for row in aliases}),
        *_held("access_key", _made(acts), {row[0]: _key(row) for row in keys}),
    ]
    return Verified(
        audit=len(acts),
        profiles=len(profiles),
        aliases=len(aliases),
        keys=len(keys),
        head=_shown(head),
        flaws=tuple(flaws),
    )


def _chain(acts: list[Row], length: object, head: object) -> Iterator[Flaw]:
    prev = ""
    for number, act in enumerate(acts, start=1):
        *told, before, own = act
        if before != prev:
            yield Flaw(table="audit", row=str(number), why="it does not follow the row before")
        if own != chained(_shown(before), told):
            yield Flaw(table="audit", row=str(number), why="its content has another hash")
        prev = own
    if (length, head) != (len(acts), prev):
        yield Flaw(
            table="audit", row=str(len(acts)), why=f"expected it to end at {length} with {_shown(head)}"
        )


def _named(profiles: list[Row]) -> Iterator[Flaw]:
    for digest, json, *_ in profiles:
        try:
            right = stored_digest(Profile, json.encode()) == digest
        except (UnicodeEncodeError, AttributeError):  # damaged bytes; no text at all
            right = False
        if not right:
            yield Flaw(table="profile", row=_shown(digest), why="its content has another digest")


def _held(table: str, wanted: Mapping[Any, Told], found: Mapping[Any, Told]) -> Iterator[Flaw]:
    for row in sorted({*wanted, *found}, key=str):
        if row not in found:
            yield Flaw(table=table, row=_shown(row), why="the audit knows it; it is not there")
        elif row not in wanted:
            yield Flaw(table=table, row=_shown(row), why="the audit does not know it")
        elif wanted[row] != found[row]:
            yield Flaw(table=table, row=_shown(row), why="it differs from what the audit says")


def _put(acts: list[Row]) -> dict[Any, Told]:
    """What the audit says of each profile: digest, created, actor, note, archived."""
    made: dict[Any, Told] = {}
    for act in acts:
        digest = act[_SUBJECT]
        match act[_ACTION]:
            case "profile_created" if digest not in made:
                made[digest] = (digest, act[_TIME], act[_ACTOR], act[_REASON], None)
            case "profile_created":
                made[digest] = (*made[digest][:4], None)
            case "profile_archived" if digest in made:
                made[digest] = (*made[digest][:4], act[_TIME])
    return made


def _moved(acts: list[Row]) -> dict[Any, Told]:
    """What the audit says of each move: number, model, name, digest."""
    moves = [act for act in acts if act[_ACTION] == "alias_moved"]
    parts = [_shown(act[_SUBJECT]).rpartition("@") for act in moves]
    return {
        act[_SEQ]: (act[_SEQ], model, name, act[_AFTER])
        for act, (model, _, name) in zip(moves, parts, strict=True)
    }


def _made(acts: list[Row]) -> dict[Any, Told]:
    """What the audit says of each key: the digest of its row."""
    kinds = ("key_created", "key_rotated", "key_revoked")
    return {act[_SUBJECT]: (act[_AFTER],) for act in acts if act[_ACTION] in kinds}


def _key(row: Row) -> Told:
    try:
        return (key_digest(key_of(row)),)
    except (InvalidInput, UnicodeEncodeError):
        return ("",)


def _shown(cell: object) -> str:
    """A cell as text that can be printed, whatever it has become."""
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else repr(cell)
