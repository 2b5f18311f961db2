"""The conversation's error boundary: every failure has a cause, and code that is not ours cannot break the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from symposia.core.errors import (
    BackendError,
    Cause,
    ContextOverflow,
    InterventionNotApplied,
    InvalidInput,
    NotKept,
    SelectionMissed,
    SymposiaError,
    TemplateError,
    TurnFailed,
    UnsupportedRequest,
)

T = TypeVar("T")


def cause_of(error: BaseException) -> Cause:
    """The closed-list cause an error is counted under."""
    match error:
        case BackendError() | TurnFailed():
            return error.cause
        case UnsupportedRequest():
            return "unsupported"
        case ContextOverflow():
            return "context_overflow"
        case TemplateError():
            return "template"
        case InvalidInput():
            return "invalid_request"
        case InterventionNotApplied() | SelectionMissed():
            return "engine_error"
    return "engine_error"


def refuses(error: BaseException) -> bool:
    """Whether the request was refused as it stands, or the run cannot keep anything: it reaches the caller as it is."""
    return isinstance(error, UnsupportedRequest | ContextOverflow | TemplateError | InvalidInput | NotKept)


def misconfigured(error: BaseException) -> bool:
    """Whether no repetition and no neighbour could help: what was asked for cannot be done at all."""
    return refuses(error) and not isinstance(error, ContextOverflow)


async def guarded(who: str, call: Callable[[], Awaitable[T]]) -> T:
    """Await a hook, reader or summariser; what it raises is a `hook_error`, never a silent approval.

    A generation it asked for that failed keeps its own cause.
    """
    try:
        return await contained("hook_error", who, call)
    except (BackendError, UnsupportedRequest, ContextOverflow, TemplateError, NotKept):
        raise
    except SymposiaError as error:
        raise BackendError(f"{who}: {error}", cause="hook_error") from error


async def contained(cause: Cause, who: str, call: Callable[[], Awaitable[T]]) -> T:
    """Await code that is not ours; an error that is not ours either becomes a failure with a cause."""
    try:
        return await call()
    except SymposiaError:
        raise
    except (
        Exception
    ) as error:  # the conversation boundary: hooks, readers, summarisers and backends are user code
        raise BackendError(f"{who} raised {type(error).__name__}: {error}", cause=cause) from error
