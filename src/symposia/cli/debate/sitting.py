"""One debate from the command line: assembled, checked, held, kept, shown.

With a run folder every completion is journalled, so the same command again asks only for what is missing; when nothing
is, the stored result is printed as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from symposia.backends import Endpoints, Journal, Journalled
from symposia.cli.endpoints import backend_for_addresses
from symposia.cli.exits import DONE, ENDPOINT
from symposia.cli.outdir import differences
from symposia.cli.world import World
from symposia.core.errors import InvalidInput
from symposia.core.events import TurnLost
from symposia.core.files import write_atomic
from symposia.core.request import Backend
from symposia.core.value import decode
from symposia.talk import portal
from symposia.talk.debate.events import SeatAbstained, Tell, Told
from symposia.talk.debate.hold import Held, hold, nobody, prepared
from symposia.talk.debate.stored import ANSWER, DEBATE, EVENTS, TRANSCRIPT, StoredDebate, load_debate
from symposia.talk.rules import Kit

from .assemble import Assembled, assemble, question_of
from .log import Log
from .options import DebateOptions
from .report import DebateReport, exit_of, report
from .show import show


def sit(asked: DebateOptions, world: World) -> int:
    """Hold it; the exit code. Raises what was refused before any call."""
    question = question_of(asked)
    backend = backend_for_addresses(world.env, Path(), rpm=asked.rpm, tpm=asked.tpm, flying=asked.concurrency)
    stored = portal.call(_stored(asked, question, backend))
    if asked.out is None:
        done = portal.call(_hold(stored, backend, backend, world, nobody))
        return _show(report(done), done, asked, world)
    known = _known(asked.out, stored)
    if known is not None:
        return _show(known, None, asked, world)
    return _kept(stored, backend, asked, world)


def _kept(stored: StoredDebate, backend: Endpoints, asked: DebateOptions, world: World) -> int:
    """Hold it in its folder. A result that may still change is not stored."""
    assert asked.out is not None
    stored.save(asked.out)
    with _folder(asked.out, world) as folder:
        journalled = Journalled(backend, folder.journal, clock=world.clock)
        held = portal.call(_hold(stored, journalled, backend, world, folder.log.tell))
        done = report(held)
        held.transcript.save(asked.out / TRANSCRIPT)
        code = exit_of(done)
        if code != ENDPOINT:
            write_atomic(asked.out / ANSWER, done.encode())
        world.err.line(f"{journalled.calls} new calls; kept in {asked.out}", "dim")
    return _show(done, held, asked, world)


@dataclass(frozen=True)
class _Folder:
    journal: Journal
    log: Log


@contextmanager
def _folder(path: Path, world: World) -> Iterator[_Folder]:
    with Journal.open(path) as journal, Log(path / EVENTS, world.clock, world.redactor) as log:
        yield _Folder(journal, log)


async def _stored(asked: DebateOptions, question: str, backend: Endpoints) -> StoredDebate:
    made = await assemble(asked, backend)
    _adopt(made)
    for participant in made.debate.participants:
        await backend.ready(participant.profile.model)
    debate = await prepared(made.debate, backend, prompts=asked.prompts)
    return StoredDebate(question=question, debate=debate, seed=asked.seed)


def _adopt(made: Assembled) -> None:
    """Vectors that profiles name by file become the local engine's."""
    if made.vectors:
        from symposia.facade import engines

        for vector in made.vectors:
            engines().library.add(vector)


async def _hold(stored: StoredDebate, backend: Backend, below: Endpoints, world: World, tell: Tell) -> Held:
    def told(event: Told) -> None:
        tell(event)
        if isinstance(event, TurnLost):
            world.err.line(f"{event.about.speaker}: {event.cause}: {event.message}", "yellow")
        elif isinstance(event, SeatAbstained):
            world.err.line(f"round {event.round}: {event.seat} abstains ({event.cause})", "yellow")

    kit = Kit(clock=world.clock)
    async with aclosing(below):
        return await hold(stored.question, stored.debate, backend, rules=stored.rules, kit=kit, tell=told)


def _known(folder: Path, stored: StoredDebate) -> DebateReport | None:
    """The stored result of this very debate; `InvalidInput` if the folder holds another one."""
    if not (folder / DEBATE).exists():
        return None
    there = load_debate(folder)
    if there != stored:
        fields = differences(msgspec.to_builtins(there), msgspec.to_builtins(stored))
        raise InvalidInput(
            f"{folder} holds another debate; it differs in {'; '.join(fields)}. Choose another folder"
        )
    path = folder / ANSWER
    return decode(path.read_bytes(), DebateReport, str(path)) if path.exists() else None


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
