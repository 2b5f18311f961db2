"""`symposia run --dry-run`: who would be asked what, in how many tokens. No model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symposia.core.request import Prompt
from symposia.core.value import Value, canonical, digest, short
from symposia.talk import portal
from symposia.talk.protocols import Stop
from symposia.talk.scenario import Scenario

from .lines import show_lines
from .terminal import Terminal
from .world import World

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation


class Planned(Value, frozen=True, kw_only=True):
    """One participant before the first turn; `exact` is false where the tokenizer is elsewhere."""

    name: str
    model: str
    profile: str
    prompt_tokens: int
    exact: bool
    max_tokens: int
    context_window: int | None
    interventions: int
    tools: tuple[str, ...]


class Plan(Value, frozen=True, kw_only=True):
    """What a run would begin with."""

    scenario: str
    conversation: str
    first: tuple[str, ...]
    participants: tuple[Planned, ...]


def dry_run(conversation: Conversation, world: World, *, as_json: bool) -> int:
    """Print the plan. Raises what rendering the first prompts raises, such as `ContextOverflow`."""
    first = _first(conversation)
    planned = portal.call(_planned(conversation))
    scenario = conversation.scenario
    if as_json:
        plan = Plan(scenario=scenario.digest, conversation=conversation.id, first=first, participants=planned)
        world.out.piece(canonical(plan).decode() + "\n")
        return 0
    _print(world.out, scenario, planned)
    for name in first[:1]:
        world.out.line()
        world.out.line(f"first view, of {name}:", "dim")
        show_lines(world.out, conversation.view(name))
    return 0


async def _planned(conversation: Conversation) -> tuple[Planned, ...]:
    found = []
    for participant in conversation.participants:
        profile = participant.profile
        card = await conversation.session.backend.describe(profile.model)
        prompt: Prompt = await conversation.aprompt(participant.name)
        found.append(
            Planned(
                name=participant.name,
                model=profile.model,
                profile=digest(profile),
                prompt_tokens=prompt.tokens,
                exact=prompt.exact,
                max_tokens=profile.sampling.max_tokens,
                context_window=card.context_window,
                interventions=len(profile.interventions),
                tools=tuple(tool.name for tool in profile.tools),
            )
        )
    return tuple(found)


def _print(out: Terminal, scenario: Scenario, planned: tuple[Planned, ...]) -> None:
    out.line(f"scenario {scenario.name or '(unnamed)'}  {short(scenario.digest)}  seed {scenario.seed or 0}")
    for one in planned:
        out.line()
        out.piece(one.name, f"bold {out.colour(one.name)}")
        out.line(f"  {one.model}  profile {short(one.profile)}")
        room = f" of {one.context_window:,}" if one.context_window else ""
        about = "" if one.exact else "at most "
        out.line(f"  prompt {about}{one.prompt_tokens:,} tokens + {one.max_tokens:,} to make{room}")
        if one.interventions:
            out.line(f"  interventions {one.interventions}")
        out.line(f"  tools {', '.join(one.tools) or 'none'}")


def _first(conversation: Conversation) -> tuple[str, ...]:
    step = conversation.protocol.next(conversation.transcript)
    return () if isinstance(step, Stop) else tuple(turn.speaker for turn in step)
