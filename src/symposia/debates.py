"""Debates for notebooks and scripts: a question in, an answer with its cost out; on local models unless told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict, Unpack, cast

from symposia.core.errors import UnknownName
from symposia.core.models import canonical
from symposia.core.profile import Profile
from symposia.core.request import Backend
from symposia.facade import default_backend
from symposia.talk import portal
from symposia.talk.debate import Debate, DebateAnswer, Seat, Team
from symposia.talk.debate.budget import Budget
from symposia.talk.debate.hold import TEMPERATURE, Held, answering, hold, prepared
from symposia.talk.debate.setting import with_tools
from symposia.talk.debate.stored import StoredDebate
from symposia.talk.debate.teams import DEFAULT, team_of
from symposia.talk.debate.teams import team as team_named
from symposia.talk.debate.values import Kind
from symposia.talk.rules import Kit
from symposia.talk.tools import ToolBox

if TYPE_CHECKING:
    from symposia.evals.scorecard.card import Scorecard
    from symposia.evals.scorecard.prepare import Scoring
    from symposia.evals.tasks.item import Item

MODEL: Final = "symposia:tiny"
SAME: Final = "same"
"""The captain is the seats' model."""


class Fields(TypedDict, total=False):
    """What else can be said of a debate; see `Debate`."""

    max_rounds: int
    quorum: int | None
    stop: str
    select: Literal["captain", "vote"]
    orders: int
    shows: Literal["answer", "full"]
    tool_budget: int
    beliefs: bool
    kind: Kind
    options: tuple[str, ...]
    seed: int
    budget: Budget


class Options(Fields, total=False):
    """And of the models' part in it: `prompts="auto"` fits the smallest context."""

    prompts: Literal["auto", "full", "short"]
    temperature: float


def debate(
    question: str,
    model: str | Profile = MODEL,
    team: str | Sequence[str] | Team = DEFAULT,
    *,
    captain: str | Profile | None = SAME,
    backend: Backend | None = None,
    tools: ToolBox | None = None,
    **options: Unpack[Options],
) -> DebateAnswer:
    """Put the question to a team: a name, dispositions, or seats with profiles of their own. Blocks until it is over.

    Raises `InvalidInput` or `UnsupportedRequest` for what cannot be held, before any call. Every failure after that is
    in the answer's status, flags and ledger.
    """
    asked = adebate(question, model, team, captain=captain, backend=backend, tools=tools, **options)
    return portal.call(asked).answer


async def adebate(
    question: str,
    model: str | Profile = MODEL,
    team: str | Sequence[str] | Team = DEFAULT,
    *,
    captain: str | Profile | None = SAME,
    backend: Backend | None = None,
    tools: ToolBox | None = None,
    **options: Unpack[Options],
) -> Held:
    """The same inside an event loop, with the transcript; `Held.answer` is the answer."""
    for name in options:
        if name not in Options.__annotations__:
            raise UnknownName("option of a debate", name, Options.__annotations__)
    behind = default_backend() if backend is None else backend
    temperature, prompts = options.get("temperature", TEMPERATURE), options.get("prompts", "auto")
    fields = cast("Fields", {k: v for k, v in options.items() if k in Fields.__annotations__})

    async def profile(of: str | Profile) -> Profile:
        return of if isinstance(of, Profile) else await answering(behind, of, temperature=temperature)

    own = await profile(model)
    led = None if captain is None else await profile(own if captain == SAME else captain)
    if led is None:
        fields.setdefault("select", "vote")
    held = Debate(team=_seated(team), captain=led, profile=own, **fields)
    box = tools or ToolBox()
    if len(box):
        held = with_tools(held, box.specs)
    held = await prepared(held, behind, prompts=prompts)
    rules = StoredDebate(question=question, debate=held, seed=held.seed).rules
    return await hold(question, held, behind, rules=rules, kit=Kit(tools=box))


def debate_eval(
    tasks: Sequence[str] | Mapping[str, Sequence[Item]],
    *,
    model: str = MODEL,
    scoring: Scoring | None = None,
    tools: ToolBox | None = None,
    out: str | Path | None = None,
    backend: Backend | None = None,
) -> Scorecard:
    """Debate beside baselines of equal calls and equal tokens, on questions with one right answer. Blocks.

    `tasks` names sets that ship (`["arithmetic", "ordering"]`), or gives items by task. With a folder `out`, everything
    asked of a model is kept in its journal, and the same call goes on where it was stopped. Raises `InvalidInput` and
    `UnsupportedRequest` for what cannot be scored, before any call.
    """
    from symposia.backends import Journal
    from symposia.evals.scorecard.prepare import Scoring, plan_for, tasks_named
    from symposia.evals.scorecard.score import score

    given = tasks if isinstance(tasks, Mapping) else tasks_named(tasks)
    items = {name: tuple(listed) for name, listed in given.items()}
    behind, box = default_backend() if backend is None else backend, tools or ToolBox()

    async def scored(journal: Journal) -> Scorecard:
        address = canonical(model) if backend is None else model
        plan = await plan_for(items, address, scoring or Scoring(), behind, tools=box.specs)
        return (await score(plan, behind, journal, kit=Kit(tools=box))).card

    with Journal.unkept() if out is None else Journal.open(out) as journal:
        return portal.call(scored(journal))


def _seated(team: str | Sequence[str] | Team) -> Team:
    if isinstance(team, Team):
        return team
    return team_named(team) if isinstance(team, str) else team_of(tuple(team))


__all__ = ["Budget", "Options", "Seat", "Team", "adebate", "debate", "debate_eval"]
