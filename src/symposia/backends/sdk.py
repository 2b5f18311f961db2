"""The providers' own SDKs, used for what they are good at: signing, sending, connection pools, error classes.

They are imported at first use. Retries and redirects are off: both are decided here, where they are seen and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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
    """One client of one event loop. `transport` takes the network's place, as in-process servers do."""

    def __init__(
        self, extra: Extra, name: str, endpoint: Remote, key: Secret | None, transport: Any = None
    ) -> None:
        module = _imported(extra, name)
        httpx = import_module("httpx2")
        headers: dict[str, Any] = dict(endpoint.headers)
        self._options: dict[str, Any] = {"follow_redirects": False}
        if key is None:
            self._options["headers"] = {"Authorization": module.Omit(), "X-Api-Key": module.Omit()}
        if isinstance(endpoint, OpenAIEndpoint) and endpoint.flavour != "openai":
            headers |= {"OpenAI-Organization": module.Omit(), "OpenAI-Project": module.Omit()}
        asked: dict[str, Any] = {"open_telemetry": False} if extra == "anthropic" else {}
        if transport is not None:
            asked["http_client"] = httpx.AsyncClient(transport=transport)
        client = module.AsyncOpenAI if extra == "openai" else module.AsyncAnthropic
        self._client = client(
            api_key=_sendable(key, name),
            base_url=endpoint.url,
            max_retries=0,
            timeout=httpx.Timeout(None, connect=endpoint.timeouts.connect_s),
            default_headers=headers,
            **asked,
        )
        self._response, self._stream = httpx.Response, module.AsyncStream[object]
        self._timeouts = (module.APITimeoutError, httpx.TimeoutException)
        self._unreadable = httpx.DecodingError
        self.refused: type[Any] = module.APIStatusError
        self.unreached: type[Any] = module.APIConnectionError
        self.broken: type[Any] = httpx.RequestError

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The response, its body still to be read."""
        return await self._client.post(
            path,
            body=body,
            cast_to=self._response,
            options=self._options,
            stream=True,
            stream_cls=self._stream,
        )

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
        why = error.__cause__ or error
        said = f"{type(why).__name__}: {why}".rstrip(": ")
        if isinstance(error, self._timeouts):
            return lost("timeout").error(said)
        return lost("bad_response" if isinstance(error, self._unreadable) else "connection").error(said)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.close()


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
