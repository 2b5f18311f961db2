"""`Journalled`: nothing is generated twice, and nothing but completions is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from symposia.backends import Fault, Journal, Journalled, Scripted
from symposia.backends.journal import read_journal
from symposia.core.clock import VirtualClock
from symposia.core.errors import BackendError, NotKept, TurnFailed, UnsupportedRequest
from symposia.core.profile import Sampling
from symposia.core.request import About, Completion, Delta, Item, Request, Retrying
from symposia.talk.converse import converse
from symposia.talk.protocols import RoundRobin, Rounds
from symposia.talk.rules import Rules
from symposia.testing import check_backend
from symposia.testing.backends import plain_request
from tests.backends.test_journal import no_file_larger_than
from tests.company import babble, completion, party


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path) as opened:
        yield opened


async def reply(backend: Journalled, request: Request) -> Completion:
    return [item async for item in backend.generate(request)][-1]


def asked(text: str = "hello", **fields: object) -> Request:
    return (
        plain_request("m", text=text) if not fields else Request(model="m", lines=(), speaker="ann", **fields)
    )


def counting() -> Scripted:
    """Every call is answered with another text: a hosted model that honours no seed."""
    numbers = count()
    return Scripted(lambda _: f"reply {next(numbers)}")


@pytest.mark.parametrize("again", ["same", "next"])
@pytest.mark.parametrize("options", [{}, {"chunk": 3}, {"latency_s": 0.001}])
async def test_it_keeps_the_backend_protocol_the_first_time_and_from_the_journal(
    tmp_path, options, again
) -> None:
    for _ in range(2):
        with Journal.open(tmp_path) as journal:
            inner = Scripted(lambda _: "well, let me see", **options)
            backend = Journalled(inner, journal, again=again)
            await check_backend(backend, "m")
    assert backend.kept > 0
    if again == "same":
        assert inner.requests == [], "the second time only refusals reached the script"


async def test_a_known_request_is_not_asked_again(tmp_path) -> None:
    """In this process or a later one, whoever asks: `about` names the generation, not the ask."""
    for sitting in range(2):
        with Journal.open(tmp_path) as journal:
            backend = Journalled(inner := counting(), journal)
            for about in (About(), About(conversation="another", purpose="sample")):
                request = Request(model="m", lines=(), speaker="ann", about=about)
                assert (await reply(backend, request)).text == "reply 0"
            assert (len(inner.requests), backend.calls, backend.kept) == ((1, 1, 1), (0, 0, 2))[sitting]


async def test_another_model_line_sampling_or_seed_is_another_ask(journal) -> None:
    backend = Journalled(inner := counting(), journal)
    for request in (
        asked(),
        asked("other"),
        asked(seed=1),
        asked(seed=2),
        asked(sampling=Sampling(temperature=0.1)),
    ):
        await reply(backend, request)
    assert len(inner.requests) == 5


async def test_equal_requests_at_the_same_time_are_asked_once(journal) -> None:
    """Ten at once make one call; the one who asks hears every delta, the others the whole as one."""
    clock = VirtualClock()
    inner = Scripted(lambda _: "slowly said words", latency_s=5, chunk=4, clock=clock)
    backend = Journalled(inner, journal, clock=clock)

    async def items() -> list[Item]:
        return [item async for item in backend.generate(asked())]

    async def all_of_them() -> list[list[Item]]:
        return await asyncio.gather(*(items() for _ in range(10)))

    got = await clock.run(all_of_them())
    assert len(inner.requests) == 1
    assert sorted(len(each) for each in got) == [2] * 9 + [6]
    assert {"".join(i.text for i in each[:-1]) for each in got} == {"slowly said words"}
    assert len({each[-1].digest for each in got}) == 1


async def test_when_the_one_who_asks_gives_up_another_asks(journal) -> None:
    """Cancelled, or failed: those who waited for it are not harmed."""
    clock = VirtualClock()
    inner = Scripted(lambda _: "said", latency_s=5, clock=clock, faults=[Fault(cause="timeout")])
    backend = Journalled(inner, journal, clock=clock)
    first, second, third, fourth = (asyncio.ensure_future(reply(backend, asked())) for _ in range(4))
    await clock.advance(1)
    first.cancel()
    outcome = await clock.run(asyncio.gather(first, second, third, fourth, return_exceptions=True))
    assert isinstance(outcome[0], asyncio.CancelledError)
    assert [getattr(o, "cause", o) for o in outcome[1:]].count("timeout") == 0, (
        "the fault went with the first"
    )
    assert {o.text for o in outcome[1:]} == {"said"}
    assert len(inner.requests) == 2


async def test_draws_are_told_apart_and_come_back_in_order(tmp_path) -> None:
    """With `again="next"` the k-th equal request gets the k-th completion, now and when the run is taken up again."""
    for texts in (["reply 0", "reply 1", "reply 2"], ["reply 0", "reply 1", "reply 2", "reply 0"]):
        with Journal.open(tmp_path) as journal:
            backend = Journalled(counting(), journal, again="next")
            assert [(await reply(backend, asked())).text for _ in texts] == texts


async def test_draws_at_the_same_time_are_numbered_by_who_asked_first(tmp_path) -> None:
    """However late the first one's completion comes."""
    clock = VirtualClock()
    waits = iter((3.0, 1.0))
    numbers = count()

    class Uneven(Scripted):
        async def generate(self, request: Request) -> AsyncIterator[Item]:
            text = f"reply {next(numbers)}"
            await clock.sleep(next(waits))
            yield completion(text)

    for _ in range(2):
        with Journal.open(tmp_path) as journal:
            backend = Journalled(Uneven(babble), journal, again="next", clock=clock)
            got = await clock.run(asyncio.gather(*(reply(backend, asked()) for _ in range(2))))
            assert [one.text for one in got] == ["reply 0", "reply 1"]


async def test_a_failed_draw_is_drawn_again_under_its_number(tmp_path) -> None:
    with Journal.open(tmp_path) as journal:
        inner = Scripted(lambda _: "said", faults=[Fault(cause="timeout")])
        backend = Journalled(inner, journal, again="next")
        with pytest.raises(BackendError):
            await reply(backend, asked())
        await reply(backend, asked())
    assert [row.draw for row in read_journal(tmp_path)] == [0]


async def test_failures_and_refusals_are_not_kept(journal) -> None:
    """What failed is asked again; what is refused is refused again."""
    inner = Scripted(lambda _: "said", faults=[Fault(cause="server_error", after=1)], chunk=2)
    backend = Journalled(inner, journal)
    with pytest.raises(BackendError):
        await reply(backend, asked())
    with pytest.raises(UnsupportedRequest):
        await reply(backend, asked(logprobs=1))
    assert len(journal) == 0
    assert (await reply(backend, asked())).text == "said"


class Broken:
    """A backend whose stream is what it is told."""

    def __init__(self, *items: Item) -> None:
        self._items = items

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        for item in self._items:
            yield item


@pytest.mark.parametrize(
    ("items", "cause"),
    [
        ((Delta(text="cut"),), "stream_truncated"),
        ((completion("said"), Delta(text="more")), "bad_response"),
        ((completion("said"), completion("said")), "bad_response"),
    ],
)
async def test_a_stream_that_breaks_the_protocol_is_not_kept(journal, items, cause) -> None:
    with pytest.raises(BackendError) as caught:
        await reply(Journalled(Broken(*items), journal), asked())
    assert (caught.value.cause, len(journal)) == (cause, 0)


async def test_repeated_attempts_are_heard(journal) -> None:
    told = Retrying(cause="rate_limited", wait_s=2.0, attempt=2)
    backend = Journalled(Broken(told, Delta(text="said"), completion("said")), journal)
    assert await anext(backend.generate(asked())) == told
    assert len([item async for item in backend.generate(asked())]) == 3
    assert [type(item) for item in [i async for i in backend.generate(asked())]] == [Delta, Completion]


async def test_a_kept_reply_sounds_like_the_first(journal) -> None:
    """One delta with the text, its tokens, and the phase it began in; none for a reply without text."""
    made = completion("<think>hm</think>yes", token_ids=(1, 2), opens_thinking=True)
    backend = Journalled(Broken(made), journal)
    await reply(backend, asked())
    first, _ = [item async for item in backend.generate(asked())]
    assert first == Delta(text=made.text, phase="reasoning", token_ids=(1, 2))


async def test_times_come_from_the_clock(tmp_path) -> None:
    clock = VirtualClock(start=1000.0)
    about = About(conversation="c", speaker="ann")
    with Journal.open(tmp_path) as journal:
        backend = Journalled(Scripted(lambda _: "x", latency_s=7, clock=clock), journal, clock=clock)
        await clock.run(reply(backend, asked(about=about)))
    (row,) = read_journal(tmp_path)
    assert (row.at, row.took_s, row.about) == (1007.0, 7.0, about)


async def test_a_completion_is_in_the_file_before_it_is_delivered(tmp_path) -> None:
    with Journal.open(tmp_path) as journal:
        async for item in Journalled(Scripted(babble), journal).generate(asked()):
            assert len(list(read_journal(tmp_path))) == isinstance(item, Completion)


async def test_a_cut_conversation_goes_on_with_what_was_said(tmp_path) -> None:
    """A failed run and the same command again: the same transcript, and only what is missing is asked."""
    people, protocol = party("ann", "bob", "carla"), Rounds(speakers=("ann", "bob", "carla"), rounds=4)
    whole = await converse(protocol, people, Scripted(babble))
    fault = Fault(cause="server_error", speaker="bob", turn=6)
    with Journal.open(tmp_path) as journal:
        with pytest.raises(TurnFailed):
            await converse(protocol, people, Journalled(Scripted(babble, faults=[fault]), journal))
        first = len(journal)
        again = await converse(protocol, people, backend := Journalled(Scripted(babble), journal))
    assert again.transcript == whole.transcript
    assert (first, backend.kept, backend.calls) == (8, 8, 4)


async def test_a_full_disk_stops_a_conversation_even_where_turns_may_abstain(tmp_path) -> None:
    """Nobody abstained: the run cannot keep anything, and says so."""
    from tests.talk.test_marks import Round, turns

    with Journal.open(tmp_path) as journal:
        backend = Journalled(Scripted(lambda _: "word " * 400), journal)
        with no_file_larger_than(100), pytest.raises(NotKept, match="make room"):
            await converse(Round(*turns("ann", "bob")), party("ann", "bob"), backend)


def test_ring(tmp_path) -> None:
    """Turns that depend on each other replay too: the digest of a request names all that was said before it."""

    async def run(inner: Scripted) -> tuple[str, int]:
        with Journal.open(tmp_path) as journal:
            backend = Journalled(inner, journal)
            ring = RoundRobin(speakers=("ann", "bob"), turns=9)
            done = await converse(ring, party("ann", "bob"), backend, rules=Rules(seed_key=(7,)))
        return done.transcript.digest, backend.calls

    first, again = asyncio.run(run(Scripted(babble))), asyncio.run(run(Scripted(lambda _: "other")))
    assert (first[0], first[1], again[1]) == (again[0], 9, 0)
