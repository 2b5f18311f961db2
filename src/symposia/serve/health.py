"""Whether this server answers, whether it should be asked, and what it can be asked for."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .auth import Caller, demand
from .call import Call
from .faults import Fault
from .ledger import LedgerUnreachable
from .metrics import CONTENT_TYPE, Readings
from .replies import ModelList, ModelObject, ModelSteering
from .server import Server

STORE_DOWN_S = 10.0
_json = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """Status, body, and the body's type."""

    status: int
    raw: bytes
    media: str = "application/json"


async def alive(server: Server, call: Call) -> Answer:
    """200 while the loop answers."""
    del server, call
    return Answer(200, b'{"status":"ok"}')


async def ready(server: Server, call: Call) -> Answer:
    """200 when requests would be answered, else 503; each check by name, and why one fails."""
    del call
    checks = {
        "store": server.follower.failing_s < STORE_DOWN_S and server.journal.failing_s < STORE_DOWN_S,
        "keys": server.settings.insecure_dev or bool(server.view.callers),
        "not_draining": not server.drain.on,
        **{f"model:{name}": model.ready for name, model in server.models.items()},
    }
    well = all(checks.values())
    return Answer(200 if well else 503, _json({"checks": checks}))


async def documented(server: Server, call: Call) -> Answer:
    """What there is to ask, for programs."""
    del call
    return Answer(200, server.document)


async def measured(server: Server, call: Call) -> Answer:
    """Metrics, as Prometheus reads them."""
    demand(server.admit(call), "metrics", "admin-read")
    try:
        standings = await server.ledger.standings()
    except LedgerUnreachable:
        standings = ()
    readings = Readings(
        in_flight=server.in_flight,
        event_queue=server.journal.waiting,
        killed=server.view.killed,
        untraced=0 if server.traces is None else server.traces.untraced,
        standings=standings,
    )
    return Answer(200, server.metrics.text(readings), CONTENT_TYPE)


async def listed(server: Server, call: Call) -> Answer:
    """Models and profiles the caller may use."""
    caller = server.admit(call)
    demand(caller, "inference")
    return Answer(200, _json(ModelList(data=_cards(server, caller))))


async def one(server: Server, call: Call) -> Answer:
    """One of them, by its id; a beginning of a digest will do."""
    caller = server.admit(call)
    demand(caller, "inference")
    asked = call.path.removeprefix("/v1/models/")
    cards = _cards(server, caller, digests=True)
    found = [card for card in cards if card.id == asked]
    if not found and "@sha256:" in asked and len(asked.rpartition(":")[2]) >= 12:
        found = [card for card in cards if card.id.startswith(asked)]
    if len(found) != 1:
        raise Fault("model_not_found", f"model: there is no {asked!r} for this key", param="model")
    return Answer(200, _json(found[0]))


def _cards(server: Server, caller: Caller, *, digests: bool = False) -> tuple[ModelObject, ...]:
    """A row a model, then one an alias; with `digests` also one a profile."""
    view, rows = server.view, []
    for name, model in server.models.items():
        if not caller.may_ask(name):
            continue
        if caller.may_use(("none",)):
            rows.append(ModelObject(id=name, created=server.started))
        for digest, profile in view.profiles.items():
            aliases = view.pointing(model.names, digest)
            if not model.takes(profile) or not caller.may_use((*aliases, digest)):
                continue
            steering = ModelSteering(
                profile=aliases[0] if aliases else digest,
                revision=digest,
                aliases=aliases,
                interventions=len(profile.interventions),
            )
            selectors = (*aliases, digest) if digests else aliases
            rows += [
                ModelObject(id=f"{name}@{each}", created=server.started, steering=steering)
                for each in selectors
            ]
    return tuple(rows)
