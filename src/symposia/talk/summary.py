"""Summaries: the oldest turns told in fewer words, once, as a private message that stands for them."""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.errors import BackendError, InvalidInput
from symposia.core.events import SummaryMade
from symposia.core.message import Message, Provenance, Text
from symposia.core.request import Completion, Request
from symposia.core.transcript import Transcript

from .aside import aside_request
from .ask import Table
from .boundary import guarded
from .fit import NeedsSummary, Summarise, summary_range
from .generate import generate
from .reply import parse_reply
from .view import summaries

FUNCTION = "function:"


async def summarise(
    table: Table, speaker: str, messages: Transcript, needs: NeedsSummary, as_of: int
) -> Message:
    """A message only `speaker` sees, by the moderator, standing for the range asked for and older summaries' ranges."""
    policy = summaries_policy(table)
    start, stop = summary_range(messages.messages, speaker, needs)
    provenance: Provenance | None = None
    if policy.by.startswith(FUNCTION):
        make = table.summariser(policy.by.removeprefix(FUNCTION))
        old = to_tell(messages.messages, speaker, start, stop)
        text = await guarded(f"summariser {policy.by}", lambda: make(old, policy.words))
    else:
        request = summary_request(table, speaker, messages, (start, stop), as_of)
        digest = request.digest
        completion = await generate(table, request, digest)
        text = parse_reply(completion, request).text
        provenance = _provenance(table.profile_digest(policy.by), request, digest, completion)
    if not text.strip():
        raise BackendError(
            f"{policy.by} gave no text for the summary of messages {start} to {stop}", cause="empty_reply"
        )
    message = Message(
        author=table.rules.view.moderator,
        parts=(Text(text),),
        audience=frozenset({speaker}),
        origin="scripted" if provenance is None else "sampled",
        provenance=provenance,
        as_of=as_of,
        stands_for=(start, stop),
    )
    table.emit(SummaryMade(about=table.about(speaker, as_of), message=message))
    return message


def summary_request(
    table: Table, speaker: str, messages: Transcript, stands_for: tuple[int, int], as_of: int
) -> Request:
    """The request for a summary of a range, as `speaker` sees it."""
    policy = summaries_policy(table)
    told = "\n".join(f"{m.author}: {m.text}" for m in to_tell(messages.messages, speaker, *stands_for))
    ask = f"Summarise this conversation in at most {policy.words} words.\n\n{told}"
    return aside_request(table, "summary", as_of, policy.by, ask)


def summaries_policy(table: Table) -> Summarise:
    """The table's fit policy, which must be the one that makes summaries."""
    if not isinstance(table.rules.fit, Summarise):
        raise InvalidInput(f"only the summarise policy makes summaries; this one is {table.rules.fit!r}")
    return table.rules.fit


def to_tell(messages: Sequence[Message], name: str, start: int, stop: int) -> list[Message]:
    """What a summary is made from: `name`'s messages in the range, an older summary in the place of what it covers."""
    older = summaries(messages, name)
    covered = {i for at in older.values() for i in range(*(messages[at].stands_for or (0, 0)))}
    told: list[Message] = []
    for index in range(start, stop):
        if index in older:
            told.append(messages[older[index]])
        message = messages[index]
        if index not in covered and not message.stands_for and message.heard_by(name) and message.text:
            told.append(message)
    return told


def _provenance(profile: str, request: Request, digest: str, completion: Completion) -> Provenance:
    return Provenance(
        profile=profile,
        request=digest,
        completions=(completion.digest,),
        seed=request.seed,
        cue="",
        usage=completion.usage,
        finish_reason=completion.finish_reason,
        interventions=request.interventions,
        receipts=completion.receipts,
    )
