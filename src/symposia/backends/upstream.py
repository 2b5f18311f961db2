"""An OpenAI-compatible server over aiohttp: one pool of connections a loop, one key, and errors that hold no secret.

What a server says in its errors is kept only where it is about the request (400, 404, 413, 422).
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from msgspec.structs import replace

from symposia.core.clock import Clock
from symposia.core.errors import BackendError, InvalidInput
from symposia.core.redact import Redactor, Secret

from .causes import AttemptFailed
from .endpoint import check_url
from .policy import Timeouts
from .pool import Pool
from .target import Response
from .waits import Waits, Watch
from .wire import ServerError, failed, server_error

ABOUT_THE_REQUEST = frozenset({400, 404, 413, 422})
MOST_READ = 64 * 1024  # bytes of an error's body


class Upstream:
    """Where requests go. `url` without a path gets `/v1`."""

    def __init__(self, url: str, key: Secret | None, timeouts: Timeouts, clock: Clock) -> None:
        check_url(url, insecure=True)
        parts = urlsplit(url)
        self._url = (url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1").rstrip("/")
        self._headers = {"accept-encoding": "identity", "user-agent": "symposia"}
        secrets = {"upstream": self._url, "upstream_address": parts.netloc}
        if parts.hostname and "." in parts.hostname:  # else it may be an ordinary word
            secrets["upstream_host"] = parts.hostname
        if key is not None:
            self._headers["authorization"] = f"Bearer {_sendable(key)}"
            secrets["upstream_key"] = key.reveal()
        self.redactor = Redactor(secrets)
        self._timeouts, self._clock = timeouts, clock
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()

    async def refusal(self, response: Response, waits: Waits) -> AttemptFailed:
        """The classified failure of a response that is an error."""
        try:
            content = await read_all(response, waits, MOST_READ)
        except (aiohttp.ClientError, OSError):
            content = b""
        said = server_error(content) if content.lstrip().startswith(b"{") else ServerError()
        return self.failure(said, status=response.status, headers=response.headers)

    def failure(self, said: ServerError, *, status: int | None = None, headers: Any = None) -> AttemptFailed:
        """The classified failure of an error object; its words are kept only where they are about the request."""
        text = self.redactor.text
        clean = replace(
            said,
            message=text(said.message or ""),
            type=text(said.type or ""),
            code=text(str(said.code or "")),
        )
        found = failed(clean, status=status, headers=headers or {}, now=self._clock.time())
        if found.status in ABOUT_THE_REQUEST:
            return found
        what = "an error in the stream" if status is None else f"status {status}"
        return found.failure.error(f"{what} ({found.code})" if found.code else what)

    def last_words(self, error: BackendError, attempts: int) -> BackendError:
        """The error to raise: without secrets, and without what raised it."""
        return BackendError(
            self.redactor.text(str(error)),
            cause=error.cause,
            status=error.status,
            code=error.code,
            kind=error.kind,
            retry_after_s=error.retry_after_s,
            attempts=attempts,
        )

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def pool(self) -> Pool:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            watch = Watch(self._timeouts, self._clock)
            pool = self._pools[loop] = Pool(self._url, self._headers, watch)
        return pool


async def read_all(response: Response, waits: Waits, most: int) -> bytes:
    """The body, to its end, or until it has more than `most` bytes. Raises aiohttp's errors."""
    content, pieces, left = response.content, [], most
    while left >= 0:
        waits.heard()
        waits.listening()
        piece = await content.readany()
        pieces.append(piece)
        if content.at_eof():
            break
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sendable(key: Secret) -> str:
    value = key.reveal()
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise InvalidInput(
            "the upstream's key holds characters no header can carry; look for a line break or a quote"
        )
    return value
