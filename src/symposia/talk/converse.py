"""The one loop: until, protocol, turns, append, emit. A first run, a resume, a branch and a replay are this call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from symposia.core.errors import InvalidInput, SymposiaError, TurnFailed
from symposia.core.events import (
    ConversationStarted,
    ConversationStopped,
    Emit,
    Event,
    Tally,
    TurnDenied,
    TurnLost,
    TurnTaken,
)
from symposia.core.message import Message
from symposia.core.profile import Participant, check_roster
from symposia.core.request import Backend
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING

from .ask import Table
from .boundary import cause_of, guarded, refuses
from .fit import Summarise
from .hooks import JudgeHook
from .protocols import Stop, Turn, TurnProtocol, check_step
from .rules import Kit, Outcome, Rules
from .stop import FREE, Allowance, Cost, Share, conditions
from .summary import FUNCTION
from .turn import Taken, take_turn


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
    table = Table({p.name: p for p in participants}, backend, rules, kit, emit)
    check_setting(table)
    emit(ConversationStarted(about=table.about("", len(transcript)), messages=len(transcript), participants=table.roster))
    loop = _Loop(table, protocol, transcript)
    stop = await loop.run()
    emit(ConversationStopped(about=table.about("", len(loop.transcript)), reason=stop.reason, ok=stop.ok, tally=loop.tally))
    return Outcome(loop.transcript, stop, loop.tally)


def check_setting(table: Table) -> None:
    """Refuse, before anything runs, names that nobody has and costs that nobody knows."""
    rules, kit = table.rules, table.kit
    for participant in table.participants.values():
        if participant.profile.tools:
            names = ", ".join(t.name for t in participant.profile.tools)
            raise InvalidInput(f"{participant.name} has tools ({names}), but this version runs none; remove them")
        if participant.profile.sampling.max_tokens < 1:
            raise InvalidInput(f"{participant.name}: max_tokens must be at least 1 for a turn; 0 is a read")
    if isinstance(rules.fit, Summarise) and not rules.fit.by.startswith(FUNCTION):
        table.participant(rules.fit.by)
    elif isinstance(rules.fit, Summarise):
        table.summariser(rules.fit.by.removeprefix(FUNCTION))
    for hook in kit.hooks:
        if isinstance(hook, JudgeHook):
            table.participant(hook.participant)
    if any(isinstance(c, Cost) for c in conditions(rules.until)):
        unpriced = {p.profile.model for p in table.participants.values()} - set(kit.prices)
        if unpriced:
            raise InvalidInput(f"a cost limit needs a price for {', '.join(sorted(unpriced))}; add it to prices")


def tally_of(transcript: Transcript, elapsed_s: float = 0.0) -> Tally:
    """What a transcript says was used: turns, denials, and the usage its provenances record."""
    usage, turns, denied = NOTHING, 0, 0
    for message in transcript.messages:
        if message.provenance is not None:
            usage = usage + message.provenance.usage
        turns += message.took_turn()
        denied += message.is_control
    return Tally(turns=turns, denied=denied, usage=usage, elapsed_s=elapsed_s)


class _Loop:
    """The transcript so far and what it has used; everything else is decided by pure functions of these."""

    def __init__(self, table: Table, protocol: TurnProtocol, transcript: Transcript) -> None:
        self.table, self.protocol, self.transcript = table, protocol, transcript
        self.tally = tally_of(transcript)
        self._began = table.kit.clock.monotonic()

    async def run(self) -> Stop:
        until = self.table.rules.until
        while True:
            self._clock()
            reason = until.check(self.transcript, self.tally) if until is not None else None
            if reason is not None:
                return Stop(reason)
            step = check_step(self.protocol.next(self.transcript), self.table.roster, self.table.rules.view.moderator)
            if isinstance(step, Stop):
                return step
            await self._round(step)

    def _clock(self) -> None:
        if self.table.rules.until is not None:
            elapsed = self.table.kit.clock.monotonic() - self._began
            self.tally = msgspec.structs.replace(self.tally, elapsed_s=elapsed)

    async def _round(self, turns: tuple[Turn, ...]) -> None:
        """Play the turns side by side; commit the finished ones in the protocol's order, then raise the first failure."""
        allowances = [self._allowance(turn, len(turns)) for turn in turns]
        if len(turns) == 1:
            results: list[Taken | BaseException] = [await self._attempt(turns[0], allowances[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._attempt(t, a)) for t, a in zip(turns, allowances, strict=True)]
            results = [task.result() for task in tasks]
        failures: list[tuple[Turn, SymposiaError]] = []
        for turn, result in zip(turns, results, strict=True):
            if isinstance(result, Taken):
                self._commit(turn, result)
            elif isinstance(result, SymposiaError):
                failures.append((turn, result))
        if failures:
            self._fail(failures)

    async def _attempt(self, turn: Turn, allowance: Allowance) -> Taken | SymposiaError:
        """The turn, or the error it ended with: a value, so that its neighbours finish."""
        transcript = self.transcript
        try:
            return await guarded("engine_error", turn.speaker, lambda: take_turn(self.table, turn, transcript, allowance))
        except SymposiaError as error:
            return error

    def _allowance(self, turn: Turn, together: int) -> Allowance:
        """What the turn may use, decided from what its speaker sees, so that a completed round equals an uncut one."""
        until = self.table.rules.until
        if until is None or turn.say is not None:
            return FREE
        as_of = len(self.transcript) if turn.as_of is None else turn.as_of
        if as_of >= len(self.transcript):
            return until.allowance(self.transcript, self.tally, Share(turn.speaker, together))
        earlier = self.transcript.up_to(as_of)
        whole = self.protocol.next(earlier)
        together = len(whole) if isinstance(whole, tuple) else together
        return until.allowance(earlier, tally_of(earlier, self.tally.elapsed_s), Share(turn.speaker, together))

    def _commit(self, turn: Turn, taken: Taken) -> None:
        self.transcript = self.transcript.append(*taken.messages)
        last = taken.messages[-1]
        self.tally = msgspec.structs.replace(
            self.tally,
            turns=self.tally.turns + sum(m.took_turn() for m in taken.messages),
            denied=self.tally.denied + last.is_control,
            usage=self.tally.usage + taken.usage,
        )
        self.table.emit(_event(self.table, turn, taken, last))

    def _fail(self, failures: list[tuple[Turn, SymposiaError]]) -> None:
        at = len(self.transcript)
        for turn, error in failures:
            about = self.table.about(turn.speaker, at if turn.as_of is None else turn.as_of)
            self.table.emit(TurnLost(about=about, cause=cause_of(error), message=str(error)))
        turn, error = failures[0]
        cause = cause_of(error)
        self.table.emit(ConversationStopped(about=self.table.about("", at), reason=cause, ok=False, tally=self.tally))
        if refuses(error):
            raise error
        raise TurnFailed(str(error), cause=cause, speaker=turn.speaker, turn=at, transcript=self.transcript) from error


def _event(table: Table, turn: Turn, taken: Taken, last: Message) -> Event:
    about = table.about(turn.speaker, last.as_of or 0)
    if last.is_control:
        return TurnDenied(about=about, message=last, usage=taken.usage)
    made = last.provenance
    return TurnTaken(
        about=about,
        messages=taken.messages,
        usage=taken.usage,
        receipts=made.receipts if made else (),
        readouts=made.readouts if made else (),
    )


