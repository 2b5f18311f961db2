"""Every row of the fault matrix, streamed and whole: what a relay makes of it, after how many attempts."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from symposia.core.errors import BackendError, Cause
from symposia.core.request import Completion, Delta
from symposia.core.value import Value
from symposia.testing.faults import MATRIX, PLANTED_KEY, SENTENCE, UPSTREAM_SECRET, FaultyUpstream
from symposia.testing.faults.reply import pieces
from tests.backends.relaying import MODES, SHORT, asking, items_of, relay

pytestmark = pytest.mark.timeout(30)
TWO = "".join(pieces(SENTENCE)[:2])


class Seen(Value, frozen=True, kw_only=True):
    """What becomes of a request: the text of its deltas, then an error, or nothing but success."""

    said: str = ""
    cause: Cause | None = None
    status: int | None = None
    code: str = ""
    wait_s: float | None = None
    estimated: bool = False


def refused(cause: Cause, status: int, code: str = "", wait_s: float | None = None) -> tuple[Seen, Seen]:
    """The same in both modes: an error before anything was said."""
    seen = Seen(cause=cause, status=status, code=code, wait_s=wait_s)
    return seen, seen


def both(cause: Cause, code: str = "") -> tuple[Seen, Seen]:
    """The same in both modes: no reply with a status."""
    return Seen(cause=cause, code=code), Seen(cause=cause, code=code)


def cut(cause: Cause, whole: Seen, code: str = "") -> tuple[Seen, Seen]:
    """Two deltas and an error; `whole` where nothing streams."""
    return Seen(said=TWO, cause=cause, code=code), whole


UNREADABLE = Seen(cause="bad_response")
ALL = Seen(said=SENTENCE)
EXPECTED: dict[str, tuple[Seen, Seen]] = {
    "rate-limit": refused("rate_limited", 429, "rate_limit_exceeded", 7.0),
    "quota": refused("quota_exhausted", 429, "insufficient_quota"),
    "secret": refused("server_error", 500, "server_error"),
    "overloaded": refused("server_error", 503, "server_error", 3.0),
    "context": refused("context_overflow", 400, "context_length_exceeded"),
    "auth": refused("auth", 401, "invalid_api_key"),
    "html": refused("server_error", 502),
    "cut-json": both("bad_response"),
    "silence": both("timeout", "first_token"),
    "hangup": both("connection"),
    "500": refused("server_error", 500, "server_error"),
    "error": cut("server_error", Seen(cause="server_error", code="server_error"), "server_error"),
    "drop": cut("stream_truncated", UNREADABLE),
    "eof": cut("stream_truncated", UNREADABLE),
    "garbage": cut("bad_response", UNREADABLE),
    "stall": cut("timeout", Seen(cause="timeout", code="idle"), "idle"),
    "chatter": (ALL, ALL),
    "bytewise": (ALL, ALL),
    "no-finish": (Seen(said=SENTENCE, cause="stream_truncated"), UNREADABLE),
    "no-done": (ALL, ALL),
    "empty": both("bad_response"),
    "no-usage": (Seen(said=SENTENCE, estimated=True), Seen(said=SENTENCE, estimated=True)),
}


def test_every_row_is_looked_at() -> None:
    """Eighteen and four."""
    assert list(EXPECTED) == [row.name for row in MATRIX]
    assert len(MATRIX) == 22


async def seen(server: FaultyUpstream, name: str, *, streamed: bool) -> tuple[Seen, BackendError | None]:
    """What a request for that model comes to."""
    said: list[str] = []
    async with relay(server, timeouts=SHORT) as backend:
        try:
            async for item in backend.generate(asking(f"fault-{name}", streamed=streamed)):
                if isinstance(item, Delta):
                    said.append(item.text)
                else:
                    assert isinstance(item, Completion)
                    assert item.finish_reason == "stop"
                    return Seen(said="".join(said), estimated=item.usage.estimated), None
        except BackendError as error:
            text = "".join(said)
            return Seen(
                said=text,
                cause=error.cause,
                status=error.status,
                code=error.code,
                wait_s=error.retry_after_s,
            ), error
    raise AssertionError("it ended with neither a completion nor an error")


@pytest.mark.parametrize("streamed", MODES, ids=("streamed", "whole"))
@pytest.mark.parametrize("name", EXPECTED)
async def test_a_row(name: str, streamed: bool) -> None:
    """What came before the fault, what the fault was, one attempt; neither key, address nor foreign secret anywhere."""
    async with FaultyUpstream() as server:
        got, error = await seen(server, name, streamed=streamed)
        assert got == EXPECTED[name][0 if streamed else 1]
        assert server.attempts == {f"fault-{name}": 1}
        assert server.asked[0].body["stream"] is streamed
        if error is None:
            return
        told = "".join(traceback.format_exception(error)) + repr(error.__dict__) + repr(error.args)
        assert (error.__cause__, error.__context__) == (None, None)
        for secret in (PLANTED_KEY, UPSTREAM_SECRET, str(server.port), "<html", "doctype", "db.internal"):
            assert secret not in told, f"{secret!r} is in {told}"


@pytest.mark.parametrize("streamed", MODES, ids=("streamed", "whole"))
async def test_the_words_about_a_request_are_kept(streamed: bool) -> None:
    """400, 404, 413 and 422 speak of what was asked: type, code and message are the server's, without the key."""
    for status in (400, 404, 413, 422):
        name = f"{status}-echo-key:code=odd_thing:type=odd_type"
        async with FaultyUpstream(f"{name}") as server, relay(server) as backend:
            with pytest.raises(BackendError, match="Incorrect API key provided") as caught:
                await items_of(backend, asking(streamed=streamed))
        error = caught.value
        assert (error.status, error.code, error.kind) == (status, "odd_thing", "odd_type")
        assert PLANTED_KEY not in str(error)
        assert "[redacted:upstream_key]" in str(error)


@pytest.mark.parametrize("streamed", MODES, ids=("streamed", "whole"))
async def test_a_secret_is_not_cut_in_half(streamed: bool) -> None:
    """Words are scrubbed before they are shortened: no beginning of a key stays at the end of a long message."""
    for padding in range(470, 520, 7):
        plan = f"400:message={'x' * padding} {PLANTED_KEY} tail"
        async with FaultyUpstream(plan) as server, relay(server) as backend:
            with pytest.raises(BackendError) as caught:
                await items_of(backend, asking(streamed=streamed))
        assert PLANTED_KEY[:6] not in str(caught.value)


async def test_a_fault_frees_its_connection_at_once() -> None:
    """A reply that cannot be read, or that stalls, is not waited for: the server sees the caller gone."""
    async with FaultyUpstream() as server:
        for n, name in enumerate(("garbage", "stall", "silence"), start=1):
            await seen(server, name, streamed=True)
            if name != "garbage":
                async with asyncio.timeout(1):
                    await server.abandoned(n - 1)
            assert server.open == 0
