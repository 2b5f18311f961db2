"""Building the request of a turn: view, fit, seed. The forward path and the rebuilding of an old request are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from symposia.core.errors import UnknownName
from symposia.core.events import Emit, ViewCut
from symposia.core.lines import Line
from symposia.core.message import Message
from symposia.core.naming import Namer
from symposia.core.profile import Participant, Profile, Sampling, find
from symposia.core.request import About, Backend, PastTurn, Request
from symposia.core.transcript import Transcript

from .fit import Fail, Fitted, Limits, NeedsSummary, droppable, fit, limits
from .protocols import Turn
from .rules import Kit, Rules, Summariser
from .seeds import SeedKey, turn_seed, with_root
from .stop import Allowance
from .trail import Trail, begun
from .view import Memo, Ranges, cue_line, trail_lines, view


@dataclass(frozen=True, slots=True)
class Table:
    """Everything one conversation's turns share."""

    participants: Mapping[str, Participant]
    backend: Backend
    rules: Rules
    kit: Kit
    emit: Emit
    memos: dict[str, Memo] = field(default_factory=dict, init=False)
    namers: dict[str, Namer] = field(default_factory=dict, init=False)

    @property
    def roster(self) -> tuple[str, ...]:
        """Participants' names, in order."""
        return tuple(self.participants)

    def participant(self, name: str) -> Participant:
        """The participant of that name; `UnknownName` lists the roster."""
        return find(tuple(self.participants.values()), name)

    def summariser(self, name: str) -> Summariser:
        """The kit's summariser of that name."""
        if name not in self.kit.summarisers:
            raise UnknownName("summariser", name, self.kit.summarisers)
        return self.kit.summarisers[name]

    def profile_digest(self, name: str) -> str:
        """The digest of a participant's profile."""
        return self.participants[name].profile.digest

    def about(self, speaker: str, turn: int, call: int = 0, *, purpose: str = "turn") -> About:
        """Which generation this is."""
        rules = self.rules
        return About(
            run=rules.run,
            conversation=rules.conversation,
            branch=rules.branch,
            turn=turn,
            call=call,
            speaker=speaker,
            profile=self.profile_digest(speaker) if speaker in self.participants else "",
            purpose=purpose,
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """One generation about to be made; `capped` when an allowance lowered its max_tokens."""

    request: Request
    digest: str
    capped: bool = False
    dropped: Ranges = ()
    trail: Trail = Trail()


def seen(transcript: Transcript, speaker: str, as_of: int) -> Transcript:
    """What a turn is made from: the first `as_of` messages, and the summaries made for this very turn."""
    late = [
        m for m in transcript.messages[as_of:] if m.stands_for and m.as_of == as_of and m.heard_by(speaker)
    ]
    return transcript.up_to(as_of).append(*late)


async def ask(
    table: Table,
    turn: Turn,
    messages: Transcript,
    as_of: int,
    allowance: Allowance,
    *,
    trail: Trail | None = None,
) -> Ask | NeedsSummary:
    """The request of `turn` over `messages` and its own `trail`, fitted; or the range to be summarised first."""
    profile, rules = table.participants[turn.speaker].profile, table.rules
    card = await table.backend.describe(profile.model)
    trail = trail or begun(turn, profile)
    bare = bare_request(table, turn, messages, as_of, allowance, trail=trail)
    capped = bare.sampling is not profile.sampling

    def build(dropped: Ranges) -> tuple[Line, ...]:
        return lines_of(table, turn, messages, dropped, trail=trail, as_of=as_of)

    whole = turn.view is not None or isinstance(rules.fit, Fail)
    may_go = () if whole else droppable(messages.messages, turn.speaker, rules.view.moderator)
    room = limits(
        rules.fit, turn.speaker, card.context_window, bare.sampling.max_tokens, card.preamble_tokens
    )
    fitted = await _fitted(table, bare, room, may_go, build)
    if isinstance(fitted, NeedsSummary):
        return fitted
    if fitted.dropped:
        table.emit(ViewCut(about=bare.about, dropped=fitted.dropped))
    request = msgspec.structs.replace(bare, lines=fitted.lines)
    if turn.view is None:  # the lines of a view that a protocol gave are new in every turn
        table.namers.setdefault(turn.speaker, Namer()).name(request)
    return Ask(request, request.digest, capped, fitted.dropped, trail)


def lines_of(
    table: Table, turn: Turn, messages: Transcript, dropped: Ranges, *, trail: Trail, as_of: int
) -> tuple[Line, ...]:
    """What the speaker sees of `messages`, less what a fit left out, or the view the protocol gave; then its trail."""
    rules = table.rules
    speaker = table.participants[turn.speaker]
    own = tuple(line for m in trail.messages for line in trail_lines(m, as_of, turn.speaker, current=True))
    if trail.cue:
        own += (cue_line(speaker, table.roster, rules.view, trail.cue),)
    if turn.view is not None:
        return (*turn.view, *own)
    seen_lines = view(
        messages,
        speaker,
        table.roster,
        rules.view,
        turn.cue,
        dropped=dropped,
        marker=rules.fit.marker,
        memo=table.memos.setdefault(turn.speaker, {}),
    )
    return (*seen_lines, *own)


def bare_request(
    table: Table,
    turn: Turn,
    messages: Transcript,
    as_of: int,
    allowance: Allowance,
    *,
    trail: Trail,
) -> Request:
    """The request of a turn, without its lines."""
    participant, rules = table.participants[turn.speaker], table.rules
    profile = participant.profile
    sampling = profile.sampling
    if allowance.max_tokens is not None and allowance.max_tokens < sampling.max_tokens:
        sampling = msgspec.structs.replace(sampling, max_tokens=allowance.max_tokens)
    tools = profile.tools if turn.tools is None else tuple(t for t in profile.tools if t.name in turn.tools)
    return Request(
        model=profile.model,
        lines=(),
        sampling=sampling,
        seed=turn_seed(
            _seed_key(rules, sampling, turn), 0 if turn.mark else as_of, turn.speaker, call=trail.call
        ),
        seed_required=sampling.seed is not None,
        speaker=turn.speaker,
        turn=as_of,
        interventions=profile.interventions,
        captures=rules.captures_of(turn.speaker),
        history=profile.history,
        past=past_turns(messages.messages, profile, turn.speaker),
        tools=tools,
        tool_choice=trail.tool_choice if tools else "auto",
        force=turn.force,
        choices=turn.choices,
        logprobs=rules.logprobs,
        stop_after=allowance.stop_after,
        date=rules.date,
        about=table.about(
            turn.speaker, as_of, trail.call, purpose="tool" if trail.call else purpose_of(turn, rules)
        ),
    )


def purpose_of(turn: Turn, rules: Rules) -> str:
    """What a turn's generation is for."""
    return rules.purpose if turn.mark is None else turn.mark.name


def _seed_key(rules: Rules, sampling: Sampling, turn: Turn) -> SeedKey:
    key = with_root(rules.seed_key, sampling.seed)
    return key if turn.mark is None else (*key, turn.mark.name, turn.mark.note)


def past_turns(messages: Sequence[Message], profile: Profile, speaker: str) -> tuple[PastTurn, ...]:
    """What the speaker's own sampled turns were made with, under `history="keep"`."""
    if profile.history != "keep":
        return ()
    return tuple(
        PastTurn(turn=i, interventions=m.provenance.interventions, gates=m.provenance.gates)
        for i, m in enumerate(messages)
        if m.author == speaker and m.provenance is not None and m.provenance.interventions
    )


async def _fitted(
    table: Table, bare: Request, room: Limits, may_go: Ranges, build: Callable[[Ranges], tuple[Line, ...]]
) -> Fitted | NeedsSummary:
    """Drive the pure fit: measure each view it proposes with the backend's own rendering."""
    tools = bare.tools if bare.force is None else (*bare.tools, bare.force)
    search = fit(table.rules.fit, room, may_go, build, tools=tools)
    try:
        lines = next(search)
        while True:
            prompt = await table.backend.render(msgspec.structs.replace(bare, lines=lines))
            lines = search.send(prompt.tokens)
    except StopIteration as done:
        result: Fitted | NeedsSummary = done.value
        return result
