"""What the tracker looks for, from the facts."""

from __future__ import annotations

import re

from .codec import Codec
from .facts import TemplateFacts
from .probe_tools import TAG
from .tracker import Delimiters

_PROMPTED = ("<tool_call>", "</tool_call>")
_COMMON = ("<think>", "</think>")  # where a template shows no thinking but the tokenizer has tokens for it


def delimiters_of(facts: TemplateFacts, codec: Codec, eos: int | None) -> Delimiters:
    """The delimiters a reply may contain under this template and tokenizer."""
    marks = facts.marks
    stops = {eos} if eos is not None else set()
    opening = codec.cuts(marks.answer_open)
    channels = len(opening) > 1 and opening[0][1] is not None and opening[-1][1] is not None
    for end in (marks.call_end, "" if channels else marks.assistant_end):  # a channel's end is not the turn's
        stops |= {control for _, control in codec.cuts(end)[:1] if control is not None}
    tag = re.match(rf"\s*({TAG}|```\w+)", marks.call_open)
    call = (tag[1], marks.call_close) if tag else None
    bare = marks.call_open.strip()[:1] if tag is None and not channels else ""
    if not facts.native_tools:
        call = _PROMPTED
    think = marks.think or (_COMMON if all(t in codec.controls for t in _COMMON) else None)
    return Delimiters(
        think=think,
        call=call,
        header=opening[-1][0] if channels else "",
        bare_call=bare,
        call_mark=marks.call_open.strip() if channels else "",
        reply_head=marks.reply_head,
        control_ids=codec.control_ids,
        stops=frozenset(stops),
        piece=codec.piece,
    )
