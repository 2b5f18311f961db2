"""What `debate-replay` is told to change, read from its flags."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.models import canonical
from symposia.evals.replay.edits import Direct, Edit, Mute, Patch, Revise
from symposia.talk.debate import Debate

from .replayoptions import ReplayOptions
from .teamfile import ProfileForm, read_profile

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector

FILES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Edits:
    """The changes, and the vectors that changed profiles name by file."""

    edits: tuple[Edit, ...]
    vectors: dict[str, SteeringVector] = field(default_factory=dict)


def edits_of(asked: ReplayOptions, debate: Debate, endpoints: Collection[str]) -> Edits:
    """The changes in the order of the flags; models may be at `endpoints`. `InvalidInput` shows the form expected."""
    vectors: dict[str, SteeringVector] = {}
    edits: list[Edit] = []
    for text in asked.mute or ():
        seat, number = _seat(text, "--mute", "SEAT[:ROUND]")
        edits.append(Mute(seat, number))
    for text in asked.patch or ():
        left, file = _sides(text, "--patch", "SEAT:ROUND=FILE")
        seat, number = _seat(left, "--patch", "SEAT:ROUND=FILE")
        if number is None:
            raise InvalidInput(f"--patch {text!r}: expected SEAT:ROUND=FILE, with a round")
        edits.append(Patch(seat, number, _text(file)))
    for text in asked.profile or ():
        left, named = _sides(text, "--profile", "SEAT[:ROUND]=PROFILE")
        seat, number = _seat(left, "--profile", "SEAT[:ROUND]=PROFILE")
        edits.append(_revised(debate, seat, number or 1, named, vectors, endpoints=endpoints))
    for text in asked.direct or ():
        left, file = _sides(text, "--direct", "ROUND=FILE")
        edits.append(Direct(_round(left, "--direct", "ROUND=FILE"), _text(file)))
    return Edits(tuple(edits), vectors)


def _revised(
    debate: Debate,
    seat: str,
    number: int,
    named: str,
    vectors: dict[str, SteeringVector],
    *,
    endpoints: Collection[str],
) -> Revise:
    if seat not in debate.team.names:
        raise UnknownName("seat", seat, debate.team.names)
    own = debate.profile_of(seat)
    if not named.endswith(FILES):
        return Revise(seat, replace(own, model=canonical(named, endpoints)), number)
    path = Path(named)
    if not path.is_file():
        raise InvalidInput(f"--profile: there is no file {named}")
    form: ProfileForm = read_profile(path, vectors)
    profile = replace(
        own,
        model=canonical(form.model, endpoints) if form.model else own.model,
        system=form.system,
        sampling=form.sampling or own.sampling,
        interventions=form.interventions,
        history=form.history,
    )
    return Revise(seat, profile, number)


def _sides(text: str, flag: str, form: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (equals and left and right):
        raise InvalidInput(f"{flag} {text!r}: expected {form}")
    return left, right


def _seat(text: str, flag: str, form: str) -> tuple[str, int | None]:
    seat, colon, number = text.partition(":")
    return seat, _round(number, flag, form) if colon else None


def _round(text: str, flag: str, form: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise InvalidInput(f"{flag}: expected {form}, the round from 1 up; got {text!r}")
    return int(text)


def _text(file: str) -> str:
    path = Path(file)
    if not path.is_file():
        raise InvalidInput(f"there is no file {file}")
    text = path.read_text(encoding="utf-8").strip("\n")
    if not text.strip():
        raise InvalidInput(f"{file} is empty; expected what is said instead")
    return text


def texts(edits: Iterable[Edit]) -> str:
    """The changes in words."""
    words = []
    for edit in edits:
        match edit:
            case Mute():
                words.append(
                    f"{edit.seat} muted {'throughout' if edit.round is None else f'in round {edit.round}'}"
                )
            case Patch():
                words.append(f"{edit.seat} patched in round {edit.round}")
            case Revise():
                words.append(f"{edit.seat} with another profile from round {edit.round}")
            case Direct():
                words.append(f"another direction after round {edit.round}")
    return ", ".join(words) or "nothing changed"
