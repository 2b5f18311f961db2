"""Teams by name, and teams of the dispositions one lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symposia.core.errors import UnknownName

from .prompts import disposition
from .values import Seat, Team

TEAMS: Mapping[str, tuple[str, ...]] = {
    "roles": ("researcher", "solver", "alternatives"),
    "A": ("evidence", "derivation", "practice"),
    "B": ("evidence", "refutation", "calibration", "interpretation", "framing"),
    "C": ("derivation", "coherence", "refutation", "synthesis", "calibration"),
}
DEFAULT = "A"


def team(name: str = DEFAULT) -> Team:
    """The team of that name; `UnknownName` lists them."""
    if name not in TEAMS:
        raise UnknownName("team", name, TEAMS)
    return team_of(TEAMS[name], name)


def team_of(dispositions: Sequence[str], name: str = "seats") -> Team:
    """A team of these dispositions, each seat named by its own."""
    for one in dispositions:
        disposition("full", one)
    return Team(name, tuple(Seat(one, one) for one in dispositions))
