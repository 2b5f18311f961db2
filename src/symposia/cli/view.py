"""`symposia view`: a stored conversation, as everyone, as one participant, or as the model will read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.transcript import Transcript
    from symposia.talk.conversation import Conversation


@dataclass(frozen=True)
class ViewOptions:
    """The flags of `symposia view`."""

    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="conversation.json, transcript.json, or a run's folder.")
    ]
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What this participant sees now.")
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="NAME", help="The exact prompt of their next turn, with its spans."),
    ] = None
    html: Annotated[
        Path | None, typer.Option("--html", metavar="OUT", help="Write a page to read in a browser.")
    ] = None


def view(asked: ViewOptions) -> int:
    """Show a stored conversation: whole, as one participant sees it, or as a rendered prompt."""
    world = this_world()
    return guarded(world, lambda: _view(asked, world))


def _view(asked: ViewOptions, world: World) -> int:
    from symposia.core.errors import InvalidInput
    from symposia.core.transcript import FORMAT

    path = asked.file / "conversation.json" if asked.file.is_dir() else asked.file
    only_transcript = _format(path) == FORMAT
    if only_transcript and (asked.as_ or asked.prompt):
        raise InvalidInput(f"{path} is a transcript, which has no participants; give a conversation.json")
    if only_transcript:
        from symposia.core.transcript import Transcript

        return _whole(Transcript.load(path), path, asked, world)
    conversation = _load(path)
    if asked.prompt is not None:
        from .spans import show_prompt

        show_prompt(world.out, conversation, asked.prompt)
        return 0
    if asked.as_ is not None:
        from .lines import show_lines

        show_lines(world.out, conversation.view(asked.as_))
        return 0
    return _whole(conversation.transcript, path, asked, world)


def _whole(transcript: Transcript, path: Path, asked: ViewOptions, world: World) -> int:
    from .screen import Screen

    if asked.html is not None:
        from html import escape

        from symposia.core.files import write_atomic

        head = f'<!doctype html><meta charset="utf-8"><title>{escape(path.stem)}</title>'
        write_atomic(asked.html, f"{head}\n{transcript.to_html()}\n".encode())
        world.err.line(f"written {asked.html}", "dim")
        return 0
    Screen(world.out, [m.author for m in transcript], numbered=True).begin(transcript)
    return 0


def _load(path: Path) -> Conversation:
    from functools import partial

    from symposia.core.errors import UnknownModel
    from symposia.core.models import resolve
    from symposia.facade import Conversation

    from .endpoints import Hosted, backend_for_names

    elsewhere = []
    for participant in Conversation.load(path).participants:
        try:
            resolve(participant.profile.model)
        except UnknownModel:  # an endpoint of the scenario file, which a conversation does not hold
            elsewhere.append(participant.profile.model.partition(":")[0])
    table = {name: partial(Hosted, name) for name in elsewhere}
    return Conversation.load(path, backend=backend_for_names(table))


def _format(path: Path) -> str:
    import msgspec

    from symposia.core.errors import UnsupportedFormat

    try:
        head = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise UnsupportedFormat(
            expected="a conversation or transcript", got=f"no JSON ({error})", path=str(path)
        ) from error
    return str(head.get("format", "")) if isinstance(head, dict) else ""
