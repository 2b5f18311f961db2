"""What happens at a server: requests answered, budgets charged, profiles moved. Metrics, logs, bills are its folds."""

from __future__ import annotations

from typing import Any, Literal

from .receipt import Receipt
from .value import Count, Value

Arm = Literal["none", "champion", "challenger", "baseline", "pinned", "inline"]
Applied = Literal["true", "degraded", "false"]
Outcome = Literal["ok", "error", "cancelled", "refused"]
Field = Literal["tokens", "requests"]


class Occurrence(Value, frozen=True, kw_only=True, tag_field="type"):
    """What every event of a server has: nothing. Number and time are the log's."""


class RequestServed(Occurrence, frozen=True, kw_only=True, tag="request_served"):
    """One request came to its end, whatever end. `latency_ms` from its first byte; `backend_ms` of it the model took.

    `unit_hash` is all that is kept of who asked. `code` is the error's, "" if there was none.
    """

    request_id: str
    key: str = ""
    model: str = ""
    profile: str = "none"
    revision: str = ""
    arm: Arm = "none"
    canary: str = ""
    unit_hash: str = ""
    stream: bool = False
    status: int
    outcome: Outcome
    code: str = ""
    finish_reasons: tuple[str, ...] = ()
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    estimated: bool = False
    latency_ms: float
    ttft_ms: float | None = None
    backend_ms: float = 0.0
    applied: Applied | None = None
    receipts: tuple[Receipt, ...] = ()
    degenerate: str | None = None
    trace_id: str = ""


class AuthRefused(Occurrence, frozen=True, kw_only=True, tag="auth_refused"):
    """A caller was turned away at the door: `missing`, `malformed`, `unknown`, `expired`, `revoked`, `scope`."""

    request_id: str
    reason: str
    key: str = ""


class Charged(Value, frozen=True, kw_only=True):
    """What one pool was asked for, and how it stood after the decision."""

    pool: str
    field: Field
    amount: Count
    used: int
    reserved: int
    limit: Count


class BudgetDecision(Occurrence, frozen=True, kw_only=True, tag="budget_decision"):
    """A request was held against its budgets. `policy`: the revision that decided; `retry_after_s` None: never fits.

    `lease`, since when and until when it holds, by the ledger's time: only of a request that was let through.
    """

    decision: Literal["allowed", "blocked", "would_block"]
    request_id: str
    model: str
    profile: str
    key: str
    lease: str = ""
    admitted_s: float = 0.0
    expires_s: float = 0.0
    charges: tuple[Charged, ...] = ()
    retry_after_s: float | None = None
    policy: Count = 0


class BudgetWarning(Occurrence, frozen=True, kw_only=True, tag="budget_warning"):
    """A pool reached its soft line: once a crossing, over all replicas."""

    pool: str
    field: Field
    used: int
    reserved: int
    limit: Count
    fraction: float


class BudgetSettled(Occurrence, frozen=True, kw_only=True, tag="budget_settled"):
    """A reservation ended. `amounts` are what was used of each charge; `overrun` what went past the reservation."""

    outcome: Literal["settled", "released", "expired", "late"]
    lease: str
    amounts: tuple[Charged, ...] = ()
    overrun: Count = 0


class BudgetConfigUpdated(Occurrence, frozen=True, kw_only=True, tag="budget_config_updated"):
    """The policy changed; `before` and `after` are its JSON."""

    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    actor: str
    reason: str


class BudgetReset(Occurrence, frozen=True, kw_only=True, tag="budget_reset"):
    """A pool was emptied by hand."""

    pool: str
    actor: str
    reason: str


class LedgerDown(Occurrence, frozen=True, kw_only=True, tag="ledger_down"):
    """The ledger could not be asked; the request was admitted unheld if `admitted`."""

    request_id: str
    admitted: bool
    why: str = ""


class ProfileCreated(Occurrence, frozen=True, kw_only=True, tag="profile_created"):
    """A profile became known by its digest."""

    digest: str
    model: str
    actor: str
    note: str = ""


class ProfileArchived(Occurrence, frozen=True, kw_only=True, tag="profile_archived"):
    """A profile answers no more."""

    digest: str
    actor: str
    reason: str


class AliasMoved(Occurrence, frozen=True, kw_only=True, tag="alias_moved"):
    """A name of a model points elsewhere; None: nowhere."""

    model: str
    alias: str
    before: str | None = None
    after: str | None = None
    actor: str
    reason: str
    evidence: str = ""


class KeyCreated(Occurrence, frozen=True, kw_only=True, tag="key_created"):
    """A key was made; its secret was shown once and is not here."""

    key: str
    name: str
    scopes: tuple[str, ...]
    actor: str


class KeyRevoked(Occurrence, frozen=True, kw_only=True, tag="key_revoked"):
    """A key opens nothing any more."""

    key: str
    actor: str
    reason: str = ""


class KeyRotated(Occurrence, frozen=True, kw_only=True, tag="key_rotated"):
    """A key has a successor; it opens until `expires` (seconds since the epoch) and no longer."""

    key: str
    successor: str
    expires: float
    actor: str


class KillSwitched(Occurrence, frozen=True, kw_only=True, tag="kill_switched"):
    """Steering was turned off, or on again, for everything served. `cut`: running steered streams end too."""

    on: bool
    cut: bool = False
    actor: str
    reason: str


class Draining(Occurrence, frozen=True, kw_only=True, tag="draining"):
    """The server takes no new requests, or takes them again."""

    on: bool
    actor: str
    reason: str = ""


class TracingStopped(Occurrence, frozen=True, kw_only=True, tag="tracing_stopped"):
    """Traces can no longer be written; serving goes on without."""

    why: str


ServerEvent = (
    RequestServed
    | AuthRefused
    | BudgetDecision
    | BudgetWarning
    | BudgetSettled
    | BudgetConfigUpdated
    | BudgetReset
    | LedgerDown
    | ProfileCreated
    | ProfileArchived
    | AliasMoved
    | KeyCreated
    | KeyRevoked
    | KeyRotated
    | KillSwitched
    | Draining
    | TracingStopped
)
