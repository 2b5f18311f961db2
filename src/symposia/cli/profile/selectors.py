"""How the command line names models and profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from symposia.cli.registry import Profiles

SELECTOR = "MODEL@ALIAS, or sha256: and at least 12 digits."
Selector = Annotated[str, typer.Argument(metavar="SEL", help=SELECTOR)]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model address, as the profile says it.")]


def model_of(address: str) -> str:
    """The spelling that profiles are kept under: canonical where the address is known here, else as written."""
    from symposia.core.errors import UnknownModel
    from symposia.core.models import canonical

    try:
        return canonical(address)
    except UnknownModel:  # an endpoint's, or one that only a server's upstream has
        return address


def digest_of(profiles: Profiles, selector: str, *, archived: bool = False) -> str:
    """The digest of the profile that a selector names; `archived` ones are found by digest only."""
    from symposia.core.errors import InvalidInput

    if selector.startswith("sha256:"):
        return profiles.find(selector, archived=archived)
    model, at, name = selector.rpartition("@")
    if not at or not model:
        raise InvalidInput(f"profile {selector!r}: expected {SELECTOR}")
    return profiles.resolve(model_of(model), name)
