"""The kill switch of everything served, and draining of this process."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

from symposia.core.served import Draining, KillSwitched
from symposia.core.store import Entry
from symposia.core.value import canonical
from symposia.store.audit import Act

from .forms import DrainForm, KillForm
from .operation import Ask, Reply
from .shown import Drained, Killed

if TYPE_CHECKING:
    from symposia.serve.server import Server


async def kill(server: Server, ask: Ask[KillForm, None]) -> Reply:
    """Steer nothing from the next request on, here and within a second on every replica; or steer again."""
    form, kill = ask.body, server.view.kill
    before = Killed(on=kill is not None and kill.on, cut=kill is not None and kill.cut)
    after = Killed(on=form.on, cut=form.cut)
    event = KillSwitched(on=form.on, cut=form.cut, actor=ask.actor, reason=form.reason)
    await _kept(server, Entry(event=event, stream="kill", time=server.clock.time()), before, after)
    return Reply(after)


async def drain(server: Server, ask: Ask[DrainForm, None]) -> Reply:
    """Take nothing new in this process, what runs gets `drain_s`; or take requests again. Once is enough."""
    form = ask.body
    before, after = Drained(on=server.drain.on), Drained(on=form.on)
    if before != after:
        event = Draining(on=form.on, actor=ask.actor, reason=form.reason)
        await _kept(server, Entry(event=event, stream="server", time=server.clock.time()), before, after)
        server.drain.turn(form.on, server.settings.drain_s)
    return Reply(after)


async def _kept(server: Server, entry: Entry, before: Killed | Drained, after: Killed | Drained) -> None:
    event = entry.event
    assert isinstance(event, KillSwitched | Draining)
    act = Act(
        actor=event.actor,
        action=str(event.__struct_config__.tag),
        subject=entry.stream,
        before=canonical(before).decode(),
        after=canonical(after).decode(),
        reason=event.reason,
    )
    await to_thread(server.storage.record, entry, act)
