"""A stored conversation or transcript as one of its speakers reads it: the request, and what one forward left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.world import World

if TYPE_CHECKING:
    from symposia.core.capture import Capture
    from symposia.core.positions import Positions
    from symposia.core.request import Completion, Request
    from symposia.engine import Engine
    from symposia.interp.readings import Token
    from symposia.talk.conversation import Conversation

FILE = Annotated[
    Path, typer.Argument(metavar="TRANSCRIPT", help="conversation.json, a transcript, or a run's folder.")
]
MODEL = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The local model that reads it.")]
AS = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Whose forward it is; by default the last speaker's."),
]
WHERE = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="SELECTOR", help="Which tokens: `prompt`, or author=bob,last=4 and so on."
    ),
]
JSON = Annotated[bool, typer.Option("--json", help="For programs.")]
HTML = Annotated[
    Path | None, typer.Option("--html", metavar="OUT", help="Write a page to read in a browser.")
]


def engine_of(model: str) -> Engine:
    """The engine of a local model. `UnsupportedRequest` for an endpoint."""
    from symposia.backends.endpoints import HOSTED
    from symposia.core.errors import UnsupportedRequest
    from symposia.core.models import resolve
    from symposia.facade import engines

    found = resolve(model, HOSTED)
    if found.source == "endpoint":
        raise UnsupportedRequest(
            endpoint=found.canonical, model=model, feature="lens", way_out="name a local model"
        )
    return engines().engine(found.canonical)


def opened(path: Path, model: str, name: str | None) -> tuple[Conversation, str]:
    """The conversation with every participant on `model`, and its reader."""
    from symposia.core.errors import InvalidInput, UnknownName

    conversation = _load(path, model)
    spoken = [m.author for m in conversation.transcript if m.author in conversation.scenario.names]
    if name is None and not spoken:
        raise InvalidInput(f"{path}: nobody has spoken; say whose reading it is with --as")
    reader = spoken[-1] if name is None else name
    if reader not in conversation.scenario.names:
        raise UnknownName("speaker", reader, conversation.scenario.names)
    return conversation, reader


def asked(path: Path, model: str, name: str | None) -> tuple[Request, str]:
    """The request of the last turn, and the text it was answered with. The reader must have said the last message."""
    from symposia.core.errors import InvalidInput

    conversation, reader = opened(path, model, name)
    last = conversation.transcript[-1]
    if last.author != reader:
        raise InvalidInput(
            f"{path}: expected the last message to be {reader}'s answer; it is {last.author}'s; end it with an "
            "answer, or say --as"
        )
    return _before_last(conversation, reader), last.text


def read(path: Path, model: str, name: str | None, captures: Sequence[Capture]) -> tuple[Engine, Completion]:
    """What one forward over the whole conversation leaves, as its reader."""
    import msgspec

    from symposia.core.profile import Sampling
    from symposia.interp.patch import Model
    from symposia.talk import portal

    engine = engine_of(model)
    request = msgspec.structs.replace(_whole(*opened(path, model, name)), sampling=Sampling(max_tokens=0))
    return engine, portal.call(Model(engine, engine.store).read(request, tuple(captures)))


def _whole(conversation: Conversation, reader: str) -> Request:
    """Everything said, as the reader's own last words left it."""
    import msgspec

    from symposia.core.lines import Line, Segment
    from symposia.core.message import Text

    last = conversation.transcript[-1]
    if last.author != reader or not all(isinstance(part, Text) for part in last.parts):
        return conversation.next_request(reader)
    before = _before_last(conversation, reader)
    segment = Segment(
        text=last.text,
        phase="answer",
        author=reader,
        turn=before.turn,
        origin=last.origin,
        token_ids=(last.provenance.token_ids if last.provenance else ()) or None,
    )
    own = Line(role="assistant", segments=(segment,), kind="turn")
    return msgspec.structs.replace(before, lines=(*before.lines, own))


def _before_last(conversation: Conversation, reader: str) -> Request:
    """The request that the last turn was made of."""
    before = conversation.branch()
    before.transcript = conversation.transcript.up_to(len(conversation.transcript) - 1)
    return before.next_request(reader)


def positions(text: str | None, otherwise: Positions) -> Positions:
    """A selector of the command line."""
    from symposia.core.selector import selection

    return otherwise if text is None else selection(text)


def told(world: World, value: object) -> None:
    """A result for programs."""
    world.out.piece(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def told_token(token: Token) -> dict[str, object]:
    """A token for programs."""
    span = token.span
    return {
        "position": token.position,
        "token_id": token.token_id,
        "text": token.text,
        "role": span.role,
        "author": span.author,
        "phase": span.phase,
        "turn": span.turn,
    }


def written(world: World, path: Path, page: str) -> None:
    """Write a page and say so."""
    from symposia.core.files import write_atomic

    write_atomic(path, page.encode())
    world.err.line(f"written {path}", "dim")


def _load(path: Path, model: str) -> Conversation:
    from symposia.cli.stored import file_of, is_transcript
    from symposia.core.profile import MODERATOR, Participant, Profile
    from symposia.core.transcript import Transcript
    from symposia.facade import Conversation

    path = file_of(path)
    if not is_transcript(path):
        stored = Conversation.load(path)
        return stored.set(participants={name: {"model": model} for name in stored.scenario.names})
    transcript = Transcript.load(path)
    names = dict.fromkeys(m.author for m in transcript if m.author not in ("system", MODERATOR))
    seats = [Participant(name=name, profile=Profile(model=model)) for name in names]
    return Conversation(seats, transcript=transcript)
