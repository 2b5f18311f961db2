"""Everything a server is made of, opened and put together; closed again on leaving."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from symposia.cli.world import World
from symposia.core.redact import Redactor
from symposia.core.version import __version__
from symposia.serve.app import App
from symposia.serve.budget import CostPolicy
from symposia.serve.ledger.opened import opened as open_ledger
from symposia.serve.log import Log
from symposia.serve.metrics import Metrics
from symposia.serve.policies import put_in_force
from symposia.serve.server import Kit, Server
from symposia.serve.settings import Settings
from symposia.store import Storage
from symposia.store import opened as open_store

from .backends import backends_of, upstream_key
from .configured import Configured, refusals

_WHO = "symposia serve"


@dataclass(frozen=True)
class Assembled:
    """A server that could listen, unless there are `refusals`."""

    app: App
    log: Log
    refusals: tuple[str, ...]

    @property
    def server(self) -> Server:
        """Its state."""
        return self.app.server


@contextmanager
def assembled(told: Configured, world: World) -> Iterator[Assembled]:
    """Open the store and the ledger, build what serves. Raises what opening raises."""
    settings, clock = told.settings, world.clock
    redactor = _redactor(settings, world)
    with open_store(settings.store, clock=clock) as storage:
        log = Log(sys.stderr, redactor, level=settings.log_level, form=settings.log)
        metrics = Metrics(__version__, redactor)
        kit = Kit(
            backends=backends_of(settings, world.env, clock, unknown=metrics.unknown_field),
            storage=storage,
            ledger=open_ledger(settings.ledger, clock=clock),
            clock=clock,
            random=os.urandom,
            redactor=redactor,
            metrics=metrics,
            listeners=(log,),
            reporters=(lambda request_id, error: log.failed(clock.time(), request_id, error),),
        )
        server = Server(settings, kit)
        found = tuple(refusals(settings, server.view, clock.time()))
        if told.policy is not None and not found:
            declare(storage, told.policy, server.view.policy, clock.time())
            server.reread()
        yield Assembled(App(server), log, found)


def declare(storage: Storage, policy: CostPolicy, in_force: CostPolicy, now: float) -> None:
    """Make a policy that stands in a file the one in force, if it is not."""
    if policy == in_force:
        return
    reason = "the budget that this server was started with"
    put_in_force(storage, policy, actor=_WHO, reason=reason, now=now)


def _redactor(settings: Settings, world: World) -> Redactor:
    """What must not be shown: the upstream and its key, and passwords in addresses of databases."""
    secrets: dict[str, str] = {}
    if settings.upstream is not None:
        parts = urlsplit(settings.upstream)
        secrets |= {"upstream": settings.upstream, "upstream_host": parts.netloc}
        key = upstream_key(settings, world.env)
        if key is not None:
            secrets["upstream_key"] = key.reveal()
    for name, url in (("store_password", settings.store), ("ledger_password", settings.ledger)):
        password = urlsplit(url).password if "://" in url else None
        if password:
            secrets[name] = password
    return Redactor(secrets)
