"""Aliases: the one mutable thing about profiles, moved by compare-and-swap."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

from symposia.serve.faults import Fault
from symposia.store import Storage
from symposia.store.profiles import NONE, Alias, Move

from .forms import AliasesQuery, MoveForm, RemoveQuery
from .operation import Ask, Reply
from .shown import AliasList, Moved, Moves

if TYPE_CHECKING:
    from symposia.serve.server import Server


async def listed(server: Server, ask: Ask[None, AliasesQuery]) -> Reply:
    """Where every alias points, of one model or all."""
    found = await to_thread(server.storage.profiles.aliases)
    if ask.query.model is not None:
        names = _names(server, ask.query.model)
        found = tuple(alias for alias in found if alias.model in names)
    return Reply(AliasList(aliases=found))


async def shown(server: Server, ask: Ask[None, None]) -> Reply:
    """Where one points."""
    found = await to_thread(_found, server, ask)
    if found is None:
        raise _nowhere(ask)
    return Reply(found)


async def move(server: Server, ask: Ask[MoveForm, None]) -> Reply:
    """Point it at a profile, if it is where the caller believes."""
    form, profiles = ask.body, server.storage.profiles

    def moved() -> int:
        to = profiles.find(form.to)
        return profiles.move(
            _address(server, ask, to),
            ask.path["name"],
            to,
            expect=_expected(form.expect),
            actor=ask.actor,
            reason=form.reason,
            evidence=form.evidence,
        )

    return Reply(Moved(seq=await to_thread(moved)))


async def remove(server: Server, ask: Ask[None, RemoveQuery]) -> Reply:
    """Point it nowhere, if it is where the caller believes."""
    query, profiles = ask.query, server.storage.profiles

    def moved() -> int:
        found = _found(server, ask)
        if found is None:
            raise _nowhere(ask)
        return profiles.move(
            found.model,
            found.name,
            None,
            expect=_expected(query.expect),
            actor=ask.actor,
            reason=query.reason,
            evidence=query.evidence,
        )

    return Reply(Moved(seq=await to_thread(moved)))


async def history(server: Server, ask: Ask[None, None]) -> Reply:
    """Every move of it, also of one that points nowhere now."""
    moves = await to_thread(_moves, server.storage, _names(server, ask.path["model"]), ask.path["name"])
    if not moves:
        raise _nowhere(ask)
    return Reply(Moves(moves=moves))


def _moves(storage: Storage, models: frozenset[str], name: str) -> tuple[Move, ...]:
    found = (move for model in models for move in storage.profiles.history(model, name))
    return tuple(sorted(found, key=lambda move: move.seq))


def _found(server: Server, ask: Ask[None, None] | Ask[None, RemoveQuery]) -> Alias | None:
    names = _names(server, ask.path["model"])
    return next(
        (
            alias
            for alias in server.storage.profiles.aliases()
            if alias.model in names and alias.name == ask.path["name"]
        ),
        None,
    )


def _names(server: Server, model: str) -> frozenset[str]:
    """Every name that a model has here; one that is not served is taken as its address."""
    for served in server.models.values():
        if model in served.names:
            return served.names
    return frozenset({model})


def _address(server: Server, ask: Ask[MoveForm, None], digest: str) -> str:
    """The address an alias is kept under: as the profile says it, where that is a name of the model asked for."""
    model = server.storage.profiles.get(digest).model
    names = _names(server, ask.path["model"])
    if model in names:
        return model
    raise Fault(
        "invalid_value",
        f"to: expected a profile of {ask.path['model']}; {digest} is made for {model}",
        param="to",
    )


def _expected(expect: str | None) -> str | None:
    return None if expect in (None, NONE) else expect


def _nowhere(ask: Ask[None, None] | Ask[None, RemoveQuery]) -> Fault:
    model, name = ask.path["model"], ask.path["name"]
    return Fault("not_found", f"{model} has no alias {name!r}", param="name")
