"""Summaries: the oldest turns told in fewer words, once, as a private message that stands for them."""

from __future__ import annotations

from symposia.core.errors import InvalidInput
from symposia.core.events import SummaryMade
from symposia.core.message import Message, Provenance, Text
from symposia.core.transcript import Transcript

from .ask import Table
from .aside import Aside
from .boundary import guarded
from .fit import NeedsSummary, Summarise, summary_range

FUNCTION = "function:"


async def summarise(table: Table, speaker: str, messages: Transcript, needs: NeedsSummary, as_of: int) -> Message:
    """A message only `speaker` sees, by the moderator, standing for the range asked for and older summaries' ranges."""
    policy = table.rules.fit
    if not isinstance(policy, Summarise):
        raise InvalidInput("only the summarise policy makes summaries")
    start, stop = summary_range(messages.messages, speaker, needs)
    old = [m for m in messages.messages[start:stop] if m.heard_by(speaker) and m.text]
    moderator = table.rules.view.moderator
    aside = Aside(table, "summary", as_of)
    if policy.by.startswith(FUNCTION):
        make = table.summariser(policy.by.removeprefix(FUNCTION))
        text = await guarded("hook_error", f"summariser {policy.by}", lambda: make(old, policy.words))
    else:
        told = "\n".join(f"{m.author}: {m.text}" for m in old)
        text = await aside.ask(policy.by, f"Summarise this conversation in at most {policy.words} words.\n\n{told}")
    message = Message(
        author=moderator,
        parts=(Text(text),),
        audience=frozenset({speaker}),
        origin="sampled",
        provenance=_provenance(table, policy, aside),
        as_of=as_of,
        stands_for=(start, stop),
    )
    table.emit(SummaryMade(about=table.about(speaker, as_of), message=message))
    return message


def _provenance(table: Table, policy: Summarise, aside: Aside) -> Provenance:
    profile = "" if policy.by.startswith(FUNCTION) else table.profile_digest(policy.by)
    return Provenance(
        profile=profile, request="", completions=aside.completions, seed=0, cue="", usage=aside.usage, finish_reason="stop"
    )
