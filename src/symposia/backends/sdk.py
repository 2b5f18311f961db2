"""The providers' own SDKs, used for what they are good at: writing and signing a request, their HTTP client.

They are imported at first use. An SDK takes half a millisecond to write a request, of which only the body differs from
call to call: it writes one, and that one is sent again with every body. Retries and redirects are off: both are decided
here, where they are seen and counted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import cache
from http.cookiejar import CookieJar
from importlib import import_module
from typing import Any, Literal

from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.redact import Secret

from .causes import AttemptFailed, lost
from .endpoint import OpenAIEndpoint, Remote

Extra = Literal["openai", "anthropic"]
_DRAIN_S = 0.1
_NO_KEY = "none"


class Sdk:
    """What one event loop sends to one endpoint. `transport` takes the network's place, as in-process servers do.

    Every request in flight has an HTTP client of its own, the last one used being the first to be used again. A client
    looks at all connections it holds whenever a request begins or ends, with a system call for each: for sixty calls
    at once that is more work than everything else they need.
    """

    def __init__(
        self, extra: Extra, name: str, endpoint: Remote, key: Secret | None, transport: Any = None
    ) -> None:
        module = _imported(extra, name)
        self._httpx = import_module("httpx2")
        headers: dict[str, Any] = dict(endpoint.headers)
        self._options: dict[str, Any] = {"follow_redirects": False}
        if key is None:
            self._options["headers"] = {"Authorization": module.Omit(), "X-Api-Key": module.Omit()}
        if isinstance(endpoint, OpenAIEndpoint) and endpoint.flavour != "openai":
            headers |= {"OpenAI-Organization": module.Omit(), "OpenAI-Project": module.Omit()}
        asked: dict[str, Any] = {"open_telemetry": False} if extra == "anthropic" else {}
        client = module.AsyncOpenAI if extra == "openai" else module.AsyncAnthropic
        self._written: Any = None
        self._writer = client(
            api_key=_sendable(key, name),
            base_url=endpoint.url,
            max_retries=0,
            timeout=self._httpx.Timeout(None, connect=endpoint.timeouts.connect_s),
            default_headers=headers,
            http_client=self._httpx.AsyncClient(transport=self._httpx.MockTransport(self._catch)),
            **asked,
        )
        self._stream = module.AsyncStream[object]
        if transport is None:
            self._client = module.DefaultAsyncHttpxClient
            self._reached: dict[str, Any] = {"verify": _trusted()}
        else:
            self._client, self._reached = self._httpx.AsyncClient, {"transport": transport}
        self._cookies = CookieJar()
        self._clients: list[Any] = []
        self._free: list[Any] = []
        self.broken: type[Any] = self._httpx.RequestError

    def answer(self, path: str, body: bytes) -> Answer:
        """The response to a POST of JSON, whatever its status, its body still to be read; closed on every exit."""
        return Answer(self, path, body)

    async def request(self, path: str, body: bytes) -> Any:
        """What is sent: the request as the SDK writes it, with that body."""
        written = self._written or await self._write(path)
        request = self._httpx.Request(
            "POST",
            written.url,
            headers=written.headers,
            cookies=self._cookies,
            stream=self._httpx.ByteStream(body),
            extensions=written.extensions,
        )
        request.headers["Content-Length"] = str(len(body))
        return request

    def take(self) -> Any:
        """A client that nobody uses."""
        return self._free.pop() if self._free else self._connected()

    def give_back(self, client: Any) -> None:
        """Nobody uses it any more."""
        self._free.append(client)

    async def drained(self, pieces: AsyncIterator[bytes]) -> None:
        """Read what is left of an answer that has ended, so that its connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                async for _ in pieces:
                    pass
        except (TimeoutError, self.broken):
            pass

    def lost(self, error: BaseException) -> AttemptFailed:
        """What a request or a stream came to that no reply ended."""
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, self._httpx.TimeoutException):
            return lost("timeout").error(said)
        return lost("bad_response" if isinstance(error, self._httpx.DecodingError) else "connection").error(
            said
        )

    async def aclose(self) -> None:
        """Close its connections."""
        clients, self._clients, self._free = self._clients, [], []
        await self._writer.close()
        for client in clients:
            await client.aclose()

    async def _write(self, path: str) -> Any:
        """The request as the SDK writes it: where it goes, its headers and its limits. Nothing is sent."""
        await self._writer.post(
            path,
            body={},
            cast_to=self._httpx.Response,
            options=self._options,
            stream=True,
            stream_cls=self._stream,
        )
        return self._written

    def _catch(self, request: Any) -> Any:
        """In the network's place, while the SDK writes."""
        del request.headers["Content-Length"]  # the one header that is the body's
        self._written = request
        return self._httpx.Response(200)

    def _connected(self) -> Any:
        """One more client, for one more request at once."""
        made = self._client(cookies=self._cookies, **self._reached)
        self._clients.append(made)
        return made


class Answer:
    """One answer being received, and the client that receives it."""

    def __init__(self, sdk: Sdk, path: str, body: bytes) -> None:
        self._sdk, self._path, self._body = sdk, path, body
        self._client: Any = None
        self._response: Any = None

    async def __aenter__(self) -> Any:
        request = await self._sdk.request(self._path, self._body)
        client = self._sdk.take()
        try:
            self._response = await client.send(request, stream=True, follow_redirects=False)
        except BaseException:
            self._sdk.give_back(client)
            raise
        self._client = client
        return self._response

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self._response.aclose()
        finally:
            self._sdk.give_back(self._client)


@cache
def _trusted() -> ssl.SSLContext:
    """Whom TLS trusts: one for all endpoints and loops, because reading it takes 20 ms of a core."""
    context: ssl.SSLContext = import_module("httpx2").create_ssl_context()
    return context


def _imported(extra: Extra, name: str) -> Any:
    try:
        return import_module(extra)
    except ModuleNotFoundError as error:
        raise UnsupportedRequest(
            endpoint=name,
            model=f"{name}:…",
            feature="hosted models",
            why=f"the package {error.name} is not installed",
            way_out=f"pip install 'symposia[{extra}]'",
        ) from None


def _sendable(key: Secret | None, name: str) -> str:
    value = _NO_KEY if key is None else key.reveal()
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise InvalidInput(
            f"{name}: its key holds characters no header can carry; look for a line break or a quote"
        )
    return value
