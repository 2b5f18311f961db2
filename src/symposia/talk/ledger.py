"""What was spent, on whom, for what: a fold over events, live or stored.

It sees what a transcript does not: hooks, summaries, samples, attempts that failed and calls that came to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import msgspec

from symposia.core.events import (
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRetried,
    GenerationStarted,
)
from symposia.core.request import About, Completion
from symposia.core.usage import decimal
from symposia.core.value import Count, Value


class Row(Value, frozen=True, kw_only=True):
    """The calls of one participant to one model for one purpose. "" in a total: several.

    `calls` includes those `failed` for good. Tokens and cost are of answered calls: input includes cached, output
    includes reasoning. `cost_usd` is what is known to have been paid, None where nothing is; `unpriced` counts answered
    calls whose cost nobody knows. `seconds` runs from asking to the end, waits between attempts included.
    """

    endpoint: str = ""
    model: str = ""
    participant: str = ""
    purpose: str = ""
    calls: Count = 0
    failed: Count = 0
    attempts: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    estimated: bool = False
    seconds: float = 0.0
    cost_usd: float | None = None
    unpriced: Count = 0

    def __add__(self, other: Row) -> Row:
        known = [decimal(row.cost_usd) for row in (self, other) if row.cost_usd is not None]
        return Row(
            endpoint=self.endpoint if self.endpoint == other.endpoint else "",
            model=self.model if self.model == other.model else "",
            participant=self.participant if self.participant == other.participant else "",
            purpose=self.purpose if self.purpose == other.purpose else "",
            calls=self.calls + other.calls,
            failed=self.failed + other.failed,
            attempts=self.attempts + other.attempts,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
            seconds=self.seconds + other.seconds,
            cost_usd=float(sum(known)) if known else None,
            unpriced=self.unpriced + other.unpriced,
        )


Key = tuple[str, str, str]


@dataclass(slots=True)
class _Call:
    """A call under way, or failed and perhaps to be repeated. `began` is None when no generation of it runs."""

    key: Key
    began: float | None
    again: bool = False


@dataclass(slots=True)
class Ledger:
    """Feed it every event with its time in seconds; `rows` and `total` say what it came to so far."""

    _rows: dict[Key, Row] = field(default_factory=dict)
    _endpoints: dict[str, str] = field(default_factory=dict)
    _calls: dict[About, _Call] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[Row, ...]:
        """One by model, participant and purpose, in the order of their first call."""
        return tuple(
            msgspec.structs.replace(row, endpoint=self._endpoints.get(row.model, ""))
            for row in self._rows.values()
        )

    @property
    def total(self) -> Row:
        """All rows as one."""
        return total(self.rows)

    def event(self, event: Event, at_s: float) -> None:
        """Take note of what the event says was asked, repeated, answered or lost."""
        match event:
            case GenerationStarted(about=about, model=model):
                self._started(about, (model, about.speaker, about.purpose), at_s)
            case GenerationRetried(about=about) if about in self._calls:
                self._retried(self._calls[about])
            case GenerationFailed(about=about) if about in self._calls:
                call = self._calls[about]
                self._add(call.key, Row(failed=1, seconds=_since(call, at_s)))
                call.began = None
            case GenerationFinished(about=about, completion=completion) if about in self._calls:
                call = self._calls.pop(about)
                self._endpoints[call.key[0]] = completion.served.endpoint
                self._add(call.key, _answered(completion, _since(call, at_s)))
            case _:
                pass

    def _started(self, about: About, key: Key, at_s: float) -> None:
        before = self._calls.get(about)
        repeated = before is not None and before.again
        self._add(key, Row(calls=0 if repeated else 1, attempts=1))
        self._calls[about] = _Call(key, at_s)

    def _retried(self, call: _Call) -> None:
        """Between attempts of one generation, or, after it failed, before another in its place."""
        if call.began is not None:
            self._add(call.key, Row(attempts=1))
            return
        call.again = True
        row = self._rows[call.key]
        self._rows[call.key] = msgspec.structs.replace(row, failed=row.failed - 1)

    def _add(self, key: Key, more: Row) -> None:
        model, participant, purpose = key
        row = self._rows.get(key, Row()) + more
        self._rows[key] = msgspec.structs.replace(row, model=model, participant=participant, purpose=purpose)


def total(rows: Iterable[Row]) -> Row:
    """All of them as one; what they do not share is ""."""
    every = tuple(rows)
    return reduce(add, every[1:], every[0]) if every else Row()


def _answered(completion: Completion, seconds: float) -> Row:
    used = completion.usage
    return Row(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cached_tokens=used.cached_tokens,
        cache_write_tokens=used.cache_write_tokens,
        reasoning_tokens=used.reasoning_tokens,
        estimated=used.estimated,
        seconds=seconds,
        cost_usd=used.cost_usd,
        unpriced=int(used.cost_usd is None),
    )


def _since(call: _Call, at_s: float) -> float:
    return 0.0 if call.began is None else max(0.0, at_s - call.began)
