"""How a command ends: every deliberate error is one line on stderr and an exit code; a bug keeps its traceback.

0 as asked; 1 a turn failed, or findings; 2 bad input or an unsupported request, nothing generated; 3 an endpoint or the
engine failed after retries, a store cannot be reached, or the disk is full; 130, 143 interrupted. Codes 1, 3, 130 and
143 leave what was said on disk.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from symposia.core.errors import (
    BackendError,
    Cause,
    InterventionNotApplied,
    NotKept,
    SelectionMissed,
    StoreUnreachable,
    SymposiaError,
    TurnFailed,
)

DONE, FAILED, FINDINGS, BAD_INPUT, ENDPOINT, INTERRUPTED, TERMINATED = 0, 1, 1, 2, 3, 130, 143
_THEIRS: frozenset[Cause] = frozenset(
    {
        "rate_limited",
        "timeout",
        "connection",
        "server_error",
        "stream_truncated",
        "bad_response",
        "breaker_open",
        "auth",
        "not_found",
        "quota_exhausted",
        "too_large",
        "engine_error",
    }
)
_SERVING = ("starlette", "uvicorn", "uvloop", "httptools", "aiohttp", "prometheus_client")
_ENGINE = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "jinja2", "huggingface_hub")


class Terminated(KeyboardInterrupt):
    """SIGTERM came; it ends work the way Ctrl-C does, with its own exit code."""


def exit_code(error: BaseException, *, generated: bool = False) -> int:
    """The code an error ends a command with; `generated` says whether anything had been said before."""
    match error:
        case Terminated():
            return TERMINATED
        case KeyboardInterrupt():
            return INTERRUPTED
        case TurnFailed() | BackendError():
            return ENDPOINT if error.cause in _THEIRS else FAILED
        case InterventionNotApplied() | SelectionMissed() | NotKept() | StoreUnreachable():
            return ENDPOINT
    return FAILED if generated else BAD_INPUT


def told(error: BaseException) -> str:
    """What to say of an error that is not a bug; raises it again if it is one."""
    match error:
        case KeyboardInterrupt():
            return "terminated" if isinstance(error, Terminated) else "interrupted"
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] in _ENGINE:
            return f"local models need {name.partition('.')[0]}, which is not installed: pip install 'symposia[engine]'"
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] in _SERVING:
            return f"serving needs {name.partition('.')[0]}, which is not installed: pip install 'symposia[serve]'"
        case SymposiaError() | OSError():
            return str(error)
    raise error


@contextmanager
def terminable() -> Iterator[None]:
    """Within it, SIGTERM raises `Terminated` in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within it, SIGINT and SIGTERM are not heard: what is being saved is saved whole."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
