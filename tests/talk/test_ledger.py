"""The ledger: every call, attempt, token and cent, whoever asked and whatever became of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import Fault, Scripted
from symposia.core.clock import VirtualClock
from symposia.core.errors import BackendError, TurnFailed
from symposia.core.events import (
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRetried,
    GenerationStarted,
)
from symposia.core.request import About, Completion, Retrying, ServedBy
from symposia.core.usage import NOTHING, Price, Usage, decimal
from symposia.talk.conversation import Conversation
from symposia.talk.hooks import JudgeHook
from symposia.talk.ledger import Ledger, Row, total
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Kit
from symposia.talk.scenario import Scenario
from tests.company import party, talk

MODEL = "m"  # the company's
PRICE = Price(input=3.0, output=15.0)


def completion(usage: Usage, endpoint: str = "openai") -> Completion:
    return Completion(
        text="x", finish_reason="stop", usage=usage, served=ServedBy(endpoint=endpoint, model="m")
    )


def test_rows_are_by_endpoint_model_participant_and_purpose() -> None:
    """A hook's calls and a sample's are apart from turns; their endpoint is the one that answered."""
    hook = JudgeHook(participant="bob", question="Fine?")
    scenario = Scenario(
        participants=party("ann", "bob"), protocol=RoundRobin(speakers=("ann",)), hooks=(hook,)
    )
    backend = Scripted(lambda request: "ALLOW" if request.about.purpose == "hook" else "some words")
    conversation = Conversation(scenario=scenario, backend=backend)
    conversation.run(2)
    conversation.sample("ann")
    rows = {(row.endpoint, row.model, row.participant, row.purpose): row for row in conversation.ledger.rows}
    assert {key: row.calls for key, row in rows.items()} == {
        ("scripted", MODEL, "ann", "turn"): 2,
        ("scripted", MODEL, "bob", "hook"): 3,  # the sample is judged too
        ("scripted", MODEL, "ann", "sample"): 1,
    }
    assert conversation.usage()["total"].calls < conversation.ledger.total.calls
    assert len(conversation.branch().ledger.rows) == 0


@given(st.integers(1, 6), st.sets(st.integers(0, 5)), st.booleans())
def test_the_ledger_is_the_sum_of_what_was_settled(turns: int, cut: set[int], priced: bool) -> None:
    """Over any turns, some of them cut and repeated: calls, attempts, tokens and cost are those of the messages."""
    faults = [Fault(cause="stream_truncated", turn=turn) for turn in cut]
    conversation = Conversation(
        party("ann", "bob"),
        backend=Scripted(lambda r: "some words here", faults=faults),
        kit=Kit(prices={MODEL: PRICE} if priced else {}),
    )
    conversation.run(turns)
    row, used = conversation.ledger.total, conversation.usage()["total"]
    assert (row.calls, row.attempts, row.failed) == (used.calls, used.attempts, 0)
    assert (row.input_tokens, row.output_tokens) == (used.input_tokens, used.output_tokens)
    assert row.cost_usd == (used.cost_usd if priced else None)
    assert row.unpriced == (0 if priced else turns)


def test_a_call_that_came_to_nothing_is_in_it() -> None:
    """What failed for good left no message; the ledger has its attempts."""
    backend = Scripted(lambda r: "x", faults=[Fault(cause="stream_truncated", times=9)])
    conversation = Conversation(party("ann"), backend=backend)
    with pytest.raises(TurnFailed):
        conversation.run(1)
    row = conversation.ledger.total
    assert (row.calls, row.failed, row.attempts, row.output_tokens) == (1, 1, 2, 0)
    assert (row.cost_usd, row.unpriced) == (None, 0)


def test_attempts_inside_the_backend_are_counted_where_the_call_fails_too() -> None:
    """Each repeat that a backend announces is an attempt, answered or not."""

    class Retried:
        describe, render = Scripted(lambda r: "x").describe, Scripted(lambda r: "x").render

        def __init__(self, last: Completion | BackendError) -> None:
            self._last = last

        async def generate(self, request):
            yield Retrying(cause="rate_limited", wait_s=0.0, attempt=2)
            yield Retrying(cause="server_error", wait_s=0.0, attempt=3)
            if isinstance(self._last, BackendError):
                raise self._last
            yield self._last

    answered = Conversation(party("ann"), backend=Retried(completion(Usage(attempts=3))))
    answered.run(1)
    assert (answered.ledger.total.attempts, answered.usage()["total"].attempts) == (3, 3)
    failed = Conversation(party("ann"), backend=Retried(BackendError("no", cause="server_error", attempts=3)))
    with pytest.raises(TurnFailed):
        failed.run(1)
    assert (failed.ledger.total.attempts, failed.ledger.total.failed) == (3, 1)


def test_unknown_costs_are_counted_never_zero() -> None:
    """A priced and an unpriced call: what is known, and how many are not; nothing known is None."""
    ledger = Ledger()
    for n, cost in enumerate((0.1, 0.2, None)):
        about = About(turn=n, speaker="ann")
        ledger.event(GenerationStarted(about=about, request="r", model="openai:m"), 0.0)
        ledger.event(GenerationFinished(about=about, completion=completion(Usage(cost_usd=cost))), 1.5)
    row = ledger.total
    assert (row.cost_usd, row.unpriced, row.seconds, row.endpoint) == (0.3, 1, 4.5, "openai")
    assert total([]) == Row()
    assert Ledger().total.cost_usd is None


def test_a_stored_log_folds_to_the_same_ledger() -> None:
    """Events through JSON, with their times, give the rows the live fold gave."""
    clock, events = VirtualClock(), []
    live, again = Ledger(), Ledger()

    def emit(event: Event) -> None:
        events.append((msgspec.json.encode(event), clock.time()))
        live.event(event, clock.time())

    class Sink(list):
        append = staticmethod(emit)

    faults = [Fault(cause="bad_response", turn=1)]
    talk(
        RoundRobin(speakers=("ann", "bob"), turns=4),
        party("ann", "bob"),
        Scripted(lambda r: "x", faults=faults),
        events=Sink(),
    )
    for raw, at in events:
        again.event(msgspec.json.decode(raw, type=Event), at)
    assert again.rows == live.rows
    assert live.total.attempts == 5


def test_a_call_asked_again_after_its_run_failed_is_another_call() -> None:
    """The same turn, resumed: two calls, one of them failed."""
    ledger, about = Ledger(), About(turn=3, speaker="ann")
    for ending in (
        GenerationFailed(about=about, cause="connection", message=""),
        GenerationFinished(about=about, completion=completion(Usage())),
    ):
        ledger.event(GenerationStarted(about=about, request="r", model="m"), 0.0)
        ledger.event(GenerationRetried(about=about, cause="connection", wait_s=1.0, attempt=2), 1.0)
        ledger.event(ending, 2.0)
    row = ledger.total
    assert (row.calls, row.failed, row.attempts, row.seconds) == (2, 1, 4, 4.0)


def test_costs_add_up_exactly() -> None:
    """Rows are summed as decimals are."""
    rows = [Row(cost_usd=0.1)] * 10
    assert total(rows).cost_usd == 1.0
    assert decimal(0.1) * 10 == 1
    assert NOTHING.cost_usd == 0.0
