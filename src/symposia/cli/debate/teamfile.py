"""A team as a YAML file: seats with models and profiles of their own. What is wrong is pointed at by its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from msgspec import Meta
from msgspec.structs import replace

from symposia.cli.scenario.convert import convert
from symposia.cli.scenario.located import Path as Place
from symposia.cli.scenario.tree import Tree, read_tree
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Intervention
from symposia.core.profile import Sampling
from symposia.core.receipt import History
from symposia.core.value import Value
from symposia.talk.debate.prompts import disposition
from symposia.talk.debate.values import FEWEST, MOST, Seat, Team

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector

T = TypeVar("T")
Words = Annotated[str, Meta(min_length=1)]


class ProfileForm(Value, frozen=True, kw_only=True):
    """What a seat or the captain answers with; everything left out is the team's. Vectors by digest or file."""

    model: Words | None = None
    system: str | None = None
    sampling: Sampling | None = None
    interventions: tuple[Intervention, ...] = ()
    history: History = "scoped"


class SeatForm(Value, frozen=True, kw_only=True):
    """A seat; its name is its disposition's unless it has one. `profile` is a file with a profile."""

    disposition: Words
    name: Words | None = None
    model: Words | None = None
    sampling: Sampling | None = None
    profile: Words | None = None


class CaptainForm(Value, frozen=True, kw_only=True):
    """The captain."""

    model: Words | None = None
    sampling: Sampling | None = None


class TeamForm(Value, frozen=True, kw_only=True):
    """A team file."""

    team: Words
    model: Words | None = None
    captain: CaptainForm | None = None
    seats: Annotated[tuple[SeatForm, ...], Meta(min_length=FEWEST, max_length=MOST)]


@dataclass(frozen=True, kw_only=True)
class TeamFile:
    """A team whose seats have no profiles yet, and what the file says of each by name."""

    team: Team
    model: str | None
    captain: ProfileForm | None
    seats: Mapping[str, ProfileForm]
    vectors: tuple[SteeringVector, ...] = ()


def read_team_file(path: Path) -> TeamFile:
    """Read and check a team file; the error points at the line."""
    tree = _tree(path)
    form = convert(tree, TeamForm)
    vectors: dict[str, SteeringVector] = {}
    seats, profiles = [], {}
    for at, seat in enumerate(form.seats):
        name = seat.name or seat.disposition
        _checked(tree, ("seats", at, "disposition"), partial(disposition, "full", seat.disposition))
        place: Place = ("seats", at, "name" if seat.name else "disposition")
        if name in profiles:
            raise tree.error(place, f"seat names must be unique; {name!r} stands twice")
        seats.append(Seat(name, seat.disposition))
        profiles[name] = _profile(seat, tree, ("seats", at), path.parent, vectors)
    try:
        team = Team(form.team, tuple(seats))
    except InvalidInput as error:
        raise tree.error(("seats",), str(error)) from error
    led = form.captain
    captain = None if led is None else ProfileForm(model=led.model, sampling=led.sampling)
    return TeamFile(
        team=team, model=form.model, captain=captain, seats=profiles, vectors=tuple(vectors.values())
    )


def _tree(path: Path) -> Tree:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: expected a file of YAML; {error}") from error
    return read_tree(text, str(path))


def _profile(
    seat: SeatForm, tree: Tree, place: Place, folder: Path, vectors: dict[str, SteeringVector]
) -> ProfileForm:
    """The seat's own profile: its file's, with what the team file says beside it."""
    if seat.profile is None:
        return ProfileForm(model=seat.model, sampling=seat.sampling)
    path = folder / seat.profile
    if not path.is_file():
        raise tree.error((*place, "profile"), f"there is no file {seat.profile!r} in {folder}")
    form = read_profile(path, vectors)
    return replace(form, model=seat.model or form.model, sampling=seat.sampling or form.sampling)


def read_profile(path: Path, vectors: dict[str, SteeringVector]) -> ProfileForm:
    """A profile as a file of its own; the vectors it names by file go into `vectors`."""
    own = _tree(path)
    form = convert(own, ProfileForm)
    if form.interventions:
        from symposia.cli.scenario.vectors import named_by_digest

        named = [
            named_by_digest(one, partial(_vector, own, path.parent, index, vectors))
            for index, one in enumerate(form.interventions)
        ]
        form = replace(form, interventions=tuple(named))
    return form


def _vector(
    tree: Tree,
    folder: Path,
    index: int,
    vectors: dict[str, SteeringVector],
    text: str,
    key: tuple[str, ...],
) -> str:
    """The digest of a vector; a file's goes into `vectors`."""
    from symposia.cli.scenario.vectors import is_digest, read_vector

    if is_digest(text):
        return text
    where: Place = ("interventions", index, *key)
    if not text.endswith(".safetensors"):
        raise tree.error(where, f"expected a digest sha256:… or a vector file *.safetensors; got {text!r}")
    path = folder / text
    if not path.is_file():
        raise tree.error(where, f"there is no file {text!r} in {folder}")
    vector = _checked(tree, where, partial(read_vector, path))
    vectors[vector.digest] = vector
    return vector.digest


def _checked(tree: Tree, where: Place, check: Callable[[], T]) -> T:
    """What `check` gives; its errors point at the place."""
    try:
        return check()
    except InvalidInput as error:
        raise tree.error(where, str(error)) from error
