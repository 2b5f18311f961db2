"""`symposia chat`: talk with one model, or watch several and speak when you like."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.profile import Sampling

    from .chatting import Chat

BUNDLED = "symposia:tiny"
_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


@dataclass(frozen=True)
class ChatOptions:
    """The flags of `symposia chat`."""

    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help=f"Model addresses; {BUNDLED} if none is given."),
    ] = None
    system: Annotated[str | None, typer.Option(help="System text of every model.")] = None
    steer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VECTOR:SCALE", help="Add a vector (file, digest) at a scale; @3,4 picks layers."
        ),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10,
            help="0 is greedy; 0.8 for local models if not given, 1 for hosted ones.",
            show_default=False,
        ),
    ] = None
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply.")] = 256
    seed: Annotated[int, typer.Option(help="The root of all randomness.")] = 0


def chat(asked: ChatOptions) -> int:
    """Talk with a model; with several, watch them and speak if you like. /help says what else there is."""
    from .exits import terminable

    world = this_world()

    def work() -> int:
        with terminable():
            return _chat(asked, world)

    return guarded(world, work)


def _chat(asked: ChatOptions, world: World) -> int:
    from symposia.core.profile import Participant, Profile
    from symposia.facade import Conversation
    from symposia.talk import portal
    from symposia.talk.rules import Kit
    from symposia.talk.scenario import Scenario

    from .chatting import Chat
    from .endpoints import backend_for_names, closing
    from .preflight import preflight
    from .steering import steering

    models = asked.models or [BUNDLED]
    interventions = tuple(steering(text) for text in asked.steer or ())
    seats = tuple(
        Participant(
            name=name,
            profile=Profile(
                model=model,
                system=asked.system,
                sampling=_sampling(asked, model),
                interventions=interventions,
            ),
        )
        for name, model in zip(_names(models), models, strict=True)
    )
    scenario = Scenario(name="chat", participants=seats, seed=asked.seed)
    backend = backend_for_names(world.env)
    conversation = Conversation(scenario=scenario, backend=backend, kit=Kit(clock=world.clock))
    with closing(backend):
        portal.call(preflight(conversation, backend))
        talk = Chat(conversation, world)
        talk.greet()
        return _read(talk, world)


def _sampling(asked: ChatOptions, model: str) -> Sampling:
    """As asked; where nothing was said, hosted models keep the neutral temperature that all of them take."""
    from symposia.backends.endpoints import HOSTED
    from symposia.core.models import resolve
    from symposia.core.profile import Sampling

    usual = 1.0 if resolve(model, HOSTED).source == "endpoint" else 0.8
    warm = usual if asked.temperature is None else asked.temperature
    return Sampling(temperature=warm, max_tokens=asked.max_tokens)


def _read(talk: Chat, world: World) -> int:
    """Line after line until the end; 1 if a line of a script failed."""
    failed = False
    for line in _lines(world):
        failed = not talk.take(line) or failed
        if talk.over:
            break
    talk.part()
    return int(failed and not sys.stdin.isatty())


def _lines(world: World) -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    import readline  # noqa: F401  gives input() editing and history

    while True:
        try:
            yield input("› ")
        except EOFError:
            world.out.line()
            return
        except KeyboardInterrupt as error:
            if type(error) is not KeyboardInterrupt:  # SIGTERM
                raise
            world.out.line("(/quit leaves)", "dim")


def _names(models: list[str]) -> list[str]:
    """One model is called by its own name; several are people."""
    if len(models) == 1:
        own = models[0].partition("?")[0].rstrip("/").rpartition("/")[2].rpartition(":")[2]
        return [own if own[:1].isalpha() and own not in ("you", "system", "tool", "moderator") else "model"]
    return [_NAMES[i] if i < len(_NAMES) else f"guest {i + 1}" for i in range(len(models))]
