"""Keys: made, replaced, revoked. A secret is told once, to who made it, and kept nowhere."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

from symposia.serve.auth import demand
from symposia.serve.faults import Fault
from symposia.store.keys import Grant, Key, find_key

from .forms import KeyForm, Note, RotateForm
from .operation import Ask, Reply
from .shown import KeyList, KeyMade, key_shown

if TYPE_CHECKING:
    from symposia.core.redact import Secret
    from symposia.serve.server import Server

_UNSEEN = ("cache-control", "no-store")


async def listed(server: Server, ask: Ask[None, None]) -> Reply:
    """Every key of the store, without anything that opens."""
    del ask
    return Reply(KeyList(keys=tuple(map(key_shown, await to_thread(server.storage.keys.all)))))


async def create(server: Server, ask: Ask[KeyForm, None]) -> Reply:
    """Make a key. Who has no scope `kill` cannot give it: it is not in `admin`."""
    form = ask.body
    if "kill" in form.scopes:
        demand(ask.caller, "kill")
    grant = Grant(
        name=form.name,
        scopes=form.scopes,
        models=form.models,
        profiles=form.profiles,
        expires=None if form.expires_s is None else server.clock.time() + form.expires_s,
    )
    keys = server.storage.keys
    return _told(*await to_thread(lambda: keys.create(grant, actor=ask.actor, reason=form.reason)))


async def rotate(server: Server, ask: Ask[RotateForm, None]) -> Reply:
    """A key like that one in its place; the old one opens a while longer."""
    form, key, now = ask.body, ask.path["key"], server.clock.time()

    def made() -> tuple[Key, Secret]:
        if not find_key(server.storage.keys.all(), key).opens(now):
            raise Fault("not_found", f"key {key} opens nothing any more; create a new one", param="key")
        return server.storage.keys.rotate(key, grace_s=form.grace_s, actor=ask.actor, reason=form.reason)

    return _told(*await to_thread(made))


async def revoke(server: Server, ask: Ask[None, Note]) -> Reply:
    """Let a key open nothing from now on."""
    key, reason = ask.path["key"], ask.query.reason
    ended = await to_thread(lambda: server.storage.keys.revoke(key, actor=ask.actor, reason=reason))
    return Reply(key_shown(ended))


def _told(key: Key, secret: Secret) -> Reply:
    return Reply(KeyMade(key=key_shown(key), secret=secret.reveal()), 201, (_UNSEEN,))
