"""`symposia view`: a stored conversation, as everyone, as one participant, or as the model will read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.transcript import Transcript


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

    from .stored import file_of, is_transcript, load

    path = file_of(asked.file)
    only_transcript = is_transcript(path)
    if only_transcript and (asked.as_ or asked.prompt):
        raise InvalidInput(f"{path} is a transcript, which has no participants; give a conversation.json")
    if only_transcript:
        from symposia.core.transcript import Transcript

        return _whole(Transcript.load(path), path, asked, world)
    conversation = load(path)
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
