"""The request that made a sampled message, rebuilt from the transcript, the participants and the rules alone."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line
from symposia.core.message import Asked, Message
from symposia.core.request import Request
from symposia.core.transcript import Ref, Transcript

from .ask import Table, bare_request, lines_of, seen
from .protocols import Stop, Turn, TurnProtocol
from .stop import Allowance
from .summary import summary_request
from .trail import trail_before


def rebuild(
    table: Table, transcript: Transcript, ref: Ref, *, protocol: TurnProtocol | None = None
) -> Request:
    """The request behind a sampled message; its digest is the one its provenance stores.

    `table` must hold the profile the message was sampled with and the conversation's view, fit and date. A message made
    from a view its protocol gave needs that `protocol`: asked again about the transcript as it was, it gives the same
    turn. Raises `InvalidInput` for a message that was not sampled, or whose view nobody can give.
    """
    index = transcript.index(ref)
    message = transcript[index]
    made = message.provenance
    if made is None or message.as_of is None:
        raise InvalidInput(f"message {index} by {message.author!r} is {message.origin}: no request made it")
    if message.stands_for is not None:
        (reader,) = message.audience or ("",)
        before = seen(transcript.up_to(index), reader, message.as_of)
        return summary_request(table, reader, before, message.stands_for, message.as_of)
    asked = made.asked
    taken = _taken(message, protocol, transcript)
    turn = Turn(
        speaker=message.author,
        cue=made.cue,
        tools=asked.tools,
        force=asked.force,
        choices=asked.choices,
        as_of=message.as_of,
        mark=None if taken is None else taken.mark,
        view=_view(taken, message) if asked.own_view else None,
    )
    rules = replace(
        table.rules, captures=asked.captures, meters=(), until=None, logprobs=asked.logprobs
    )  # what a meter read is among the captures
    table = replace(table, rules=rules)
    messages = seen(transcript.up_to(index), turn.speaker, message.as_of)
    trail = trail_before(transcript, index)
    bare = bare_request(table, turn, messages, message.as_of, allowance_of(asked), trail=trail)
    lines = lines_of(table, turn, messages, made.dropped, trail=trail, as_of=message.as_of)
    return msgspec.structs.replace(bare, lines=lines, seed=made.seed)


def _taken(message: Message, protocol: TurnProtocol | None, transcript: Transcript) -> Turn | None:
    """The protocol's own turn that `message` took, asked for again as it was then."""
    if protocol is None or message.as_of is None:
        return None
    step = protocol.next(transcript.up_to(message.as_of))
    if isinstance(step, Stop):
        return None
    placed = (msgspec.structs.replace(turn, as_of=message.as_of) for turn in step)
    return next((turn for turn in placed if turn.took(message)), None)


def _view(taken: Turn | None, message: Message) -> tuple[Line, ...]:
    if taken is None or taken.view is None:
        raise InvalidInput(
            f"a message by {message.author!r} was made from a view its protocol gave, which no transcript stores; "
            "expected that protocol"
        )
    return taken.view


def allowance_of(asked: Asked) -> Allowance:
    """The allowance a turn was given."""
    return Allowance(max_tokens=asked.max_tokens, stop_after=asked.stop_after)
