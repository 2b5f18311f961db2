"""Every error the product raises, as the caller sees it.

What a model's server says is passed on only where it is about the caller's request, and then without secrets.
"""

from __future__ import annotations

from typing import NamedTuple

from symposia.core.errors import (
    BackendError,
    ContextOverflow,
    InterventionNotApplied,
    InvalidInput,
    InvalidIntervention,
    SelectionMissed,
    StoreUnreachable,
    TemplateError,
    UnknownModel,
    UnsupportedRequest,
)
from symposia.core.redact import Redactor
from symposia.serve.ledger import LedgerUnreachable, Refusal

from .fault import PATIENCE_S, Fault
from .params import param_of
from .table import KEPT_STATUSES, OF_CAUSE

MOST_SAID = 500
"""Characters of somebody else's words in a message."""

PHASES = frozenset({"connect", "first_token", "idle", "total"})
"""Which timeout ran out: what a `BackendError` of cause "timeout" has as its code."""

_STEERING = frozenset({"interventions", "captures"})
_WORDS = {
    "provider_rate_limited": "the model's server asks for patience; ask again later",
    "provider_quota_exhausted": "this server's quota with the model's provider is spent; tell who runs this server",
    "provider_internal_error": "the model's server failed",
    "provider_connection_error": "the model's server cannot be reached",
    "provider_auth_error": "the model's server refuses this server's key; tell who runs this server, yours is fine",
    "provider_bad_response": "the model's server gave an answer that cannot be read",
    "provider_stream_truncated": "the model's server ended its answer early; what came is not complete",
    "engine_failed": "the engine failed at this request",
    "internal_error": "something failed inside this server; its log has it under this request id",
    "server_is_overloaded": "the server cannot take this request now; ask again",
    "intervention_not_applied": "the engine could not prove that the steering was applied; the result is withheld",
}


class View(NamedTuple):
    """How errors are shown. `inline`: the caller sent interventions. `rate_status`: for a patient provider."""

    redactor: Redactor
    inline: bool = False
    rate_status: int = 529


_UNREACHED = "the server cannot reach its own records now; ask again"


class _Row(NamedTuple):
    """An error that is always the same fault. `words` stand in place of its own."""

    kind: type[BaseException]
    code: str
    param: str | None = None
    words: str = ""


_PLAIN = (
    _Row(ContextOverflow, "context_length_exceeded", "messages"),
    _Row(TemplateError, "invalid_value", "messages"),
    _Row(UnknownModel, "model_not_found", "model"),
    _Row(InvalidInput, "invalid_value"),
    _Row(SelectionMissed, "intervention_missed"),
    _Row(InterventionNotApplied, "intervention_not_applied", words=_WORDS["intervention_not_applied"]),
    _Row(LedgerUnreachable, "server_is_overloaded", words=_UNREACHED),
    _Row(StoreUnreachable, "server_is_overloaded", words=_UNREACHED),
)
_UNFORESEEN = _Row(BaseException, "internal_error", words=_WORDS["internal_error"])


def fault_of(error: BaseException, view: View) -> Fault:
    """The fault of any error. What is not known is `internal_error`, and says nothing of itself."""
    match error:
        case Fault():
            return error.scrubbed(view.redactor)
        case BackendError():
            return _backend(error, view)
        case UnsupportedRequest():
            return _unsupported(error, view)
        case InvalidIntervention():
            return _steering(error, view)
        case _:
            row = next((row for row in _PLAIN if isinstance(error, row.kind)), _UNFORESEEN)
            return Fault(row.code, row.words or _said(error, view), param=row.param)


def refused(refusal: Refusal) -> Fault:
    """A pool that does not hold the charge: both numbers, and exactly when it would."""
    charge, standing, wait_s = refusal.charge, refusal.standing, refusal.retry_after_s
    room = f"{charge.amount} {charge.field} were asked of pool {charge.pool!r}; {max(0, standing.free)} of "
    if wait_s is None:
        message = f"{room}{standing.limit} are free, and so many never will be; ask for less"
    else:
        message = f"{room}{standing.limit} are free; enough will be in {wait_s:.3f} s"
    patient = wait_s is not None and wait_s <= PATIENCE_S
    if charge.kind == "rate":
        limited = Fault(
            "rate_limit_exceeded", message, param=charge.pool, retry_after_s=wait_s, again=wait_s is not None
        )
        return limited.typed(charge.field)
    return Fault(
        "steering_budget_exceeded",
        message,
        param=charge.pool,
        retry_after_s=wait_s,
        again=None if patient else False,
    )


def _backend(error: BackendError, view: View) -> Fault:
    if error.status in KEPT_STATUSES and error.cause != "quota_exhausted":
        return Fault.kept(
            status=error.status,
            type=error.kind or "invalid_request_error",
            code=error.code or "invalid_request_error",
            message=_said(error, view),
        )
    code = OF_CAUSE[error.cause]
    if code == "provider_timeout":
        phase = error.code if error.code in PHASES else None
        return Fault(code, f"the model's server took too long ({phase or 'timeout'})", param=phase)
    if error.status is not None and not code.startswith("provider_"):
        code = "provider_bad_response"
    message = _WORDS.get(code) or _said(error, view)
    fault = Fault(code, message, retry_after_s=error.retry_after_s)
    return fault.answering(view.rate_status) if code == "provider_rate_limited" else fault


def _unsupported(error: UnsupportedRequest, view: View) -> Fault:
    kinds = type(error) is not UnsupportedRequest
    if kinds or error.feature in _STEERING:
        return _steering(error, view)
    return Fault("unsupported_parameter", _said(error, view), param=param_of(error.feature))


def _steering(error: Exception, view: View) -> Fault:
    if view.inline:
        return Fault("invalid_steering", _said(error, view), param="steering.interventions")
    return Fault("steering_profile_incompatible", _said(error, view))


def _said(error: BaseException, view: View) -> str:
    """The error's own words, without secrets and not too many."""
    return view.redactor.text(str(error))[:MOST_SAID]
