"""However a request ends: one event, one settlement, nothing held any more, nothing still running."""

from __future__ import annotations

import asyncio
import gc
import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.core.clock import SystemClock
from symposia.core.errors import BackendError, InterventionNotApplied
from symposia.core.intervention import Add
from symposia.core.profile import Profile
from symposia.core.request import Completion, Delta, ModelCard, Prompt, ServedBy
from symposia.core.served import BudgetDecision, BudgetSettled, KillSwitched, RequestServed
from symposia.core.usage import Usage
from symposia.serve.budget import CostPolicy, Limits, Rule
from symposia.serve.ledger import LedgerUnreachable
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.pipeline import Exchange
from tests.serving import Serving, scripted, until

PLENTY = CostPolicy(default=Rule(limits=Limits(max_tokens=1_000_000, max_requests=10_000)))
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 64}


class Slow:
    """A backend that says a word every few milliseconds until it is closed; `running` counts its generations."""

    def __init__(self, words: int = 10_000, pause_s: float = 0.005) -> None:
        self.words, self.pause_s, self.running = words, pause_s, 0

    async def describe(self, model):
        return ModelCard(model=model)

    async def render(self, request):
        return Prompt(tokens=5, exact=False)

    async def generate(self, request):
        self.running += 1
        try:
            for n in range(self.words):
                yield Delta(text=f"word{n} ")
                await asyncio.sleep(self.pause_s)
            yield Completion(
                text="done",
                finish_reason="stop",
                usage=Usage(input_tokens=5, output_tokens=self.words),
                served=ServedBy(endpoint="slow", model=request.model),
            )
        finally:
            self.running -= 1


class Silent(Slow):
    """A backend that never says anything."""

    async def generate(self, request):
        self.running += 1
        try:
            await asyncio.Event().wait()
            yield Delta(text="never")
        finally:
            self.running -= 1


def request_bytes(body: dict[str, object], path: str = "/v1/chat/completions") -> bytes:
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw


def asked(serving: Serving, body: dict[str, object]) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", serving.port), timeout=10)
    connection.sendall(request_bytes(body))
    return connection


def read_all(connection: socket.socket) -> bytes:
    raw = b""
    while piece := connection.recv(65536):
        raw += piece
        if raw.endswith(b"0\r\n\r\n") or (b"content-length" in raw and _complete(raw)):
            break
    connection.close()
    return raw


def _complete(raw: bytes) -> bool:
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return len(body) >= int(length.split(b":")[1])


def with_budget(serving: Serving) -> Serving:
    serving.server.see(type(serving.server.view)(policy=PLENTY))
    return serving


def settled_once(serving: Serving, n: int) -> None:
    """Each of `n` requests was told of once, and each reservation settled once."""
    served = serving.settled(n)
    assert len(served) == n
    held = [event.lease for event in serving.events if isinstance(event, BudgetDecision) and event.lease]
    ended = [event.lease for event in serving.events if isinstance(event, BudgetSettled)]
    assert sorted(held) == sorted(ended)
    assert serving.reserved() == 0
    assert serving.server.in_flight == 0
    assert serving.server.exchanges == 0
    assert len(serving.server.watch) == 0


@pytest.fixture(scope="module")
def slow():
    backend = Slow()
    with Serving({"m": backend}) as serving:
        yield with_budget(serving), backend


@settings(max_examples=15)
@given(read=st.integers(min_value=0, max_value=3000), stream=st.booleans())
def test_a_caller_who_leaves_at_any_byte_frees_everything(slow, read, stream):
    serving, backend = slow
    before = len(serving.served)
    connection = asked(serving, {**BODY, "stream": stream})
    until(lambda: backend.running == 1)
    if stream:
        got = 0
        while got < read:
            got += len(connection.recv(min(read - got, 4096)))
    connection.close()
    until(lambda: backend.running == 0, timeout_s=1.0)
    served = serving.settled(before + 1)[-1]
    assert served.outcome == "cancelled"
    assert served.estimated
    assert serving.reserved() == 0


def test_what_a_leaver_was_told_is_what_is_charged(slow):
    serving, _ = slow
    before = len(serving.served)
    connection = asked(serving, {**BODY, "stream": True})
    raw = b""
    while raw.count(b"data:") < 20:
        raw += connection.recv(4096)
    connection.close()
    event = serving.settled(before + 1)[-1]
    assert event.prompt_tokens == 5
    assert 20 <= event.completion_tokens < 200
    settled = [e for e in serving.events if isinstance(e, BudgetSettled)][-1]
    used = {amount.field: amount.amount for amount in settled.amounts}
    assert used == {"tokens": event.prompt_tokens + event.completion_tokens, "requests": 1}


def test_silence_is_a_timeout_that_says_which():
    with Serving({"m": Silent()}, connect_s=0.1, first_token_s=0.2, total_s=0.6) as serving:
        with_budget(serving)
        raw = read_all(asked(serving, {**BODY, "stream": True}))
        assert raw.startswith(b"HTTP/1.1 504")
        assert b'"code":"provider_timeout"' in raw
        assert b'"param":"first_token"' in raw
        assert b"event-stream" not in raw
        whole = read_all(asked(serving, BODY))
        assert whole.startswith(b"HTTP/1.1 504")
        assert b'"param":"total"' in whole
        settled_once(serving, 2)


def test_a_stall_after_pieces_is_told_in_the_stream_without_done():
    with Serving({"m": Slow(pause_s=5.0)}, idle_s=0.3) as serving:
        raw = read_all(asked(serving, {**BODY, "stream": True}))
        assert raw.startswith(b"HTTP/1.1 200")
        assert b"word0" in raw
        assert b'"param":"idle"' in raw
        assert b"[DONE]" not in raw
        assert serving.settled(1)[0].outcome == "error"


def test_a_silent_stream_is_kept_open_by_pings():
    with Serving({"m": Slow(words=2, pause_s=0.8)}, ping_s=0.2) as serving:
        raw = read_all(asked(serving, {**BODY, "stream": True}))
        assert raw.count(b": ping\n\n") >= 2
        assert b"[DONE]" in raw


def test_a_reader_who_takes_nothing_is_taken_for_gone():
    class Loud(Slow):
        async def generate(self, request):
            self.running += 1
            try:
                while True:
                    yield Delta(text="x" * 50_000)
                    await asyncio.sleep(0)
            finally:
                self.running -= 1

    loud = Loud()
    with Serving({"m": loud}, write_stall_s=0.3) as serving:
        with_budget(serving)
        connection = asked(serving, {**BODY, "stream": True})
        until(lambda: len(serving.served) == 1, timeout_s=15)
        assert serving.served[0].outcome == "cancelled"
        assert loud.running == 0
        settled_once(serving, 1)
        connection.close()


def test_more_than_fit_are_told_to_come_again():
    backend = Silent()
    with Serving({"m": backend}, max_in_flight=2) as serving:
        with_budget(serving)
        waiting = [asked(serving, BODY) for _ in range(2)]
        until(lambda: backend.running == 2)
        raw = read_all(asked(serving, BODY))
        assert raw.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in raw
        for connection in waiting:
            connection.close()
        settled_once(serving, 3)


def test_the_kill_switch_holds_from_the_next_request_and_cuts_what_runs():
    backend = Slow()
    card = ModelCard(model="x", features=frozenset({"interventions"}))
    backend.describe = lambda model: asyncio.sleep(0, card)
    profile = Profile(model="scripted:m", interventions=(Add(vector="sha256:" + "0" * 64, layers=(1,)),))
    with Serving({"m": backend}) as serving:
        view = type(serving.server.view)(
            profiles={profile.digest: profile}, aliases={"scripted:m": {"calm": profile.digest}}
        )
        serving.server.see(view)
        running = asked(serving, {**BODY, "model": "m@calm", "stream": True})
        until(lambda: backend.running == 1)
        kill = KillSwitched(on=True, cut=True, actor="test", reason="x")
        killed = type(view)(profiles=view.profiles, aliases=view.aliases, kill=kill)
        serving.loop.call_soon_threadsafe(serving.server.see, killed)
        raw = read_all(running)
        assert b"steering_disabled" in raw
        assert b"[DONE]" not in raw
        required = read_all(asked(serving, {**BODY, "model": "m@calm", "steering_required": True}))
        assert required.startswith(b"HTTP/1.1 503")
        assert b"x-should-retry: false" in required
        after = asked(serving, {**BODY, "model": "m@calm", "stream": True})
        head = after.recv(4096)
        after.close()
        assert b"x-steering-arm: baseline" in head
        assert b"x-steering-applied: false" in head
        served = serving.settled(3)[-1]
        assert (served.arm, served.revision) == ("baseline", replace(profile, interventions=()).digest)


class Broken(MemoryLedger):
    """A ledger that fails at one of its operations."""

    def __init__(self, at: str, error: Exception) -> None:
        super().__init__(SystemClock())
        self._at, self._error = at, error

    async def reserve(self, lease, charges, *, ttl_s, hard=True):
        if self._at == "reserve":
            raise self._error
        return await super().reserve(lease, charges, ttl_s=ttl_s, hard=hard)

    async def settle(self, lease, *, tokens, requests):
        if self._at == "settle":
            raise self._error
        return await super().settle(lease, tokens=tokens, requests=requests)


@pytest.mark.parametrize("error", [LedgerUnreachable("down"), RuntimeError("a bug")])
@pytest.mark.parametrize("at", ["reserve", "settle"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_ledger_that_fails_leaves_one_event(at, error, stream):
    with Serving({"m": scripted()}, ledger=Broken(at, error)) as serving:
        raw = read_all(asked(with_budget(serving), {**BODY, "stream": stream}))
        expected = b"200" if at == "settle" else b"503" if isinstance(error, LedgerUnreachable) else b"500"
        assert raw.split(b" ")[1] == expected
        assert len(serving.settled(1)) == 1
        assert serving.server.in_flight == 0
        assert bool(serving.failures) == isinstance(error, RuntimeError)


FAILURES = {
    "backend": BackendError("x", cause="server_error"),
    "bug": ZeroDivisionError("a bug"),
    "proof": InterventionNotApplied("x"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("what", ["backend", "bug", "proof", "truncated", "twice"])
def test_a_backend_that_fails_anywhere_is_settled_and_told_once(what, after, stream):
    class Failing(Slow):
        async def generate(self, request):
            for n in range(after):
                yield Delta(text=f"word{n}")
            done = Completion(
                text="x",
                finish_reason="stop",
                usage=Usage(input_tokens=1, output_tokens=1),
                served=ServedBy(endpoint="x", model="x"),
            )
            if what == "twice":
                yield done
                await asyncio.sleep(0.01)
                yield done
            if what != "truncated":
                raise FAILURES[what]

    with Serving({"m": Failing()}) as serving:
        raw = read_all(asked(with_budget(serving), {**BODY, "stream": stream}))
        settled_once(serving, 1)
        event = serving.served[0]
        if what == "twice":
            assert event.outcome == "ok"
        else:
            assert event.outcome == "error"
            assert b"[DONE]" not in raw
            assert b'"finish_reason":"stop"' not in raw
        if after == 0 and what != "twice":
            assert event.status >= 500
        assert b"a bug" not in raw
        ready = serving.server.models["m"].ready
        assert ready == (what != "proof")


def test_a_request_that_never_reaches_the_backend_is_told_of_too():
    with Serving({"m": scripted()}) as serving:
        with_budget(serving)
        cases = [
            (b'{"model":', 400),
            (json.dumps({**BODY, "model": "nobody"}).encode(), 404),
            (json.dumps({**BODY, "temperature": "hot"}).encode(), 400),
            (json.dumps({**BODY, "steering_profile": "nobody"}).encode(), 404),
            (b"x" * 100, 400),
        ]
        for raw, status in cases:
            connection = socket.create_connection(("127.0.0.1", serving.port), timeout=10)
            head = (
                "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            )
            connection.sendall(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
            assert read_all(connection).split(b" ")[1] == str(status).encode()
        settled_once(serving, len(cases))
        assert {event.outcome for event in serving.served} == {"refused"}
        assert all(isinstance(event, RequestServed) for event in serving.events)


def test_what_a_request_leaves_behind_is_freed_without_the_collector():
    """No cycles, or the collector stops everything for milliseconds again and again: whole, streamed, cut, failed."""

    def ask(serving, **more):
        with socket.create_connection(("127.0.0.1", serving.port)) as caller:
            raw = json.dumps({**BODY, **more}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(raw)}\r\n"
            caller.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + raw)
            return caller.recv(65_536)

    def exchanges():
        return sum(
            type(one) is Exchange for one in gc.get_objects()
        )  # isinstance asks proxies, and some warn

    with Serving({"m": scripted(), "slow": Slow(words=60)}) as serving:
        asked = (
            {},
            {"stream": True},
            {"model": "slow"},
            {"model": "slow", "stream": True},
            {"model": "none"},
        )
        for each in asked:  # what is made once
            assert ask(serving, **each)
        serving.settled(len(asked))
        until(lambda: serving.server.exchanges == 0)
        serving.run(asyncio.sleep(0.3))
        gc.collect()
        gc.disable()
        before = exchanges()
        try:
            for each in asked:
                ask(serving, **each)
            serving.settled(2 * len(asked))
            until(lambda: serving.server.exchanges == 0)
            serving.run(asyncio.sleep(0.3))
            left = exchanges()
        finally:
            gc.enable()
        assert left == before


def test_an_event_that_cannot_be_kept_is_told_to_who_watches():
    with Serving({"m": scripted()}) as serving:
        spoilt = RequestServed(request_id="bad", status=200, outcome="ok", latency_ms=float("nan"))
        serving.server.emit(spoilt)
        until(lambda: serving.failures)
        assert "latency_ms" in str(serving.failures[0][1])
        until(lambda: serving.server.journal.waiting == 0)
