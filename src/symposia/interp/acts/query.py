"""Which rows: by forward, by place, by token. One definition for every store, whatever it narrows down by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, runs
from symposia.core.resolve import resolve
from symposia.core.span import Phase, Role, Span

from .record import Record, Source


@dataclass(frozen=True, kw_only=True)
class ActivationQuery:
    """Which rows. None does not constrain.

    By forward: `reader`, `run`, `conversation`, `branch`, `turn`, `model`, `steered`, and `label` where labels were
    joined. By place: `site`, `layer`, `name`, `at`. By token: `author`, `role`, `phase`, `where`, and `made`: True
    leaves out rows that were computed again for tokens the reader had said before.
    """

    reader: str | None = None
    run: str | None = None
    conversation: str | None = None
    branch: str | None = None
    turn: int | None = None
    model: str | None = None
    steered: bool | None = None
    label: str | None = None
    site: Site | None = None
    layer: int | None = None
    name: str | None = None
    at: str | None = None
    author: str | None = None
    role: Role | None = None
    phase: Phase | None = None
    where: Positions | None = None
    made: bool | None = None

    def wanted(self) -> dict[str, object]:
        """What is asked of forward and place, by name; labels aside."""
        every = {
            "reader": self.reader,
            "run": self.run,
            "conversation": self.conversation,
            "branch": self.branch,
            "turn": self.turn,
            "model": self.model,
            "steered": self.steered,
            "site": self.site,
            "layer": self.layer,
            "name": self.name,
            "at": self.at,
        }
        return {name: value for name, value in every.items() if value is not None}

    def admits(self, record: Record) -> bool:
        """Whether the record's forward and place fit."""
        source, ref = record.source, record.ref
        about = source.about
        got = {
            "reader": source.reader,
            "run": about.run,
            "conversation": about.conversation,
            "branch": about.branch,
            "turn": about.turn,
            "model": source.model,
            "steered": source.steered,
            "site": ref.site,
            "layer": ref.layer,
            "name": ref.name,
            "at": record.at,
        }
        return all(got[name] == value for name, value in self.wanted().items())

    @property
    def by_token(self) -> bool:
        """Whether rows of a record may be left out."""
        return (self.author, self.role, self.phase, self.where, self.made) != (None,) * 5

    def takes(self, span: Span, source: Source) -> bool:
        """Whether tokens of a span fit, `where` aside."""
        pairs = ((self.author, span.author), (self.role, span.role), (self.phase, span.phase))
        if self.made is not None and self.made is source.recalled(span):
            return False
        return all(wanted is None or wanted == got for wanted, got in pairs)

    def __str__(self) -> str:
        asked = {name: value for name, value in asdict(self).items() if value is not None}
        return "query(" + ", ".join(f"{name}={value!r}" for name, value in asked.items()) + ")"


@dataclass(frozen=True)
class Stretch:
    """Rows `[row, row + n)` of a record are of `n` tokens of one span, from position `start` on.

    Of a pooled record it is one row, and `n` the tokens that were pooled.
    """

    span: Span
    start: int
    n: int
    row: int
    pooled: bool = False

    @property
    def rows(self) -> slice:
        """Where they lie."""
        return slice(self.row, self.row + (1 if self.pooled else self.n))


def stretches(record: Record, query: ActivationQuery) -> Iterator[Stretch]:
    """The selected rows of a record, in order, span by span.

    A pooled row is taken if `where` selects any token of it.
    """
    chosen = None if query.where is None else _chosen(query.where, record.source)
    if record.pooled:
        yield from _pooled(record, query, chosen)
        return
    for span, start, stop, row in _by_span(record):
        if not query.takes(span, record.source):
            continue
        for low, high in ((start, stop),) if chosen is None else _within(chosen, start, stop):
            yield Stretch(span, low, high - low, row + low - start)


def _pooled(
    record: Record, query: ActivationQuery, chosen: tuple[tuple[int, int], ...] | None
) -> Iterator[Stretch]:
    row, before = -1, None
    found: Stretch | None = None
    for span, start, stop, _ in _by_span(record):
        if span is before and found is not None:
            found = Stretch(span, found.start, found.n + stop - start, row, pooled=True)
            continue
        if found is not None and _takes(found, record, query, chosen):
            yield found
        row, before = row + 1, span
        found = Stretch(span, start, stop - start, row, pooled=True)
    if found is not None and _takes(found, record, query, chosen):
        yield found


def _takes(
    found: Stretch, record: Record, query: ActivationQuery, chosen: tuple[tuple[int, int], ...] | None
) -> bool:
    inside = chosen is None or any(
        start < found.span.stop and found.span.start < stop for start, stop in chosen
    )
    return inside and query.takes(found.span, record.source)


def _by_span(record: Record) -> Iterator[tuple[Span, int, int, int]]:
    """Every run cut at span borders, with the row of its first position."""
    spans = iter(record.source.spans)
    span, row = next(spans), 0
    for start, stop in record.ref.runs:
        at = start
        while at < stop:
            while at >= span.stop:
                span = next(spans)
            end = min(stop, span.stop)
            yield span, at, end, row
            row, at = row + end - at, end


def _within(chosen: tuple[tuple[int, int], ...], start: int, stop: int) -> Iterator[tuple[int, int]]:
    for low, high in chosen:
        if low < stop and start < high:
            yield max(low, start), min(high, stop)


def _chosen(where: Positions, source: Source) -> tuple[tuple[int, int], ...]:
    if any(clause.text for clause in where.clauses) and len(source.texts) != len(source.token_ids):
        raise InvalidInput("where.text: this store does not know the words of its tokens; select by spans")
    return resolve(
        where,
        source.spans,
        source.token_ids,
        source.reader,
        source.about.turn,
        specials=source.specials,
        find=lambda text: _found(text, source),
    )


def _found(text: str, source: Source) -> tuple[tuple[int, int], ...]:
    """Token runs where given content says `text`; tokens that are part of a character match nothing."""
    positions: set[int] = set()
    for span in source.spans:
        if span.generated or span.phase == "markup":
            continue
        pieces = source.texts[span.start : span.stop]
        whole = "".join(pieces)
        at = whole.find(text)
        while at >= 0:
            low = 0
            for i, piece in enumerate(pieces):
                if low < at + len(text) and at < low + len(piece):
                    positions.add(span.start + i)
                low += len(piece)
            at = whole.find(text, at + len(text))
    return runs(positions)
