"""A company to test with: participants, a backend whose reply shows all it was asked, and the loop in one call."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.events import Event
from symposia.core.message import Message, said
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.request import Backend, Completion, Request, ServedBy
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage
from symposia.core.value import canonical
from symposia.talk.converse import converse, discard
from symposia.talk.protocols import TurnProtocol
from symposia.talk.rules import Kit, Outcome, Rules

NAMES = ("ann", "bob", "carla", "dan")


def person(
    name: str, *, private: Sequence[Message] = (), max_tokens: int = 512, **profile: Any
) -> Participant:
    sampling = profile.pop("sampling", Sampling(max_tokens=max_tokens))
    made = Profile(model=profile.pop("model", "m"), sampling=sampling, **profile)
    return Participant(name=name, profile=made, private=tuple(private))


def party(*names: str, **profile: Any) -> tuple[Participant, ...]:
    return tuple(person(name, **profile) for name in names)


def opened(text: str = "Is a hotdog a sandwich?") -> Transcript:
    return Transcript((said("moderator", text),))


def babble(request: Request) -> str:
    """One to six words that change with every line, the seed and the budget: a fingerprint of what was asked."""
    asked = canonical([request.lines, request.seed, request.sampling.max_tokens, request.stop_after])
    marks = hashlib.sha256(asked).hexdigest()
    return " ".join(marks[4 * i : 4 * i + 4] for i in range(1 + int(marks[-1], 16) % 6))


def completion(text: str, finish_reason: str = "stop", **fields: Any) -> Completion:
    usage = fields.pop("usage", Usage(input_tokens=1, output_tokens=len(text.split())))
    return Completion(
        text=text,
        finish_reason=finish_reason,
        usage=usage,
        served=ServedBy(endpoint="scripted", model="m"),
        **fields,
    )


def talk(
    protocol: TurnProtocol,
    people: Sequence[Participant],
    backend: Backend | None = None,
    *,
    transcript: Transcript = Transcript(),
    events: list[Event] | None = None,
    kit: Kit = Kit(),
    **rules: Any,
) -> Outcome:
    """The loop, run to its end; `rules` are fields of `Rules`."""
    return asyncio.run(
        converse(
            protocol,
            people,
            backend or Scripted(babble),
            transcript=transcript,
            emit=discard if events is None else events.append,
            rules=Rules(**rules),
            kit=kit,
        )
    )


def texts(transcript: Transcript) -> list[str]:
    return [message.text for message in transcript]


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def with_parts(message: Message, *parts: Any) -> Message:
    return replace(message, parts=parts)
