"""A refusal or failure as the caller sees it: a status, headers, and one JSON object in the OpenAI shape."""

from __future__ import annotations

import math
from typing import Self

import msgspec
from msgspec import UNSET, UnsetType

from symposia.core.errors import SymposiaError
from symposia.core.redact import Redactor
from symposia.core.served import Arm

from .table import CONDITIONS

PATIENCE_S = 120.0
"""The longest wait that SDKs honour; told to wait longer, they should give up."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Which profile was about to answer: the first four fields of a reply's steering block."""

    profile: str | None = None
    revision: str | None = None
    arm: Arm = "none"
    canary: str | None = None


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `code` is a word; `param` the JSON path, pool, scope or phase at fault.

    `current` is where an alias is instead of where it was expected, `used_by` what keeps a profile from the archive.
    """

    message: str
    type: str
    param: str | None
    code: str | None
    request_id: str
    steering: Served | UnsetType = UNSET
    current: str | UnsetType | None = UNSET
    used_by: tuple[str, ...] | UnsetType = UNSET


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error, and the last event of a stream that failed."""

    error: ErrorObject


_encode = msgspec.json.Encoder().encode


class Fault(SymposiaError):
    """Raised towards a caller. `code` is a row of the table, which gives status, type and headers.

    `retry_after_s` becomes `retry-after` in whole seconds, rounded up, and `retry-after-ms`. `again` answers
    `x-should-retry` in place of the table.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        again: bool | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        row = CONDITIONS[code]
        self.code, self.message, self.param = code, message, param
        self.status: int = row.status
        self.type: str = row.type
        self.retry_after_s = retry_after_s
        self._again = row.again if again is None else again
        self._named = (*row.headers, *headers)
        self._current: str | UnsetType | None = UNSET
        self._used_by: tuple[str, ...] | UnsetType = UNSET

    @classmethod
    def kept(cls, *, status: int, type: str, code: str, message: str) -> Self:  # noqa: A002  the wire's word
        """What the model's own server said of the caller's request, under its own code and type."""
        fault = cls("invalid_value", message)
        fault.status, fault.type, fault.code = status, type, code
        return fault

    def typed(self, type: str) -> Self:  # noqa: A002  the wire's word
        """The same with another type: rate pools say which number ran out."""
        self.type = type
        return self

    def scrubbed(self, redactor: Redactor) -> Self:
        """The same without secrets in its words: a caller may have put his key in the wrong field."""
        self.message = redactor.text(self.message)
        self.param = None if self.param is None else redactor.text(self.param)
        return self

    def answering(self, status: int) -> Self:
        """The same under another status, where settings choose it."""
        self.status = status
        return self

    def facing(
        self,
        *,
        current: str | UnsetType | None = UNSET,
        used_by: tuple[str, ...] | UnsetType = UNSET,
    ) -> Self:
        """The same with what is there now, so that the caller can decide again without another request."""
        self._current, self._used_by = current, used_by
        return self

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that belong to it, names in lower case."""
        named = self._named
        if self.retry_after_s is not None:
            wait_ms = max(0, math.ceil(self.retry_after_s * 1000))
            named = (
                *(pair for pair in named if pair[0] != "retry-after"),
                ("retry-after", str(-(-wait_ms // 1000))),
                ("retry-after-ms", str(wait_ms)),
            )
        if self._again is not None:
            named = (*named, ("x-should-retry", "true" if self._again else "false"))
        return named

    def body(self, request_id: str, served: Served | None = None) -> bytes:
        """The JSON body. `served`: the steering that was decided on before it failed."""
        return _encode(
            ErrorBody(
                error=ErrorObject(
                    message=self.message,
                    type=self.type,
                    param=self.param,
                    code=self.code or None,
                    request_id=request_id,
                    steering=UNSET if served is None else served,
                    current=self._current,
                    used_by=self._used_by,
                )
            )
        )
