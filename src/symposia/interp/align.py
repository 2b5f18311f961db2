"""Which position of one sequence stands for which of another: what a patch copies where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Literal

from symposia.core.errors import InvalidInput, SymposiaError
from symposia.core.request import Completion, Prompt
from symposia.core.span import Span
from symposia.core.value import Value

from .taps import WhiteBox

Rule = Literal["index", "span", "text", "last"]
_SHOWN = 8
_Pairs = list[tuple[int, int]]


class AlignmentError(SymposiaError):
    """Two sequences cannot be laid side by side as asked."""


class Alignment(Value, frozen=True, kw_only=True):
    """`pairs` of (source, target) positions, by target; target positions that have no counterpart are `unmatched`."""

    pairs: tuple[tuple[int, int], ...]
    unmatched: tuple[int, ...]


@dataclass(frozen=True)
class Sided:
    """A sequence as alignment sees it. `texts` are its tokens spelled, for the rule `text`; `kept` narrows it."""

    token_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    texts: tuple[str, ...] = ()
    kept: tuple[int, ...] | None = None

    @classmethod
    def of(cls, done: Completion | Prompt, inside: WhiteBox | None = None) -> Sided:
        """A rendered prompt, or a completion's prompt and tokens; spelled if the model is given."""
        own = done.token_ids if isinstance(done, Prompt) else (*done.prompt_token_ids, *done.token_ids)
        return cls(own, done.spans, () if inside is None else inside.spelled(own))

    @property
    def at(self) -> tuple[int, ...]:
        """The positions to align."""
        return tuple(range(len(self.token_ids))) if self.kept is None else self.kept

    def only(self, author: str) -> Sided:
        """Narrowed to what one author said. `AlignmentError` lists who did."""
        own = [s for s in self.spans if s.author == author and s.phase != "markup"]
        if not own:
            heard = sorted({s.author for s in self.spans if s.author})
            raise AlignmentError(
                f"expected something said by {author!r}; got {window(self)}, by {', '.join(heard)}"
            )
        return replace(self, kept=tuple(p for s in own for p in range(s.start, s.stop)))


def align(source: Sided, target: Sided, rule: Rule = "span") -> Alignment:
    """Pairs by one rule. `AlignmentError` if it gives none.

    `index`: same length, position by position. `span`: within spans of one role, author, turn and phase, the longest
    common subsequence of tokens. `text`: within such spans, tokens that end after the same characters of matching text,
    however it is tokenised. `last`: the last position of each. Where both are narrowed to an author, spans are matched
    by the author's first, second, … turn, so that two authors can be laid side by side, and what one reader said under
    what another heard.
    """
    ours, theirs = target.at, source.at
    match rule:
        case "index":
            if len(ours) != len(theirs):
                raise AlignmentError(
                    f"expected sequences of one length; got {len(theirs)} and {len(ours)} tokens: {window(source)} "
                    f"and {window(target)}; align by 'span'"
                )
            pairs = list(zip(theirs, ours, strict=True))
        case "last":
            pairs = [(theirs[-1], ours[-1])]
        case "span" | "text":
            pairs = _by_span(source, target, rule)
    if not pairs:
        raise AlignmentError(
            f"no position of {window(source)} has a counterpart in {window(target)}; do the authors, turns and "
            "phases agree?"
        )
    matched = {to for _, to in pairs}
    return Alignment(pairs=tuple(pairs), unmatched=tuple(p for p in ours if p not in matched))


def window(side: Sided, position: int | None = None) -> str:
    """A few tokens around a position, or the first ones to align, and whose they are, for people."""
    position = side.at[0] if position is None else position
    start = max(0, min(position, len(side.token_ids)) - _SHOWN // 2)
    stop = start + _SHOWN
    tokens = side.texts[start:stop] if side.texts else side.token_ids[start:stop]
    shown = ", ".join(map(repr, tokens))
    kinds = ", ".join(
        f"{s.author or s.role} {s.phase} {s.start}:{s.stop}"
        for s in side.spans
        if s.start < stop and s.stop > start
    )
    before, after = "…, " if start else "", ", …" if stop < len(side.token_ids) else ""
    return f"[{before}{shown}{after}] ({kinds})"


def _by_span(source: Sided, target: Sided, rule: Literal["span", "text"]) -> _Pairs:
    if rule == "text" and not (source.texts and target.texts):
        raise InvalidInput(
            "aligning by 'text' needs the tokens spelled: Sided.of(done, model), or Model(…, inside)"
        )
    free = source.kept is not None and target.kept is not None
    theirs, ours = _groups(source, free=free), _groups(target, free=free)
    pairs: _Pairs = []
    for kind, to in ours.items():
        start = theirs.get(kind, [])
        if rule == "text":
            common = _same_ends([source.texts[p] for p in start], [target.texts[p] for p in to])
        else:
            common = _subsequence([source.token_ids[p] for p in start], [target.token_ids[p] for p in to])
        pairs += [(start[i], to[j]) for i, j in common]
    return sorted(pairs, key=lambda pair: pair[1])


def _groups(side: Sided, *, free: bool) -> dict[tuple[object, ...], list[int]]:
    """Positions by role, author, turn and phase, framing being of no turn; or, if free, by which turn of the author."""
    wanted = set(side.at)
    found: dict[tuple[object, ...], list[int]] = defaultdict(list)
    turns: dict[object, int] = {}
    for span in side.spans:
        own = [p for p in range(span.start, span.stop) if p in wanted]
        if own:
            nth = turns.setdefault(span.turn, len(turns))
            said = "said" if span.phase in ("prompt", "answer") else span.phase
            kind = (nth, said) if free else (span.role, span.author, span.turn, span.phase)
            found[kind].extend(own)
    return found


def _same_ends(a: Sequence[str], b: Sequence[str]) -> _Pairs:
    """Tokens of two tokenisations that end after the same character of a block both texts have."""
    ends_a = {end: i for i, end in enumerate(accumulate(map(len, a)))}
    ends_b = {end: j for j, end in enumerate(accumulate(map(len, b)))}
    blocks = SequenceMatcher(None, "".join(a), "".join(b), autojunk=False).get_matching_blocks()
    return [
        (ends_a[end - block.b + block.a], j)
        for block in blocks
        for end, j in ends_b.items()
        if block.b < end <= block.b + block.size and end - block.b + block.a in ends_a
    ]


def _subsequence(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """A longest common subsequence as pairs of indexes; ends that agree are taken as they are."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    inner_a, inner_b = a[head : len(a) - tail], b[head : len(b) - tail]
    best = [[0] * (len(inner_b) + 1) for _ in range(len(inner_a) + 1)]  # of the rests from i and j on
    for i in reversed(range(len(inner_a))):
        for j in reversed(range(len(inner_b))):
            equal = inner_a[i] == inner_b[j]
            best[i][j] = best[i + 1][j + 1] + 1 if equal else max(best[i + 1][j], best[i][j + 1])
    pairs = [(i, i) for i in range(head)]
    i = j = 0
    while i < len(inner_a) and j < len(inner_b):
        if inner_a[i] == inner_b[j]:
            pairs.append((head + i, head + j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs + [(len(a) - k, len(b) - k) for k in range(tail, 0, -1)]
