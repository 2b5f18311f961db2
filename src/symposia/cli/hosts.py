"""`symposia endpoints`: which there are, where their keys come from; whether one keeps what its row promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.backends.endpoint import Endpoint, Remote

Declared = Annotated[
    Path | None,
    typer.Option("--scenario", metavar="SCENARIO.yaml", help="With the endpoints this file declares."),
]


@dataclass(frozen=True)
class EndpointListOptions:
    """The flags of `symposia endpoints list`."""

    scenario: Declared = None
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


@dataclass(frozen=True)
class EndpointCheckOptions:
    """The flags of `symposia endpoints check`."""

    address: Annotated[str, typer.Argument(metavar="NAME:MODEL", help="An endpoint and one of its models.")]
    scenario: Declared = None
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def list_endpoints(asked: EndpointListOptions) -> int:
    """Endpoints by name: protocol, address, key, limits. Nothing is asked."""
    world = this_world()
    return guarded(world, lambda: _list(asked, world))


def check(asked: EndpointCheckOptions) -> int:
    """Ask an endpoint for each thing its row promises, a few tokens each; 1 if something differs."""
    world = this_world()
    return guarded(world, lambda: _check(asked, world))


def _list(asked: EndpointListOptions, world: World) -> int:
    from symposia.core.value import canonical

    from .table import Table

    endpoints = _endpoints(asked.scenario, world)
    if asked.json:
        told = {
            name: {"endpoint": one, "url": one.url, "key": _key(one, world)}
            for name, one in endpoints.items()
        }
        world.out.piece(canonical(told).decode() + "\n")
        return 0
    table = Table(("name", "protocol", "address", "key", "rpm", "tpm"), left=4)
    for name, one in endpoints.items():
        limits = [f"{limit:,}" if limit else "-" for limit in (one.rpm, one.tpm)]
        table.row(name, _protocol(one), world.redactor.text(one.url), _key(one, world), *limits)
    table.print(world.out)
    return 0


def _check(asked: EndpointCheckOptions, world: World) -> int:
    from symposia.backends.hosts import Hosts
    from symposia.core.errors import UnknownName
    from symposia.core.value import canonical
    from symposia.talk import portal

    from .held import check_rows

    endpoints = _endpoints(asked.scenario, world)
    name, _, model = asked.address.partition(":")
    if name not in endpoints or not model:
        raise UnknownName("endpoint", asked.address, [f"{known}:MODEL" for known in endpoints])
    backend = Hosts(world.env, world.clock).backend(name, endpoints[name])
    held = portal.call(check_rows(backend, asked.address))
    if asked.json:
        world.out.piece(canonical({"endpoint": asked.address, "rows": held}).decode() + "\n")
    else:
        for row in held:
            mark, style = ("holds", "green") if row.holds else ("differs", "bold red")
            world.out.piece(f"{mark:<8}", style)
            world.out.line(f"{row.what:<20} {world.redactor.text(row.saw)}")
    return int(not all(row.holds for row in held))


def _endpoints(scenario: Path | None, world: World) -> dict[str, Remote]:
    from symposia.backends.endpoint import ScriptedEndpoint
    from symposia.backends.hosts import Hosts

    from .scenario import read_setting

    declared: dict[str, Endpoint] = {} if scenario is None else dict(read_setting(scenario).endpoints)
    hosts = Hosts(world.env)
    hosted = {n: hosts.placed(one) for n, one in declared.items() if not isinstance(one, ScriptedEndpoint)}
    return {**hosts.built_in(), **hosted}


def _protocol(endpoint: Remote) -> str:
    from symposia.backends import OpenAIEndpoint

    if isinstance(endpoint, OpenAIEndpoint):
        return f"chat completions, {endpoint.flavour}"
    return "messages, anthropic"


def _key(endpoint: Remote, world: World) -> str:
    """Where its key is looked for, and whether there is one; never the key."""
    from symposia.backends.keys import read_key
    from symposia.core.errors import InvalidInput

    source = endpoint.key or (f"env:{endpoint.usual_key}" if endpoint.usual_key else "none")
    try:
        key = read_key(endpoint.key, endpoint="", usual=endpoint.usual_key, env=world.env)
    except InvalidInput:
        return f"{source} (not there)"
    return source if key is None else f"{source} (there)"
