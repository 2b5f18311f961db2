"""What a hosted protocol is to the edge that speaks it: values in, values out, no I/O.

`Wire` turns requests into bodies and describes models; a `Reply` folds the events of one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.request import Completion, Delta, ModelCard, Request

from .causes import AttemptFailed, classify

Json = dict[str, Any]
MOST_SAID = 500  # characters of a server's own words in an error


class ServerError(msgspec.Struct, frozen=True, gc=False):
    """An error object, in the server's words."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class Reply(Protocol):
    """One answer being received."""

    @property
    def ended(self) -> bool:
        """No further event matters: the server said so, or the text was cut here."""
        ...

    @property
    def finished(self) -> bool:
        """The server gave its reason to finish; what may still come is only the bill."""
        ...

    @property
    def error(self) -> ServerError | None:
        """What the server said went wrong, inside the stream."""
        ...

    def feed(self, name: str, data: bytes) -> Iterable[Delta]:
        """The deltas of one event. Raises `AttemptFailed(bad_response)` for what cannot be read."""
        ...

    def completion(self, request_id: str) -> Completion:
        """The whole. Raises `AttemptFailed`: `stream_truncated` where the server gave no reason to finish."""
        ...


class Wire(Protocol):
    """One endpoint's way of speaking its protocol."""

    @property
    def endpoint(self) -> str:
        """The name it was declared under."""
        ...

    @property
    def path(self) -> str:
        """Where requests go, below the base URL."""
        ...

    def card(self, model: str) -> ModelCard:
        """What a model is taken to accept and to be able to do."""
        ...

    def refuse(self, request: Request) -> None:
        """Raise `UnsupportedRequest` for what the features do not say."""
        ...

    def body(self, request: Request) -> Json:
        """What is sent."""
        ...

    def reply(self, request: Request) -> Reply:
        """A fold for the answer."""
        ...


class _Envelope(msgspec.Struct, gc=False):
    error: ServerError | str | None = None
    message: str | None = None
    detail: msgspec.Raw | None = None
    type: str | None = None
    code: str | int | None = None


def server_error(content: bytes) -> ServerError:
    """The error object in a reply's body, in any of the shapes servers give it; else the body's beginning."""
    try:
        found = msgspec.json.decode(content, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ServerError(message=" ".join(content[:MOST_SAID].decode("utf-8", "replace").split()))
    match found.error:
        case ServerError() as error:
            return error
        case str() as text:
            return ServerError(message=text, type=found.type, code=found.code)
    detail = bytes(found.detail).decode() if found.detail else None
    return ServerError(message=found.message or detail, type=found.type, code=found.code)


def failed(
    said: ServerError, *, status: int | None, headers: Mapping[str, str], now: float, request_id: str = ""
) -> AttemptFailed:
    """The classified failure of a reply that is an error."""
    code, kind, message = str(said.code or ""), said.type or "", said.message or ""
    failure = classify(status, headers, code=code, kind=kind, message=message, now=now)
    named = " ".join(word for word in (str(status or ""), kind, code if code != kind else "") if word)
    words = message if len(message) <= MOST_SAID else message[:MOST_SAID] + "…"
    return failure.error(f"{named or 'error'}: {words or '(no message)'}", request_id=request_id)


def sendable_name(model: str, endpoint: str) -> str:
    """The server's own name of `endpoint:name`."""
    name = model.removeprefix(f"{endpoint}:")
    if not name:
        raise InvalidInput(f"{model!r}: expected {endpoint}:NAME")
    return name
