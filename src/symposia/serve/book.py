"""What is known of one request so far, and the one event that it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symposia.core.receipt import Receipt
from symposia.core.request import Completion
from symposia.core.served import Applied, Outcome, RequestServed
from symposia.core.usage import NOTHING, Usage

from .address import Addressed
from .faults import Fault
from .replies import ChoiceObject, Decided, applied_of
from .said import total
from .traceparent import Context


@dataclass(slots=True)
class Book:
    """Times are seconds of the monotonic clock; None: it has not happened. `choices` are by index."""

    request_id: str
    began: float
    key: str = ""
    stream: bool = False
    found: Addressed | None = None
    asked: float | None = None
    first: float | None = None
    ended: float | None = None
    status: int = 0
    outcome: Outcome = "ok"
    fault: Fault | None = None
    usage: Usage = NOTHING
    choices: dict[int, ChoiceObject] = field(default_factory=dict)
    receipts: tuple[Receipt, ...] = ()
    applied: Applied | None = None
    degenerate: str | None = None
    where: Context | None = None

    def decided(self, seed: int | None = None) -> Decided:
        """What is known before the first token."""
        found = self.found
        if found is None:
            return Decided()
        return Decided(
            profile=found.label,
            revision=found.digest or None,
            arm=found.arm,
            canary=found.canary or None,
            reason=found.reason,
            seed=seed,
        )

    def finished(self, whole: Sequence[Completion]) -> None:
        """Every choice has its completion."""
        self.usage = total(whole)
        self.receipts = tuple([receipt for each in whole for receipt in each.receipts])
        self.applied = applied_of(self.receipts)
        self.status = 200

    def broke(self, prompt_tokens: int, made_tokens: int) -> None:
        """It ended before it was whole: what was used is what can be told."""
        self.usage = Usage(input_tokens=prompt_tokens, output_tokens=made_tokens, estimated=True)

    def failed(self, fault: Fault, *, answered: bool, heard: bool) -> None:
        """It ended in a fault. Before the backend was heard of, one of the caller's making is a refusal."""
        self.fault = fault
        if not answered:
            self.status = fault.status
        own = fault.status < 500 or fault.code in ("server_is_overloaded", "steering_disabled")
        self.outcome = "refused" if own and not heard else "error"

    def event(self, now: float) -> RequestServed:
        """What is told of it."""
        found, usage = self.found, self.usage
        ended = now if self.ended is None else self.ended
        return RequestServed(
            request_id=self.request_id,
            key=self.key,
            model="" if found is None else found.model.name,
            profile="none" if found is None else found.label,
            revision="" if found is None else found.digest,
            arm="none" if found is None else found.arm,
            canary="" if found is None else found.canary,
            unit_hash="" if found is None else found.unit_hash,
            stream=self.stream,
            status=self.status or 499,
            outcome=self.outcome,
            code="" if self.fault is None else self.fault.code,
            finish_reasons=tuple([self.choices[i].finish_reason for i in sorted(self.choices)]),
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            estimated=usage.estimated,
            latency_ms=(now - self.began) * 1e3,
            ttft_ms=None if self.first is None else (self.first - self.began) * 1e3,
            backend_ms=0.0 if self.asked is None else (ended - self.asked) * 1e3,
            applied=self.applied,
            receipts=self.receipts,
            degenerate=self.degenerate,
            trace_id="" if self.where is None else self.where.trace_id,
        )
