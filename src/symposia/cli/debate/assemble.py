"""From flags to a debate: the question, the team with its profiles, prices and limits. Nothing is asked of a model."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.backends.endpoints import Endpoints
from symposia.cli.scenario.convert import convert
from symposia.cli.scenario.toolkit import BUILT_IN
from symposia.cli.scenario.tree import read_tree
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.models import canonical
from symposia.core.prices import ListedPrice
from symposia.core.profile import Profile
from symposia.core.usage import Price
from symposia.talk.debate import Debate, Seat, Team
from symposia.talk.debate.budget import Budget
from symposia.talk.debate.hold import answering
from symposia.talk.debate.setting import with_tools
from symposia.talk.debate.teams import DEFAULT, team, team_of
from symposia.talk.tools import ToolBox

from .options import DebateOptions
from .teamfile import ProfileForm, TeamFile, read_team_file

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector

PROTOCOLS = ("parallel_consensus", "tool_grounded")
MODEL = "symposia:tiny"
NONE = "none"


@dataclass(frozen=True)
class Assembled:
    """A debate as the flags ask for it, and the vectors its profiles name by file."""

    debate: Debate
    tools: ToolBox
    vectors: tuple[SteeringVector, ...] = ()


def question_of(asked: DebateOptions) -> str:
    """The question, from wherever it is said; refused if it is empty or said twice."""
    if (asked.question is None) == (asked.file is None):
        raise InvalidInput("expected one question: as an argument, - for stdin, or --file F")
    if asked.file is not None:
        text = asked.file.read_text(encoding="utf-8")
    else:
        text = sys.stdin.read() if asked.question == "-" else asked.question or ""
    if not text.strip():
        raise InvalidInput("the question is empty; expected some text")
    return text.strip("\n")


async def assemble(asked: DebateOptions, backend: Endpoints) -> Assembled:
    """The debate. Raises `InvalidInput` for what cannot be meant."""
    file = _team_file(asked)
    seated = _team(asked, file)
    models = _models(asked.seat or (), seated)
    forms: Mapping[str, ProfileForm] = {} if file is None else file.seats
    default = asked.model or (file and file.model) or MODEL
    seats = []
    for seat in seated.seats:
        form = forms.get(seat.name, ProfileForm())
        model = models.get(seat.name) or form.model or default
        seats.append(Seat(seat.name, seat.disposition, await _profile(asked, backend, model, form)))
    captain = await _captain(asked, backend, default, file)
    if ":" in (asked.stop or "") and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a rule by path may lie where the command is typed
    debate = _debate(asked, Team(seated.name, tuple(seats)), captain, backend.names)
    box = _tools(asked)
    debate = with_tools(debate, box.specs) if len(box) else debate
    return Assembled(debate, box, () if file is None else file.vectors)


def _debate(
    asked: DebateOptions, seated: Team, captain: Profile | None, endpoints: Collection[str]
) -> Debate:
    for name, value in (("--rounds", asked.rounds), ("--orders", asked.orders)):
        if value < 1:
            raise InvalidInput(f"{name}: expected at least 1; got {value}")
    return Debate(
        team=seated,
        captain=captain,
        max_rounds=asked.rounds,
        quorum=asked.quorum,
        stop=asked.stop or "captain",
        select=asked.select or ("vote" if captain is None else "captain"),
        orders=asked.orders,
        shows=asked.shows,
        beliefs=asked.beliefs,
        options=_listed(asked.options, "--options"),
        seed=asked.seed,
        budget=Budget(
            max_calls=_limit("--max-calls", asked.max_calls),
            max_tokens=_limit("--max-tokens", asked.max_tokens),
            max_cost=asked.max_cost,
            prices=prices_of(asked.prices, endpoints),
        ),
    )


def prices_of(path: Path | None, endpoints: Collection[str]) -> dict[str, Price]:
    """A price list: model addresses, each with input, output and perhaps cached_input prices per million tokens."""
    if path is None:
        return {}
    tree = read_tree(path.read_text(encoding="utf-8"), str(path))
    listed = convert(tree, dict[str, ListedPrice])
    return {canonical(model, endpoints): form.price(f"{path}: {model}") for model, form in listed.items()}


def _team_file(asked: DebateOptions) -> TeamFile | None:
    said = [name for name, value in _ways(asked) if value is not None]
    if len(said) > 1:
        raise InvalidInput(f"expected one of --team, --seats and --team-file; got {' and '.join(said)}")
    return None if asked.team_file is None else read_team_file(asked.team_file)


def _ways(asked: DebateOptions) -> tuple[tuple[str, object], ...]:
    return ("--team", asked.team), ("--seats", asked.seats), ("--team-file", asked.team_file)


def _team(asked: DebateOptions, file: TeamFile | None) -> Team:
    if file is not None:
        return file.team
    if asked.seats is not None:
        return team_of(_listed(asked.seats, "--seats"))
    return team(asked.team or DEFAULT)


def _models(pairs: Sequence[str], seated: Team) -> dict[str, str]:
    """Seats with a model of their own."""
    models = {}
    for pair in pairs:
        name, equals, model = pair.partition("=")
        if not equals or not model:
            raise InvalidInput(f"--seat {pair!r}: expected NAME=MODEL")
        if name not in seated.names:
            raise UnknownName("seat", name, seated.names)
        models[name] = model
    return models


async def _captain(
    asked: DebateOptions, backend: Endpoints, default: str, file: TeamFile | None
) -> Profile | None:
    if asked.captain == NONE:
        return None
    form = (file and file.captain) or ProfileForm()
    return await _profile(asked, backend, asked.captain or form.model or default, form)


async def _profile(asked: DebateOptions, backend: Endpoints, model: str, form: ProfileForm) -> Profile:
    made = await answering(
        backend, canonical(model, backend.names), temperature=asked.temperature, system=form.system
    )
    return replace(
        made,
        sampling=form.sampling or made.sampling,
        interventions=form.interventions,
        history=form.history,
    )


def _tools(asked: DebateOptions) -> ToolBox:
    """The tools of the seats; a protocol that does not go with them is refused."""
    tools = _listed(asked.tools, "--tools")
    for name in tools:
        if name not in BUILT_IN:
            raise UnknownName("tool", name, BUILT_IN)
    if asked.protocol is not None and asked.protocol not in PROTOCOLS:
        raise UnknownName("protocol", asked.protocol, PROTOCOLS)
    if asked.protocol == "tool_grounded" and not tools:
        raise InvalidInput("--protocol tool_grounded needs tools: add --tools calculator")
    if asked.protocol == "parallel_consensus" and tools:
        raise InvalidInput("--protocol parallel_consensus has no tools; leave out --tools or --protocol")
    return ToolBox(*(BUILT_IN[name]() for name in tools))


def _listed(text: str | None, flag: str) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InvalidInput(f"{flag} {text!r}: expected names with commas between them")
    return names


def _limit(flag: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise InvalidInput(f"{flag}: expected at least 1; got {value}")
    return value
