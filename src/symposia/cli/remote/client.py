"""One request to a server's admin API: JSON in, a struct out, its refusals as the errors a store would raise."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from symposia.core.errors import InvalidInput, StoreUnreachable
from symposia.core.redact import Secret
from symposia.core.value import canonical

KEY = "SYMPOSIA_API_KEY"
PATIENCE_S = 180.0
"""A profile is tried on its model before it is kept, and the model may have to be loaded."""
T = TypeVar("T")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a refusal says of itself, as far as commands read it."""

    message: str
    code: str | None = None
    current: str | None = None
    used_by: tuple[str, ...] = ()


class _Body(msgspec.Struct, frozen=True):
    error: Said


class Refused(InvalidInput):
    """The server refused: `code` is a word of its table of faults."""

    def __init__(self, status: int, said: Said) -> None:
        super().__init__(said.message)
        self.status, self.said, self.code = status, said, said.code


class Answer(NamedTuple):
    """An answer that was no refusal. `etag` without its quotes."""

    raw: bytes
    etag: str


class Client:
    """The admin API at a base URL, with a key."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        """`InvalidInput` for what is no URL of a server, and without a key in the environment."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidInput(f"--url {url!r}: expected http://HOST:PORT or https://HOST:PORT")
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._parts = parts
        self._key = Secret(env.get(KEY, ""))

    def read(self, kind: type[T], path: str, query: Mapping[str, object] | None = None) -> T:
        """What a `GET` answers."""
        return self._decoded(self.ask("GET", path, query=query).raw, kind)

    def change(
        self,
        kind: type[T],
        line: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        revision: str | None = None,
    ) -> T:
        """What a change answers; `line` is its method and path. `revision`: what it must be of."""
        method, _, path = line.partition(" ")
        return self._decoded(self.ask(method, path, body, query=query, revision=revision).raw, kind)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        revision: str | None = None,
    ) -> Answer:
        """`Refused` where the server says no; `StoreUnreachable` where it does not answer, or fails."""
        headers = {"accept": "application/json", "authorization": f"Bearer {self._key.reveal()}"}
        raw = None if body is None else canonical(body)
        if raw is not None:
            headers["content-type"] = "application/json"
        if revision is not None:
            headers["if-match"] = f'"{revision}"'
        target = f"{self._parts.path.rstrip('/')}/admin/v1{path}"
        target += f"?{urlencode(query)}" if query else ""
        connection = self._connection()
        try:
            connection.request(method, target, raw, headers)
            response = connection.getresponse()
            got, status, etag = response.read(), response.status, response.headers.get("etag", "")
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnreachable(f"{self.name} does not answer: {error}; is the server running?") from error
        finally:
            connection.close()
        if status >= 400:
            raise self._refusal(status, got)
        return Answer(got, etag.strip('"'))

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        return kind(str(self._parts.hostname), self._parts.port, timeout=PATIENCE_S)

    def _refusal(self, status: int, raw: bytes) -> Exception:
        try:
            said = msgspec.json.decode(raw, type=_Body).error
        except msgspec.MsgspecError:
            return StoreUnreachable(f"{self.name}: expected a server of ours; got status {status}")
        if status >= 500:
            return StoreUnreachable(f"{self.name}: {said.message}")
        if status == 401:
            said = Said(message=f"{self.name} refuses the key in {KEY}; {said.message}", code=said.code)
        return Refused(status, said)

    def _decoded(self, raw: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            raise StoreUnreachable(f"{self.name}: an answer that cannot be read: {error}") from error


def piece(text: str) -> str:
    """Text as one piece of a path."""
    return quote(text, safe="")
