"""Holding a debate: what it asks of its models is checked first, then the one loop runs to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from msgspec.structs import replace

from symposia.core.clock import SystemClock
from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.features import refuse_unsupported
from symposia.core.message import said
from symposia.core.parse import SUPPORTED
from symposia.core.profile import MODERATOR, Participant, Profile, Sampling
from symposia.core.request import About, Backend, ModelCard, Request
from symposia.core.transcript import Transcript
from symposia.core.value import checked
from symposia.talk.converse import converse
from symposia.talk.rules import Kit, Rules

from .answer import Proceedings, answer_of, proceedings
from .events import DebateEnded, DebateStarted, Selected, Tell, Told
from .minutes import Minutes
from .prompts import prompts_digest
from .protocol import Debate
from .setting import kit_for
from .values import CAPTAIN, DebateAnswer, Size

SMALL = 4096
TEMPERATURE, TOKENS, SHARE = 0.7, 2048, 8
WAYS_OUT = "give the captain another model, or do without: --stop fixed:R and --select vote"


@dataclass(frozen=True)
class Held:
    """A debate that is over: how it was held, what was said, what it came to."""

    debate: Debate
    transcript: Transcript
    answer: DebateAnswer

    @cached_property
    def proceedings(self) -> Proceedings:
        """The debate, round by round."""
        return proceedings(self.transcript, self.debate)


def nobody(told: Told) -> None:
    """A listener that keeps nothing."""


async def hold(
    question: str,
    debate: Debate,
    backend: Backend,
    *,
    rules: Rules | None = None,
    kit: Kit | None = None,
    tell: Tell = nobody,
) -> Held:
    """Put the question to the team. `debate` is as `prepared` gave it.

    Raises `InvalidInput` for an empty question and `UnsupportedRequest` for what a model cannot do; everything else
    that fails is an abstention or a fallback in the transcript. `rules.seed_key` names the random streams.
    """
    if not question.strip():
        raise InvalidInput("the question is empty; expected some text")
    kit = kit or Kit(clock=SystemClock())
    rules = rules or Rules(seed_key=(debate.seed,))
    begun = Transcript((said(MODERATOR, question),))
    minutes = Minutes(debate, begun, kit.clock, tell)
    about = About(run=rules.run, conversation=rules.conversation, branch=rules.branch)
    tell(_started(question, debate, about, begun))
    while True:
        try:
            done = await converse(
                debate,
                debate.participants,
                backend,
                transcript=minutes.transcript,
                emit=minutes,
                rules=rules,
                kit=kit_for(debate, kit),
            )
            break
        except UnsupportedRequest as error:
            debate = minutes.debate = _without_force(debate, error)
    return _ended(debate, done.transcript, minutes, about, tell)


def _started(question: str, debate: Debate, about: About, begun: Transcript) -> DebateStarted:
    return DebateStarted(
        about=about,
        config=debate.digest,
        prompts=prompts_digest(debate.prompts),
        question=question,
        team=debate.team.names,
        profiles={p.name: p.profile.digest for p in debate.participants},
        messages=len(begun),
    )


def _ended(debate: Debate, transcript: Transcript, minutes: Minutes, about: About, tell: Tell) -> Held:
    """The answer, with the ledger that has times."""
    read = proceedings(transcript, debate)
    answer = answer_of(read, debate, tuple(minutes.rows))
    held = Held(debate, transcript, answer)
    chosen = read.chosen
    if chosen is not None:
        picked = chosen.selection
        tell(
            Selected(
                about=about,
                method=picked.method,
                orders=picked.orders,
                choices=picked.choices,
                tiebreak=picked.tiebreak,
            )
        )
    tell(DebateEnded(about=about, answer=answer))
    return held


def _without_force(debate: Debate, error: UnsupportedRequest) -> Debate:
    """The debate with its captain's yes scored, if it was a forced call that the backend refused."""
    captain = debate.captain
    if error.feature != "force" or captain is None or debate.captain_by == "scores":
        raise error
    return replace(debate, captain_by="scores")


async def prepared(
    debate: Debate, backend: Backend, *, prompts: Literal["auto", "full", "short"] = "auto"
) -> Debate:
    """The debate as its models can hold it: the prompts' size, and how the captain is asked.

    Raises `InvalidInput` for a value out of range and `UnsupportedRequest` for what a seat's profile, a probe or the
    captain needs and its model has not; both before any call.
    """
    checked(debate)
    cards: dict[str, ModelCard] = {}
    for participant in debate.participants:
        card = cards[participant.name] = await backend.describe(participant.profile.model)
        _check_profile(participant, card, debate)
    if debate.reads_beliefs:
        _check_beliefs(debate, cards)
    size: Size = prompts if prompts != "auto" else _size(cards)
    return replace(debate, prompts=size, captain_by=_captain_by(debate, cards))


async def answering(
    backend: Backend, model: str, *, temperature: float = TEMPERATURE, system: str | None = None
) -> Profile:
    """A profile to debate with: room for reasons, but no more than an eighth of the model's context for one reply."""
    window = (await backend.describe(model)).context_window
    tokens = TOKENS if window is None else min(TOKENS, max(64, window // SHARE))
    return Profile(model=model, system=system, sampling=Sampling(temperature=temperature, max_tokens=tokens))


def _size(cards: Mapping[str, ModelCard]) -> Size:
    windows = [card.context_window for card in cards.values() if card.context_window is not None]
    return "short" if windows and min(windows) < SMALL else "full"


def _captain_by(debate: Debate, cards: Mapping[str, ModelCard]) -> Literal["tool", "scores"]:
    """Forced calls if the captain's model has them, else scores; neither is an error that names ways out."""
    card = cards.get(CAPTAIN)
    if card is None or (debate.stop != "captain" and debate.select != "captain"):
        return debate.captain_by
    if "force" in card.features and card.syntax in SUPPORTED:
        return "tool"
    if "choices" in card.features:
        return "scores"
    raise UnsupportedRequest(
        endpoint=_endpoint(card.model),
        model=card.model,
        feature="force",
        why="it can neither be forced to call a tool nor score a yes or no, so it cannot be captain",
        way_out=WAYS_OUT,
    )


def _check_profile(participant: Participant, card: ModelCard, debate: Debate) -> None:
    profile = participant.profile
    request = Request(
        model=profile.model,
        lines=(),
        sampling=profile.sampling,
        seed_required=profile.sampling.seed is not None,
        speaker=participant.name,
        interventions=profile.interventions,
        history=profile.history,
        tools=tuple(tool for tool in profile.tools if tool.name in debate.tools),
    )
    refuse_unsupported(request, card, _endpoint(profile.model))


def _check_beliefs(debate: Debate, cards: Mapping[str, ModelCard]) -> None:
    for name in debate.team.names:
        if "choices" not in cards[name].features:
            raise UnsupportedRequest(
                endpoint=_endpoint(cards[name].model),
                model=cards[name].model,
                feature="choices",
                why=f"the beliefs of {name} are read by scoring answers",
                way_out="leave out --beliefs and --stop belief, or give the seat a local model",
            )


def _endpoint(model: str) -> str:
    return model.partition(":")[0] if ":" in model else "engine"
