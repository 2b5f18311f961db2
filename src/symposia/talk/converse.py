"""The one loop: until, protocol, turns, append, emit. A first run, a resume, a branch and a replay are this call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from symposia.core.drift import Drift, crossings
from symposia.core.errors import InvalidInput, SymposiaError, TurnFailed
from symposia.core.events import (
    ConversationStarted,
    ConversationStopped,
    DriftCrossed,
    Emit,
    Event,
    TurnDenied,
    TurnLost,
    TurnTaken,
)
from symposia.core.message import Message
from symposia.core.profile import Participant, check_roster
from symposia.core.request import About, Backend
from symposia.core.transcript import Transcript

from .ask import Table, purpose_of
from .boundary import cause_of, contained, misconfigured, refuses
from .fit import Summarise
from .hooks import JudgeHook
from .protocols import Step, Stop, Turn, TurnProtocol, check_step
from .round import CutRound, cut_round, tally_of
from .rules import Kit, Outcome, Rules
from .stop import FREE, Allowance, Cost, Share, StopString, conditions
from .summary import FUNCTION
from .turn import Taken, abstention, take_turn


def discard(event: Event) -> None:
    """An `emit` that keeps nothing."""


async def converse(
    protocol: TurnProtocol,
    participants: Sequence[Participant],
    backend: Backend,
    *,
    transcript: Transcript = Transcript(),
    emit: Emit = discard,
    rules: Rules = Rules(),
    kit: Kit = Kit(),
) -> Outcome:
    """Take turns until `rules.until` holds or the protocol stops.

    Raises `TurnFailed` when a turn leaves no text (everything committed before is in its transcript and was emitted);
    `UnsupportedRequest`, `ContextOverflow`, `TemplateError` or `InvalidInput` when a request is refused as it stands.
    Cancelling commits nothing of the round under way.
    """
    check_roster(participants, rules.view.moderator)
    sink = Sink(emit)
    table = Table({p.name: p for p in participants}, backend, rules, kit, sink)
    check_setting(table)
    if rules.until is not None and any(isinstance(c, Cost) for c in conditions(rules.until)):
        check_costs(transcript)
    emit(
        ConversationStarted(
            about=table.about("", len(transcript)), messages=len(transcript), participants=table.roster
        )
    )
    loop = _Loop(table, sink, protocol, transcript)
    stop = await loop.run()
    emit(
        ConversationStopped(
            about=table.about("", len(loop.transcript)), reason=stop.reason, ok=stop.ok, tally=loop.tally
        )
    )
    return Outcome(loop.transcript, stop, loop.tally)


def check_setting(table: Table) -> None:
    """Refuse, before anything runs, names that nobody has and costs that nobody knows."""
    rules, kit = table.rules, table.kit
    for participant in table.participants.values():
        kit.tools.check(participant)
        if participant.profile.sampling.max_tokens < 1:
            raise InvalidInput(f"{participant.name}: max_tokens must be at least 1 for a turn; 0 is a read")
    _check_names(table)
    if any(isinstance(c, Cost) for c in conditions(rules.until)):
        unpriced = {p.profile.model for p in table.participants.values()} - set(kit.prices)
        if unpriced:
            raise InvalidInput(
                f"a cost limit needs a price for {', '.join(sorted(unpriced))}; add it to prices"
            )


def _check_names(table: Table) -> None:
    """Everyone whom a fit, a hook, a stop condition or a meter names takes part."""
    rules = table.rules
    if isinstance(rules.fit, Summarise) and not rules.fit.by.startswith(FUNCTION):
        table.participant(rules.fit.by)
    elif isinstance(rules.fit, Summarise):
        table.summariser(rules.fit.by.removeprefix(FUNCTION))
    for hook in table.kit.hooks:
        if isinstance(hook, JudgeHook):
            table.participant(hook.participant)
    for condition in conditions(rules.until):
        if isinstance(condition, StopString) and condition.by is not None:
            table.participant(condition.by)
    for meter in rules.metered:
        for name in meter.speakers:
            table.participant(name)


def check_costs(transcript: Transcript) -> None:
    """Refuse a cost limit over turns whose cost nobody knows: they would count as free."""
    for index, message in enumerate(transcript.messages):
        if message.provenance is not None and message.provenance.usage.cost_usd is None:
            raise InvalidInput(
                f"a cost limit needs known costs, but message {index} by {message.author!r} has none"
            )


class Sink:
    """An `emit` that remembers its first error: a turn's error boundary may not turn it into a failed turn."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._error: BaseException | None = None

    def __call__(self, event: Event) -> None:
        try:
            self._emit(event)
        except BaseException as error:
            self._error = self._error or error
            raise

    def check(self) -> None:
        """Raise what the `emit` raised, if it did: the conversation stops."""
        if self._error is not None:
            raise self._error


class _Loop:
    """The transcript so far and what it has used; everything else is decided by pure functions of these."""

    def __init__(self, table: Table, sink: Sink, protocol: TurnProtocol, transcript: Transcript) -> None:
        self.table, self.sink, self.protocol, self.transcript = table, sink, protocol, transcript
        self.tally = tally_of(transcript)
        self._began = table.kit.clock.monotonic()

    async def run(self) -> Stop:
        while True:
            self._clock()
            step = self._step()
            if isinstance(step, Stop):
                return step
            await self._round(step)

    def _step(self) -> Step:
        """What comes next. `until` is asked before a round, so a cut one is completed even if it holds by now."""
        until = self.table.rules.until
        reason = None if until is None else until.check(self.transcript, self.tally)
        if until is not None and reason is not None:
            cut = self._cut(self.protocol.next(self.transcript))
            if cut is None or until.check(cut.before, cut.tally) is not None:
                return Stop(reason)
        return check_step(
            self.protocol.next(self.transcript), self.table.roster, self.table.rules.view.moderator
        )

    def _cut(self, step: Step) -> CutRound | None:
        return cut_round(self.protocol, self.transcript, step, self.tally.elapsed_s)

    def _clock(self) -> None:
        if self.table.rules.until is not None:
            elapsed = self.table.kit.clock.monotonic() - self._began
            self.tally = msgspec.structs.replace(self.tally, elapsed_s=elapsed)

    async def _round(self, turns: tuple[Turn, ...]) -> None:
        """Play the turns side by side; commit those that finished in the protocol's order; raise the first failure."""
        allowances = self._allowances(turns)
        if len(turns) == 1:
            results = [await self._attempt(turns[0], allowances[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._attempt(t, a)) for t, a in zip(turns, allowances, strict=True)
                ]
            results = [task.result() for task in tasks]
        self.sink.check()
        failures: list[tuple[Turn, SymposiaError]] = []
        as_of = len(self.transcript)
        for turn, result in zip(turns, results, strict=True):
            if isinstance(result, Taken):
                self._commit(turn, result)
            elif turn.on_failure == "abstain" and not misconfigured(result):
                self._abstain(turn, as_of, result)
            else:
                failures.append((turn, result))
        if failures:
            self._fail(failures)

    async def _attempt(self, turn: Turn, allowance: Allowance) -> Taken | SymposiaError:
        """The turn, or the error it ended with: a value, so that its neighbours finish."""
        transcript = self.transcript
        try:
            return await contained(
                "engine_error", turn.speaker, lambda: take_turn(self.table, turn, transcript, allowance)
            )
        except SymposiaError as error:
            return error

    def _allowances(self, turns: tuple[Turn, ...]) -> list[Allowance]:
        """What each turn may use; in a cut round, what it could have used in the uncut one."""
        until = self.table.rules.until
        if until is None:
            return [FREE] * len(turns)
        cut = self._cut(turns) or CutRound(self.transcript, self.tally, len(turns))
        return [
            FREE
            if turn.say is not None
            else until.allowance(cut.before, cut.tally, Share(turn.speaker, cut.together))
            for turn in turns
        ]

    def _commit(self, turn: Turn, taken: Taken) -> None:
        before = len(self.transcript)
        self.transcript = self.transcript.append(*taken.messages)
        last = taken.messages[-1]
        self.tally = msgspec.structs.replace(
            self.tally,
            turns=self.tally.turns + sum(m.took_turn() for m in taken.messages),
            denied=self.tally.denied + last.is_control,
            usage=self.tally.usage + taken.usage,
        )
        event = _event(self.table, turn, taken, last)
        self.table.emit(event)
        for meter in self.table.rules.metered:
            for one in crossings(self.transcript, meter):
                if one.turn >= before:
                    self.table.emit(_crossed(event.about, one, meter.limit))

    def _abstain(self, turn: Turn, as_of: int, error: SymposiaError) -> None:
        """A turn that failed where its protocol goes on: told, counted, and marked in the transcript."""
        at, cause = as_of if turn.as_of is None else turn.as_of, cause_of(error)
        about = self.table.about(turn.speaker, at, purpose=purpose_of(turn, self.table.rules))
        self.table.emit(TurnLost(about=about, cause=cause, message=str(error)))
        counts = Counter(dict(self.tally.failures))
        counts[cause] += 1
        self.tally = msgspec.structs.replace(self.tally, failures=tuple(sorted(counts.items())))
        self._commit(turn, abstention(turn, at, cause))

    def _fail(self, failures: list[tuple[Turn, SymposiaError]]) -> None:
        at = len(self.transcript)
        for turn, error in failures:
            about = self.table.about(
                turn.speaker,
                at if turn.as_of is None else turn.as_of,
                purpose=purpose_of(turn, self.table.rules),
            )
            self.table.emit(TurnLost(about=about, cause=cause_of(error), message=str(error)))
        turn, error = failures[0]
        cause = cause_of(error)
        counts = Counter(dict(self.tally.failures))
        counts.update(cause_of(e) for _, e in failures)
        self.tally = msgspec.structs.replace(self.tally, failures=tuple(sorted(counts.items())))
        self.table.emit(
            ConversationStopped(about=self.table.about("", at), reason=cause, ok=False, tally=self.tally)
        )
        if refuses(error):
            raise error
        raise TurnFailed(
            str(error), cause=cause, speaker=turn.speaker, turn=at, transcript=self.transcript
        ) from error


def _crossed(about: About, one: Drift, limit: float) -> DriftCrossed:
    assert one.z is not None
    return DriftCrossed(
        about=about,
        speaker=one.speaker,
        turn=one.turn,
        name=one.name,
        vector=one.vector,
        z=one.z,
        limit=limit,
    )


def _event(table: Table, turn: Turn, taken: Taken, last: Message) -> TurnTaken | TurnDenied:
    about = table.about(turn.speaker, last.as_of or 0, purpose=purpose_of(turn, table.rules))
    if last.is_control:
        return TurnDenied(about=about, message=last, before=taken.messages[:-1], usage=taken.usage)
    made = [m.provenance for m in taken.messages if m.provenance is not None and m.stands_for is None]
    return TurnTaken(
        about=about,
        messages=taken.messages,
        usage=taken.usage,
        receipts=tuple(receipt for one in made for receipt in one.receipts),
        readouts=tuple(readout for one in made for readout in one.readouts),
    )
