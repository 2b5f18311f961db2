"""The event log, a page at a time, or followed as it grows."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncGenerator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from symposia.core.events import Event
from symposia.core.served import ServerEvent
from symposia.core.store import Query, Record, Store
from symposia.core.value import canonical
from symposia.serve.faults import Fault

from .forms import EventsQuery
from .operation import Ask, Reply

if TYPE_CHECKING:
    from symposia.serve.server import Server

MEDIA = "application/jsonl"
EVERY_S = 0.2
"""How often the log is looked at while it is followed."""
_PAGE = 1000
_KINDS: Any = (*get_args(ServerEvent), *get_args(Event))
TYPES = frozenset(str(kind.__struct_config__.tag) for kind in _KINDS)


async def page(server: Server, ask: Ask[None, EventsQuery]) -> Reply:
    """Records in order, one a line; the last one's `seq` is where the next page goes on."""
    query = ask.query
    wanted = Query(after=query.after, types=types_of(query.type), limit=query.limit)
    records = await to_thread(_read, server.storage.events, wanted)
    return Reply(b"".join(map(_line, records)), headers=(("content-type", MEDIA),))


async def followed(server: Server, after: int, types: tuple[str, ...]) -> AsyncGenerator[bytes]:
    """Records as server-sent events, then those that come, until the server drains; "" while none do."""
    quiet_s = 0.0
    while not server.drain.on:
        records = await to_thread(_read, server.storage.events, Query(after=after, types=types, limit=_PAGE))
        if records:
            after, quiet_s = records[-1].seq, 0.0
            yield b"".join(b"id: %d\ndata: %s\n\n" % (one.seq, canonical(one)) for one in records)
            continue
        await server.clock.sleep(EVERY_S)
        quiet_s += EVERY_S
        if quiet_s < server.settings.ping_s:
            yield b""
        else:
            quiet_s = 0.0
            yield b": ping\n\n"


def types_of(text: str) -> tuple[str, ...]:
    """The types named, with commas between them. `Fault` 400 for one that no event has."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in TYPES:
            near = get_close_matches(name, sorted(TYPES), n=1, cutoff=0.0)[0]
            raise Fault("invalid_value", f"type: no event is {name!r}; the nearest is {near!r}", param="type")
    return names


def _read(events: Store, query: Query) -> list[Record]:
    return list(events.read(query))


def _line(record: Record) -> bytes:
    return canonical(record) + b"\n"
