"""From flags to a plan: the items, the methods, the debate as `symposia debate` would hold it."""

from __future__ import annotations

from msgspec.structs import replace

from symposia.backends.endpoints import Endpoints
from symposia.cli.debate.assemble import MODEL, assemble
from symposia.cli.debate.options import DebateOptions
from symposia.cli.scenario.toolkit import BUILT_IN
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.models import canonical
from symposia.core.profile import Profile
from symposia.evals.scorecard.plan import Plan
from symposia.evals.scorecard.prepare import Scoring, plan_for, tasks_named
from symposia.evals.tasks.files import load
from symposia.evals.tasks.item import Item
from symposia.talk.debate import Debate
from symposia.talk.tools import ToolBox

from .options import EvalOptions


def items_of(asked: EvalOptions) -> dict[str, tuple[Item, ...]]:
    """The items by task. Raises for a set that does not ship, and for a file's first bad row."""
    if (asked.tasks is None) == (asked.file is None):
        raise InvalidInput("expected either --tasks NAME,NAME or --file F; see symposia tasks list")
    if asked.file is not None:
        return {asked.file.stem: load(asked.file, asked.format, seed=asked.seed)}
    if asked.format != "native":
        raise InvalidInput("--format is that of a --file; the sets that ship need none")
    return tasks_named(listed(asked.tasks or "", "--tasks"))


def methods_of(text: str) -> tuple[str, ...]:
    """Methods by commas; `key=value` after a comma is a further option of the method before it."""
    found: list[str] = []
    for piece in listed(text, "--methods"):
        head, equals, _ = piece.partition("=")
        if equals and ":" not in head and found:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return tuple(found)


def listed(text: str, flag: str) -> tuple[str, ...]:
    """Names by commas, none of them empty."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InvalidInput(f"{flag} {text!r}: expected names with commas between them")
    return names


def toolbox(names: str | None) -> ToolBox:
    """The tools of these names."""
    wanted = () if names is None else listed(names, "--tools")
    for name in wanted:
        if name not in BUILT_IN:
            raise UnknownName("tool", name, BUILT_IN)
    return ToolBox(*(BUILT_IN[name]() for name in wanted))


async def planned(asked: EvalOptions, backend: Endpoints, tools: ToolBox) -> Plan:
    """The plan. Nothing is asked of a model but what it can do."""
    made = await assemble(_as_debate(asked), backend)
    if made.vectors:
        from symposia.facade import engines

        for vector in made.vectors:
            engines().library.add(vector)
    scoring = Scoring(
        methods=methods_of(asked.methods),
        n=asked.n,
        repeats=asked.repeats,
        prompts=asked.prompts,
        temperature=asked.temperature,
        reply_tokens=asked.reply_tokens,
        count=asked.count,
        seed=asked.seed,
    )
    model = canonical(asked.model or MODEL, backend.names)
    debate = made.debate if asked.reply_tokens is None else _capped(made.debate, asked.reply_tokens)
    return await plan_for(items_of(asked), model, scoring, backend, debate=debate, tools=tools.specs)


def _as_debate(asked: EvalOptions) -> DebateOptions:
    return DebateOptions(
        model=asked.model,
        team=asked.team,
        seats=asked.seats,
        team_file=asked.team_file,
        seat=asked.seat,
        captain=asked.captain,
        rounds=asked.rounds,
        stop=asked.stop,
        select=asked.select,
        orders=asked.orders,
        shows=asked.shows,
        seed=asked.seed,
        temperature=asked.temperature,
        prices=asked.prices,
    )


def _capped(debate: Debate, tokens: int) -> Debate:
    """The debate with replies of at most so many tokens, everybody's."""

    def shorter(profile: Profile | None) -> Profile | None:
        return profile and replace(profile, sampling=replace(profile.sampling, max_tokens=tokens))

    seats = tuple(replace(seat, profile=shorter(seat.profile)) for seat in debate.team.seats)
    return replace(
        debate,
        team=replace(debate.team, seats=seats),
        profile=shorter(debate.profile),
        captain=shorter(debate.captain),
    )
