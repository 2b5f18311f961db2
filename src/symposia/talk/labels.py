"""Who says what, where a line can be one of several people's: `name: ` before it, and nobody speaks for another."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise

from symposia.core.lines import Segment, markup

_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"


@lru_cache(maxsize=256)
def impostor(names: Collection[str]) -> re.Pattern[str]:
    """Where a text line, by any line break there is, begins with one of the names and a colon."""
    said_by = "|".join(map(re.escape, names))
    return re.compile(rf"(?<![^{_BREAKS}])[^\S{_BREAKS}]*(?:{said_by})\s*[:：]", re.IGNORECASE)


def labelled(author: str, segments: Sequence[Segment], forged: re.Pattern[str]) -> list[Segment]:
    """Segments behind `author: `, with two spaces before every text line that `forged` finds."""
    guarded = [markup(f"{author}: ")]
    for segment in segments:
        begins_line = guarded[-1].text.endswith("\n")
        guarded += [segment] if segment.phase == "markup" else _guard(segment, forged, begins_line)
    return guarded


def _guard(segment: Segment, forged: re.Pattern[str], begins_line: bool) -> list[Segment]:
    text = segment.text
    cuts = [found.start() for found in forged.finditer(text) if found.start() or begins_line]
    if not cuts:
        return [segment]
    pieces = [_with_text(segment, text[: cuts[0]])] if cuts[0] else []
    for start, stop in pairwise([*cuts, len(text)]):
        pieces += [markup("  "), _with_text(segment, text[start:stop])]
    return pieces


def _with_text(segment: Segment, text: str) -> Segment:
    return Segment(
        text=text, phase=segment.phase, author=segment.author, turn=segment.turn, origin=segment.origin
    )
