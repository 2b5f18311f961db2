"""The log: a line for each event worth reading, without secrets. What it cannot write, it leaves; serving goes on."""

from __future__ import annotations

import json
import threading
import traceback
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

import msgspec

from symposia.core.redact import Redactor
from symposia.core.served import (
    AuthRefused,
    BudgetDecision,
    BudgetSettled,
    BudgetWarning,
    KillSwitched,
    LedgerDown,
    RequestServed,
    ServerEvent,
    TracingStopped,
)

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["json", "text"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "traceparent",
        "user-agent",
        "x-request-id",
        "x-stainless-lang",
        "x-stainless-package-version",
        "x-stainless-retry-count",
    }
)
"""The only request headers a log may show."""

_encode = msgspec.json.Encoder().encode
_MOST_WAITING = 1_000


def level_of(event: ServerEvent) -> Level:
    """How much somebody should care: what the caller got wrong is `info`, what the operator may have to mend more."""
    match event:
        case BudgetDecision():
            return "debug" if event.decision == "allowed" else "warning"
        case BudgetSettled():
            return "debug" if event.outcome in ("settled", "released") else "warning"
        case RequestServed():
            return "info" if event.outcome != "error" else "error" if event.status == 500 else "warning"
        case AuthRefused() | BudgetWarning() | KillSwitched():
            return "warning"
        case LedgerDown() | TracingStopped():
            return "error"
    return "info"


def shown(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Those of a request's headers that may be logged."""
    named = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return {name: value for name, value in named if name in HEADERS}


class Log:
    """A listener of server events, from any thread: lines of JSON, or text for people, of `level` and above.

    `buffered`: a line below `warning` waits for `flush`, for one that does not wait, or for a thousand more.
    """

    def __init__(
        self,
        stream: TextIO,
        redactor: Redactor,
        *,
        level: Level = "info",
        form: Form = "json",
        buffered: bool = False,
    ) -> None:
        self._stream, self._redactor, self._form = stream, redactor, form
        self._worth = frozenset(LEVELS[LEVELS.index(level) :])
        self._patient = frozenset(("debug", "info")) if buffered else frozenset()
        self._waiting: deque[bytes] = deque()
        self._gone = False
        self._lock = threading.RLock()  # writing may find a coroutine to warn of, which is a line too

    def __call__(self, time: float, event: ServerEvent) -> None:
        """Write the event, if it is worth reading. What is empty, and the insides of receipts, are left out."""
        level = level_of(event)
        if level not in self._worth:
            return
        line = _begun(time, level, event.__struct_config__.tag)
        for name, value in msgspec.structs.asdict(event).items():
            if value or value == 0:  # a zero is said, and False; None, "" and () are not
                line[name] = value
        if isinstance(event, RequestServed) and event.receipts:
            line["receipts"] = [receipt.status for receipt in event.receipts]
        self._write(level, line)

    def received(
        self, time: float, request_id: str, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """A request came (`debug`): its path without the query, its headers as far as they may be shown."""
        if "debug" in self._worth:
            fields = {"request_id": request_id, "method": method, "path": path, "headers": shown(headers)}
            self._write("debug", _begun(time, "debug", "request_received") | fields)

    def failed(self, time: float, request_id: str, error: BaseException) -> None:
        """A request met a bug (`error`): the traceback its caller does not see."""
        told = "".join(traceback.format_exception(error))
        fields = {"request_id": request_id, "traceback": told}
        self._write("error", _begun(time, "error", "internal_error") | fields)

    def note(self, time: float, level: Level, what: str, fields: Mapping[str, Any]) -> None:
        """Something of the server's own: that it listens, that it ends."""
        if level in self._worth:
            self._write(level, {**_begun(time, level, what), **fields})

    def _write(self, level: Level, line: dict[str, Any]) -> None:
        if self._gone:
            return
        self._waiting.append(_encode(line))
        if level not in self._patient or len(self._waiting) >= _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits, without secrets."""
        with self._lock:
            lines: list[bytes] = []
            with suppress(IndexError):
                while True:
                    lines.append(self._waiting.popleft())
            if not lines:
                return
            told = self._redactor.lines(b"\n".join(lines)).decode()
            if self._form == "text":
                told = "\n".join(text_of(msgspec.json.decode(line)) for line in told.split("\n"))
            try:
                self._stream.write(f"{told}\n")
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more: a pipe that closed, a disk that is full
                self._gone = True


def _begun(time: float, level: Level, what: object) -> dict[str, Any]:
    """What every line begins with."""
    return {"time": _told(time), "level": level, "type": what}


def _told(time: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    thousandths = round(time * 1000)
    return f"{_second(thousandths // 1000)}.{thousandths % 1000:03d}+00:00"


@lru_cache(maxsize=4)
def _second(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()[:19]


def text_of(line: Mapping[str, Any]) -> str:
    """A line for people: time, level, what happened, then `name=value`; a traceback in lines of its own."""
    rest = {name: value for name, value in line.items() if name not in ("time", "level", "type", "traceback")}
    told = " ".join(f"{name}={_word(value)}" for name, value in rest.items())
    tail = "".join(f"\n    {_printable(each)}" for each in str(line.get("traceback", "")).splitlines())
    return f"{line['time']} {line['level']:<7} {line['type']} {told}".rstrip() + tail


def _word(value: Any) -> str:
    """A value without spaces as it is, any other as JSON."""
    plain = isinstance(value, str) and value.isprintable() and not set(value) & set(' "=')
    return value if plain and value else json.dumps(value)


def _printable(line: str) -> str:
    return line if line.isprintable() else json.dumps(line)
