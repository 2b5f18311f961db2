"""Debates that were held, opened again from their run folder, with the journal before the backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from symposia.backends import Journal, Journalled
from symposia.cli.endpointfile import read_endpoints
from symposia.cli.endpoints import backend_for_addresses, closing
from symposia.cli.scoring.planned import toolbox
from symposia.cli.world import World
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.transcript import Transcript
from symposia.evals.kept import FILE, read_debates
from symposia.evals.replay.replaying import Held
from symposia.talk.debate import Debate
from symposia.talk.debate.stored import DEBATE, load_debate, load_transcript
from symposia.talk.rules import Kit, Rules


@dataclass(frozen=True)
class Finished:
    """The debates of a run by their ids, each as it was held."""

    debates: dict[str, Held]
    backend: Journalled
    endpoints: tuple[str, ...]

    def one(self, name: str | None) -> Held:
        """The debate of that id; the only one if none is named."""
        if name is None and len(self.debates) == 1:
            return next(iter(self.debates.values()))
        if name is None:
            raise InvalidInput(f"the run holds {len(self.debates)} debates; name one with --debate ID")
        if name not in self.debates:
            raise UnknownName("debate", name, self.debates)
        return self.debates[name]


@dataclass(frozen=True)
class Shown:
    """A debate of a run folder, as it was held, without anything to go on with it."""

    debate: Debate
    transcript: Transcript
    rules: Rules


@contextmanager
def finished(run: Path, world: World, endpoints: Path | None = None) -> Iterator[Finished]:
    """The debates of a run folder that ended; `endpoints` is a file of more. `InvalidInput`: what the folder lacks."""
    shown = debates_of(run)
    declared = read_endpoints(endpoints)
    asked = backend_for_addresses(world.env, Path(), declared=declared)
    with Journal.open(run) as journal, closing(asked):
        backend = Journalled(asked, journal, clock=world.clock)
        held = {
            name: Held(one.debate, one.transcript, backend, one.rules, _kit(one.debate, world))
            for name, one in shown.items()
        }
        yield Finished(held, backend, asked.names)


def debates_of(run: Path) -> dict[str, Shown]:
    """The debates of a run folder by their ids: the one it was made for, or all of an evaluation."""
    if (run / DEBATE).exists():
        one = load_debate(run)
        return {one.id: Shown(one.debate, load_transcript(run), one.rules)}
    kept = read_debates(run)
    if not kept:
        raise InvalidInput(
            f"{run}: expected the folder of a debate, with {DEBATE}, or of an evaluation, with {FILE}; there is none"
        )
    return {one.id: Shown(one.debate, one.transcript, one.rules) for one in kept}


def _kit(debate: Debate, world: World) -> Kit:
    return Kit(clock=world.clock, tools=toolbox(",".join(debate.tools) or None))
