"""Everything a server is made of, opened and put together; closed again on leaving."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from symposia.cli.world import World
from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput
from symposia.core.redact import Redactor
from symposia.core.store import Query
from symposia.core.version import __version__
from symposia.serve.app import App
from symposia.serve.budget import CostPolicy, horizon_s
from symposia.serve.call import Call
from symposia.serve.follow import taken
from symposia.serve.heard import heard
from symposia.serve.ledger import Ledger
from symposia.serve.ledger.fold import TYPES, folded
from symposia.serve.ledger.opened import opened as open_ledger
from symposia.serve.log import Log
from symposia.serve.metrics import Metrics
from symposia.serve.policies import put_in_force
from symposia.serve.server import Kit, Server
from symposia.serve.settings import Settings
from symposia.serve.traces import Traces
from symposia.store import Storage
from symposia.store import opened as open_store

from .backends import backends_of, upstream_key
from .configured import Configured, refusals

if TYPE_CHECKING:
    from symposia.serve.otel import Telemetry

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
def assembled(told: Configured, world: World, *, listens: bool = True) -> Iterator[Assembled]:
    """Open the store and the ledger, build what serves. Raises what opening raises.

    Without `listens` nothing is written, and nothing started that writes.
    """
    settings, clock = told.settings, world.clock
    redactor = _redactor(settings, world)
    with open_store(settings.store, clock=clock) as storage:
        keys_file = None if settings.keys_file is None else Path(settings.keys_file)
        view = taken(storage, keys_file)
        found = tuple(refusals(settings, view, clock.time()))
        ends = listens and not found
        if told.policy is not None and ends:
            declare(storage, told.policy, view.policy, clock.time())
        log = Log(sys.stderr, redactor, level=settings.log_level, form=settings.log, buffered=True)
        metrics = Metrics(__version__, redactor)

        def arrived(call: Call) -> None:
            log.received(clock.time(), call.request_id, call.method, call.path, call.fields.items())

        backends = backends_of(settings, world.env, clock, unknown=metrics.unknown_field)
        kit = Kit(
            backends=backends.named,
            closers=backends.closers,
            storage=storage,
            ledger=_ledger(settings, storage, told.policy or view.policy, clock),
            clock=clock,
            random=os.urandom,
            redactor=redactor,
            metrics=metrics,
            listeners=(log,),
            beats=(log.flush,),
            reporters=(lambda request_id, error: log.failed(clock.time(), request_id, error),),
            arrivals=(arrived,) if settings.log_level == "debug" else (),
            telemetry=_telemetry(settings, world.env, redactor) if ends else None,
        )
        server = Server(settings, kit)
        if settings.traces != "off" and ends:
            server.traces = Traces(Path(settings.traces), redactor, server.emit)
        with heard(log):
            try:
                yield Assembled(App(server), log, found)
            finally:
                log.flush()


def _ledger(settings: Settings, storage: Storage, policy: CostPolicy, clock: Clock) -> Ledger:
    """The ledger; that of one process as its events left it."""
    if settings.ledger != "memory":
        return open_ledger(settings.ledger, clock=clock)
    since = clock.time() - horizon_s(policy)
    records = storage.events.read(Query(types=TYPES, since=since))
    return folded((record.event for record in records), policy, clock)


def _telemetry(settings: Settings, env: Mapping[str, str], redactor: Redactor) -> Telemetry | None:
    """Spans and measurements, where the environment names a collector."""
    endpoint = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return None
    try:
        from symposia.serve.otel import over_http
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is not installed: pip install 'symposia[otel]'"
        ) from error
    latest = env.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
    return over_http(
        endpoint,
        redactor,
        version=__version__,
        content=settings.otel_content,
        latest="gen_ai_latest_experimental" in latest,
    )


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
