"""From a selector and a sequence's spans to positions: the definition everything else must agree with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

from .errors import EmptySelection, UnsupportedRequest
from .positions import Positions, Where, members, runs
from .span import Span

Offsets = Callable[[str], Sequence[tuple[int, int]]]
Runs = tuple[tuple[int, int], ...]


def resolve(
    positions: Positions,
    spans: Sequence[Span],
    token_ids: Sequence[int],
    reader: str,
    turn: int,
    *,
    specials: Collection[int] = (),
    find: Offsets | None = None,
) -> Runs:
    """Sorted disjoint runs of the selected positions.

    `turn` is the index of the turn being made. `specials` are the tokenizer's special ids. `find` maps a
    literal substring to token runs of given content; without it a `text` clause is refused.
    """
    chosen = _union(positions.any, spans, token_ids, reader, turn, specials, find)
    if positions.minus:
        chosen -= _union(positions.minus, spans, token_ids, reader, turn, specials, find)
    return runs(chosen)


def matches(where: Where, span: Span, reader: str, turn: int) -> bool:
    """Whether a span passes every field that does not need the tokens themselves."""
    if where.roles and span.role not in where.roles:
        return False
    if where.phases and span.phase not in where.phases:
        return False
    if where.authors and not _by(where.authors, span.author, reader):
        return False
    if where.made != "any" and span.generated is not (where.made == "generated"):
        return False
    if where.turns and (span.turn is None or not any(r.holds(span.turn, turn + 1) for r in where.turns)):
        return False
    if where.back and (span.turn is None or not any(r.holds(turn - span.turn, turn + 1) for r in where.back)):
        return False
    return where.special or span.phase != "markup"


def needs_end(where: Where, made_here: bool) -> str | None:
    """The field whose meaning depends on an end not yet known, when generated tokens may match; else None."""
    if not made_here or where.made == "given":
        return None
    if any(r.from_end for r in where.tokens):
        return "tokens"
    return "text" if where.text else None


def check_given(
    positions: Positions,
    spans: Sequence[Span],
    token_ids: Sequence[int],
    reader: str,
    turn: int,
    find: Offsets,
    model: str,
) -> None:
    """Refuse, before the first token, what can never select anything or cannot be decided in time.

    Raises `EmptySelection` for an unknown author, a turn out of range, text not found, or a selected clause
    that only given tokens can meet and none does, listing the spans there are; `UnsupportedRequest` for an
    end that is not yet known. A subtracted clause may match nothing.
    """
    authors = {span.author for span in spans if span.author} | {reader, "self", "others"}
    for where in positions.clauses:
        made_here = _may_generate(where, reader, turn)
        if field := needs_end(where, made_here):
            raise UnsupportedRequest(
                endpoint="engine",
                model=model,
                feature=f"positions.{field}",
                why="the end of the turn being made is not known while it is made",
                way_out="add made='given', or count from the start",
            )
        if unknown := [name for name in where.authors if name not in authors]:
            _empty(model, f"no span is by {unknown[0]!r}", spans)
        if where.turns and not any(r.holds(t, turn + 1) for r in where.turns for t in range(turn + 1)):
            _empty(model, f"turns {where.turns} lie outside 0..{turn}", spans)
        if where.text and not any(find(text) for text in where.text):
            _empty(model, f"none of {where.text} stands in the given text", spans)
        selects = where in positions.any and not made_here
        if selects and not _union((where,), spans, token_ids, reader, turn, (), find):
            _empty(model, f"nothing given matches {where}", spans)


def _empty(model: str, why: str, spans: Sequence[Span]) -> None:
    seen = sorted({f"{s.turn}:{s.author or '-'}:{s.role or 'bos'}:{s.phase}" for s in spans})
    raise EmptySelection(
        endpoint="engine",
        model=model,
        feature="positions",
        why=why,
        way_out=f"choose among the spans there are (turn:author:role:phase): {', '.join(seen)}",
    )


def _by(authors: tuple[str, ...], author: str | None, reader: str) -> bool:
    if author is None:
        return False
    return author in authors or ("self" if author == reader else "others") in authors


def _may_generate(where: Where, reader: str, turn: int) -> bool:
    """Whether a token this request samples can meet the clause."""
    if where.made == "given":
        return False
    phases = where.phases or ("answer",)
    return any(
        matches(
            where,
            Span(start=0, stop=1, role="assistant", phase=p, author=reader, turn=turn, generated=True),
            reader,
            turn,
        )
        for p in phases
    )


def _union(
    clauses: tuple[Where, ...],
    spans: Sequence[Span],
    token_ids: Sequence[int],
    reader: str,
    turn: int,
    specials: Collection[int],
    find: Offsets | None,
) -> set[int]:
    chosen: set[int] = set()
    for where in clauses:
        chosen |= _select(where, spans, token_ids, reader, turn, specials, find)
    return chosen


def _select(
    where: Where,
    spans: Sequence[Span],
    token_ids: Sequence[int],
    reader: str,
    turn: int,
    specials: Collection[int],
    find: Offsets | None,
) -> set[int]:
    text = _text_positions(where, find)
    chosen: set[int] = set()
    for unit in _units(where, spans, reader, turn):
        kept = [p for p in unit if _plain(where, p, token_ids, specials) and (text is None or p in text)]
        if where.tokens:
            kept = [p for i, p in enumerate(kept) if any(r.holds(i, len(kept)) for r in where.tokens)]
        chosen.update(kept)
    if where.lead:
        chosen.update(start - 1 for start, _ in runs(chosen) if start > 0)
    return chosen


def _units(where: Where, spans: Sequence[Span], reader: str, turn: int) -> Iterator[list[int]]:
    units: dict[object, list[int]] = defaultdict(list)
    for index, span in enumerate(spans):
        if matches(where, span, reader, turn):
            key = {"span": index, "turn": span.turn, "sequence": None}[where.within]
            units[key].extend(range(span.start, span.stop))
    yield from units.values()


def _plain(where: Where, position: int, token_ids: Sequence[int], specials: Collection[int]) -> bool:
    return where.special or (position > 0 and token_ids[position] not in specials)


def _text_positions(where: Where, find: Offsets | None) -> set[int] | None:
    if not where.text:
        return None
    if find is None:
        raise EmptySelection(
            endpoint="engine",
            model="",
            feature="positions.text",
            why="the text of this sequence is not at hand",
            way_out="resolve through a prompt that carries offsets",
        )
    return {p for text in where.text for p in members(tuple(find(text)))}
