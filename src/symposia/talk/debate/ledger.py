"""What a debate cost, a row an attempt. Money is exact; what nobody knows stays unknown and is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.message import Message
from symposia.core.transcript import Transcript
from symposia.core.usage import Price, Usage, decimal
from symposia.core.value import Count, Value

from .reading import ANSWER, DIRECTION, failure_of, mark_of
from .values import LedgerRow, Purpose

if TYPE_CHECKING:
    from .protocol import Debate


class Totals(Value, frozen=True, kw_only=True):
    """Sums of a ledger. `cost` leaves out `unpriced_calls`; None if there was nothing else."""

    attempts: Count = 0
    calls: Count = 0
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0
    reasoning_tokens: Count = 0
    cost: str | None = None
    unpriced_calls: Count = 0


def totals(rows: Iterable[LedgerRow]) -> Totals:
    """The sums. An attempt that ended without a completion is no call."""
    listed = list(rows)
    answered = [row for row in listed if completed(row)]
    priced = [Decimal(row.cost) for row in answered if row.cost is not None]
    return Totals(
        attempts=len(listed),
        calls=len(answered),
        prompt_tokens=sum(row.prompt_tokens for row in listed),
        cached_tokens=sum(row.cached_tokens for row in listed),
        completion_tokens=sum(row.completion_tokens for row in listed),
        reasoning_tokens=sum(row.reasoning_tokens for row in listed),
        cost=_plain(sum(priced, Decimal(0))) if priced else None,
        unpriced_calls=len(answered) - len(priced),
    )


def completed(row: LedgerRow) -> bool:
    """Whether the attempt gave a completion, be it one that was not used."""
    return row.cause is None or bool(row.prompt_tokens or row.completion_tokens)


def row_of(
    usage: Usage, *, seat: str, number: int, purpose: Purpose, price: Price | None, ms: float | None = None
) -> LedgerRow:
    """The row of a completion."""
    return LedgerRow(
        seat=seat,
        round=number,
        purpose=purpose,
        prompt_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost=exact_cost(usage, price),
        ms=ms,
        estimated=usage.estimated,
    )


def exact_cost(usage: Usage, price: Price | None) -> str | None:
    """USD in decimals: what the provider said, else from the price list; None where nobody knows."""
    usd = usage.cost_usd
    if usd is None and price is not None:
        usd = price.of(usage)
    return None if usd is None else _plain(decimal(usd))


def ledger_of(transcript: Transcript, debate: Debate) -> tuple[LedgerRow, ...]:
    """A row for each generation the transcript tells of, in its order, without times and repeated attempts."""
    return tuple(_rows(transcript, debate))


def _rows(transcript: Transcript, debate: Debate) -> Iterator[LedgerRow]:
    for message in transcript.messages:
        found = mark_of(message)
        if found is None or message.author not in debate.names:
            continue
        purpose = _purpose(found.purpose, message)
        cause, made = failure_of(message), message.provenance
        if made is not None:
            price = debate.budget.prices.get(debate.profile_of(message.author).model)
            yield replaced(
                row_of(made.usage, seat=message.author, number=found.round, purpose=purpose, price=price),
                cause,
            )
        elif cause is not None:
            yield LedgerRow(seat=message.author, round=found.round, purpose=purpose, cause=cause)


def replaced(row: LedgerRow, cause: str | None) -> LedgerRow:
    """The row with the cause for which its reply was not used."""
    return row if cause is None else replace(row, cause=cause)


def purpose_named(name: str) -> Purpose:
    """The ledger's word for what a generation was for."""
    match name:
        case "answer" | "tool" | "ruling" | "select" | "repair" | "belief":
            return name
        case _:
            return "ruling" if name == DIRECTION else "answer"


def _purpose(name: str, message: Message) -> Purpose:
    made = message.provenance
    follows = name == ANSWER and made is not None and made.asked.call > 0
    return "tool" if follows else purpose_named(name)


def _plain(amount: Decimal) -> str:
    text = format(amount.normalize(), "f")
    return text if "." not in text else text.rstrip("0").rstrip(".")
