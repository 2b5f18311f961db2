"""Stored conversations: a run's folder, a conversation file, or a transcript alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symposia.core.transcript import Transcript
    from symposia.talk.conversation import Conversation


def file_of(path: Path) -> Path:
    """The file that a path names: of a folder, its conversation."""
    return path / "conversation.json" if path.is_dir() else path


def is_transcript(path: Path) -> bool:
    """Whether a file holds a transcript and nothing else. `UnsupportedFormat` for what is no JSON."""
    import msgspec

    from symposia.core.errors import UnsupportedFormat
    from symposia.core.transcript import FORMAT

    try:
        head = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise UnsupportedFormat(
            expected="a conversation or transcript", got=f"no JSON ({error})", path=str(path)
        ) from error
    return isinstance(head, dict) and head.get("format") == FORMAT


def transcript_of(path: Path) -> Transcript:
    """What was said in it."""
    from symposia.core.transcript import Transcript

    path = file_of(path)
    return Transcript.load(path) if is_transcript(path) else load(path).transcript


def load(path: Path) -> Conversation:
    """The conversation in a file; endpoints that a scenario declared stand as names, which nothing can be asked of."""
    from symposia.backends.endpoints import HOSTED
    from symposia.core.errors import UnknownModel
    from symposia.core.models import resolve
    from symposia.facade import Conversation

    from .endpoints import backend_for_names
    from .world import this_world

    elsewhere = []
    for participant in Conversation.load(path).participants:
        try:
            resolve(participant.profile.model, HOSTED)
        except UnknownModel:  # an endpoint of the scenario file, which a conversation does not hold
            elsewhere.append(participant.profile.model.partition(":")[0])
    return Conversation.load(path, backend=backend_for_names(this_world().env, elsewhere))
