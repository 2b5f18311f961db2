"""One debate from the command line: assembled, checked, held, kept, shown.

With a run folder every completion is journalled, so the same command again asks only for what is missing; when nothing
is, the stored result is printed as it is.
"""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from symposia.backends import Endpoints, Journal, Journalled
from symposia.cli.endpointfile import read_endpoints
from symposia.cli.endpoints import backend_for_addresses
from symposia.cli.exits import DONE, ENDPOINT
from symposia.cli.outdir import differences
from symposia.cli.world import World
from symposia.core.errors import InvalidInput
from symposia.core.events import TurnLost
from symposia.core.files import write_atomic
from symposia.core.request import Backend
from symposia.core.transcript import Transcript
from symposia.core.value import decode
from symposia.talk import portal
from symposia.talk.debate import read_answer
from symposia.talk.debate.events import SeatAbstained, Tell, Told
from symposia.talk.debate.hold import Held, hold, nobody, prepared
from symposia.talk.debate.stored import (
    ANSWER,
    DEBATE,
    EVENTS,
    TRANSCRIPT,
    StoredDebate,
    load_debate,
    load_transcript,
)
from symposia.talk.rules import Kit
from symposia.talk.tools import ToolBox

from .assemble import Assembled, assemble, question_of
from .log import Log
from .options import DebateOptions
from .report import BaselineReport, DebateReport, exit_of, report
from .show import show


def sit(asked: DebateOptions, world: World) -> int:
    """Hold it; the exit code. Raises what was refused before any call."""
    question = question_of(asked)
    declared = read_endpoints(asked.endpoints)
    backend = backend_for_addresses(
        world.env, Path(), declared=declared, rpm=asked.rpm, tpm=asked.tpm, flying=asked.concurrency
    )
    made, stored = portal.call(_stored(asked, question, backend))
    sitting = _Sitting(asked, world, stored, backend, made.tools)
    if asked.out is None:
        done = portal.call(sitting.hold(backend, nobody))
        return _show(sitting.result, done, asked, world)
    known = _known(asked.out, stored)
    if known is not None and (known.baselines or not asked.baseline):
        world.err.line(f"0 new calls; kept in {asked.out}", "dim")
        return _show(known, _held(load_debate(asked.out), load_transcript(asked.out)), asked, world)
    return sitting.keep(asked.out)


async def _stored(asked: DebateOptions, question: str, backend: Endpoints) -> tuple[Assembled, StoredDebate]:
    """What the flags ask for, as its models can hold it."""
    made = await assemble(asked, backend)
    if made.vectors:
        from symposia.facade import engines

        for vector in made.vectors:
            engines().library.add(vector)
    for participant in made.debate.participants:
        await backend.ready(participant.profile.model)
    debate = await prepared(made.debate, backend, prompts=asked.prompts)
    return made, StoredDebate(question=question, debate=debate, seed=asked.seed)


class _Sitting:
    """One debate under way; `result` once it has been held."""

    def __init__(
        self, asked: DebateOptions, world: World, stored: StoredDebate, backend: Endpoints, tools: ToolBox
    ) -> None:
        self._asked, self._world, self._stored, self._backend = asked, world, stored, backend
        self._kit = Kit(clock=world.clock, tools=tools)
        self.result: DebateReport

    def keep(self, folder: Path) -> int:
        """Hold it in its folder. A result that may still change is not stored."""
        self._stored.save(folder)
        world = self._world
        with Journal.open(folder) as journal, Log(folder / EVENTS, world.clock, world.redactor) as log:
            journalled = Journalled(self._backend, journal, clock=world.clock)
            held = portal.call(self.hold(journalled, log.tell))
        replace(self._stored, debate=held.debate).save(folder)
        held.transcript.save(folder / TRANSCRIPT)
        if exit_of(self.result) != ENDPOINT:
            write_atomic(folder / ANSWER, self.result.encode())
        world.err.line(f"{journalled.calls} new calls; kept in {folder}", "dim")
        return _show(self.result, held, self._asked, world)

    async def hold(self, backend: Backend, tell: Tell) -> Held:
        """The debate, and the baselines if they were asked for; connections are closed after them."""
        stored, kit = self._stored, self._kit

        def told(event: Told) -> None:
            tell(event)
            self._tell(event)

        async with aclosing(self._backend):
            held = await hold(stored.question, stored.debate, backend, rules=stored.rules, kit=kit, tell=told)
            beside: tuple[BaselineReport, ...] = ()
            if self._asked.baseline:
                from .baselines import baselines

                beside = await baselines(held, stored.question, backend, kit)
            self.result = report(held, beside)
            return held

    def _tell(self, event: Told) -> None:
        err = self._world.err
        if isinstance(event, TurnLost):
            err.line(f"{event.about.speaker}: {event.cause}: {event.message}", "yellow")
        elif isinstance(event, SeatAbstained):
            err.line(f"round {event.round}: {event.seat} abstains ({event.cause})", "yellow")


def _held(stored: StoredDebate, transcript: Transcript) -> Held:
    """A debate that was held before. How its captain was asked shows in what was said."""
    return Held(stored.debate, transcript, read_answer(transcript, stored.debate))


def _known(folder: Path, stored: StoredDebate) -> DebateReport | None:
    """The stored result of this very debate; `InvalidInput` if the folder holds another one."""
    if not (folder / DEBATE).exists():
        return None
    there = _as_asked(load_debate(folder))
    if there != _as_asked(stored):
        fields = differences(msgspec.to_builtins(there), msgspec.to_builtins(_as_asked(stored)))
        raise InvalidInput(
            f"{folder} holds another debate; it differs in {'; '.join(fields)}. Choose another folder"
        )
    path = folder / ANSWER
    return decode(path.read_bytes(), DebateReport, str(path)) if path.exists() else None


def _as_asked(stored: StoredDebate) -> StoredDebate:
    """Without what may have turned out only on the way: how the captain had to be asked."""
    return replace(stored, debate=replace(stored.debate, captain_by="tool"))


def _show(done: DebateReport, held: Held | None, asked: DebateOptions, world: World) -> int:
    if asked.json:
        world.out.piece(done.encode().decode())
    elif done.answer is not None:
        world.out.line(done.answer)
    show(done, held, world.err, verbose=asked.verbose)
    code = exit_of(done)
    if code == ENDPOINT:
        way = "run the same command again to go on" if asked.out else "with --out RUN it can be gone on with"
        world.err.line(f"paused: the provider of every seat is down; {way}")
    elif code != DONE:
        world.err.line(f"no answer: {done.reason}")
    return code
