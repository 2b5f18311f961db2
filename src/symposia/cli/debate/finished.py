"""Debates that were held, opened again from their run folder, with the journal before the backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from symposia.backends import Journal, Journalled
from symposia.cli.endpoints import backend_for_addresses
from symposia.cli.world import World
from symposia.core.errors import InvalidInput, UnknownName
from symposia.evals.replay.replaying import Held
from symposia.talk.debate.stored import DEBATE, StoredDebate, load_debate, load_transcript
from symposia.talk.rules import Kit


@dataclass(frozen=True)
class Finished:
    """The debates of a run by their ids, each as it was held."""

    debates: dict[str, Held]
    backend: Journalled

    def one(self, name: str | None) -> Held:
        """The debate of that id; the only one if none is named."""
        if name is None and len(self.debates) == 1:
            return next(iter(self.debates.values()))
        if name is None:
            raise InvalidInput(f"the run holds {len(self.debates)} debates; name one with --debate ID")
        if name not in self.debates:
            raise UnknownName("debate", name, self.debates)
        return self.debates[name]


@contextmanager
def finished(run: Path, world: World) -> Iterator[Finished]:
    """The debates of a run folder that ended. `InvalidInput` says what the folder lacks."""
    stored = stored_debates(run)
    with Journal.open(run) as journal:
        backend = Journalled(backend_for_addresses(world.env, Path()), journal, clock=world.clock)
        kit = Kit(clock=world.clock)
        held = {
            one.id: Held(one.debate, load_transcript(folder), backend, one.rules, kit)
            for folder, one in stored
        }
        yield Finished(held, backend)


def stored_debates(run: Path) -> list[tuple[Path, StoredDebate]]:
    """Every debate of a run folder, and where it is: the folder itself, or each below `debates`."""
    if (run / DEBATE).exists():
        return [(run, load_debate(run))]
    below = sorted(path.parent for path in (run / "debates").glob(f"*/{DEBATE}"))
    if not below:
        raise InvalidInput(
            f"{run}: expected the folder of a debate, with {DEBATE}, or of several; there is none"
        )
    return [(folder, load_debate(folder)) for folder in below]
