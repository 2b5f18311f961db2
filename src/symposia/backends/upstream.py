"""An OpenAI-compatible server over aiohttp: one pool of connections a loop, one key, and errors that hold no secret.

No proxy, cookie or `netrc` of the environment is used, no redirect followed, nothing of a caller's headers sent on.
What a server says in its errors is kept only where it is about the request (400, 404, 413, 422).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from msgspec.structs import replace
from yarl import URL

from symposia.core.clock import Clock
from symposia.core.errors import BackendError, InvalidInput
from symposia.core.redact import Redactor, Secret

from .causes import AttemptFailed, lost
from .endpoint import check_url
from .policy import Timeouts
from .waits import Waits, Watch
from .wire import ServerError, failed, server_error

ABOUT_THE_REQUEST = frozenset({400, 404, 413, 422})
MOST_READ = 64 * 1024  # bytes of an error's body
_FOREVER = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class Unreached(AttemptFailed):
    """No connection could be made, so nothing was sent."""


class Connector(aiohttp.TCPConnector):
    """Tells the `Waits` of the task that asks when it has a connection, new or used before."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(limit=limit)
        self.waits: dict[asyncio.Task[object], Waits] = {}

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """As aiohttp's."""
        connection = await super().connect(req, traces, timeout)
        task = asyncio.current_task()
        if task is not None and task in self.waits:
            self.waits[task].connected()
        return connection


@dataclass(frozen=True, slots=True)
class Pool:
    """What one loop has: its connections, and who looks at what is under way."""

    session: aiohttp.ClientSession
    connector: Connector
    watch: Watch


class Upstream:
    """Where requests go. `url` without a path gets `/v1`."""

    def __init__(self, url: str, key: Secret | None, timeouts: Timeouts, clock: Clock) -> None:
        check_url(url, insecure=True)
        parts = urlsplit(url)
        self._url = (url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1").rstrip("/")
        self._urls: dict[str, URL] = {}
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

    async def send(
        self, path: str, body: bytes | None, waits: Waits, *, traceparent: str = ""
    ) -> aiohttp.ClientResponse:
        """The response to a POST of JSON, or to a GET without a body; its headers read, its body still to come.

        Raises `Unreached` where nothing was sent, else `AttemptFailed(connection)`, or what `waits` ran into.
        """
        headers = {} if body is None else {"content-type": "application/json"}
        if traceparent:
            headers["traceparent"] = traceparent
        pool, task = self.pool(), asyncio.current_task()
        assert task is not None, "an async generator of asyncio runs in a task"
        before = task.cancelling()
        waits.check()
        waits.ends(task.cancel)
        pool.connector.waits[task] = waits
        try:
            response = await pool.session.request(
                "GET" if body is None else "POST",
                self._at(path),
                data=body,
                headers=headers,
                allow_redirects=False,
            )
        except asyncio.CancelledError:
            if waits.late is not None and task.uncancel() <= before:
                raise waits.failed() from None
            raise
        except aiohttp.ClientConnectorError as error:
            raise Unreached(lost("connection"), f"no connection: {_why(error)}") from None
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise lost("connection").error(f"the connection ended before a reply: {_why(error)}") from None
        except aiohttp.ClientError as error:
            raise lost("bad_response").error(f"not a reply in HTTP: {_why(error)}") from None
        finally:
            waits.ends(None)
            del pool.connector.waits[task]
        waits.ends(response.close)
        return response

    async def refusal(self, response: aiohttp.ClientResponse, waits: Waits) -> AttemptFailed:
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
            pool.watch.close()
            await pool.session.close()

    def pool(self) -> Pool:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            connector = Connector(limit=0)
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=_FOREVER,
            )
            pool = self._pools[loop] = Pool(session, connector, Watch(self._timeouts, self._clock))
        return pool

    def _at(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._url + path)
        return url


async def read_all(response: aiohttp.ClientResponse, waits: Waits, most: int) -> bytes:
    """The body, to its end, or until it has more than `most` bytes. Raises aiohttp's errors."""
    pieces: list[bytes] = []
    left = most
    while left >= 0:
        waits.heard()
        waits.listening()
        piece = await response.content.readany()
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _why(error: BaseException) -> str:
    """The kind of a failure, never its words: they name hosts."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return type(inner).__name__


def _sendable(key: Secret) -> str:
    value = key.reveal()
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise InvalidInput(
            "the upstream's key holds characters no header can carry; look for a line break or a quote"
        )
    return value
