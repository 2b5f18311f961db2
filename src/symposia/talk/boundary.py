"""The conversation's error boundary: every failure has a cause, and code that is not ours cannot break the loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
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


async def attempted(call: Callable[[], Awaitable[T]]) -> T | Exception | SystemExit:
    """Await a tool's code; what it raises is a value, which the model is told."""
    try:
        return await call()
    except (Exception, SystemExit) as error:  # noqa: BLE001  the conversation boundary: tools are user code
        return error


async def in_thread(call: Callable[[], T]) -> T:
    """The call's result, from a thread of its own: one that never ends holds up nobody who stopped waiting for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((result, error))

    def work() -> None:
        result: T | None = None
        raised: BaseException | None = None
        try:
            result = context.run(call)
        except BaseException as error:  # noqa: BLE001  the thread's end: whoever waits is told
            raised = error
        with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
            loop.call_soon_threadsafe(settle, result, raised)

    threading.Thread(target=work, name="symposia-tool", daemon=True).start()
    result, raised = await done
    if raised is not None:
        raise raised
    return result  # type: ignore[return-value]  # set wherever nothing was raised
