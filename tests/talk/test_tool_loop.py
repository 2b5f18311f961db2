"""The tool loop: what is asked, what is committed, and how it ends."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.capture import ActivationRef, Readout
from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput, TurnFailed, UnsupportedRequest
from symposia.core.events import (
    GenerationFinished,
    SummaryMade,
    ToolCalled,
    ToolReturned,
    TurnDenied,
    TurnTaken,
)
from symposia.core.message import Reasoning, Signal, Text, ToolCall, ToolResult
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage
from symposia.talk.ask import Table
from symposia.talk.converse import converse, discard
from symposia.talk.fit import Summarise
from symposia.talk.hooks import Forbid
from symposia.talk.protocols import Once, RoundRobin, Stop, Turn
from symposia.talk.rebuild import rebuild
from symposia.talk.rules import Kit, Reading, Rules
from symposia.talk.seeds import turn_seed
from symposia.talk.stop import Tokens, Turns
from symposia.talk.tools import Tool, ToolBox, tool
from symposia.talk.view import ViewRules, view
from tests.company import completion, of, opened, party, person, talk, texts

TOOLS = frozenset({"tools"})
ONCE = Once(speaker="ann")


@tool
def add(a: int, b: int = 0) -> int:
    """The sum."""
    return a + b


BOX = ToolBox(add)
KIT = Kit(tools=BOX)
TWO = party("ann", "bob", tools=BOX.specs)


def call(name: str = "add", number: int = 0, **arguments: object) -> ToolCall:
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments)


def calling(*calls: ToolCall, text: str = "", **fields: object):
    parts = (*((Text(text),) if text else ()), *calls)
    return completion(text, "tool_calls", parts=parts, **fields)


def script(*replies: object) -> Scripted:
    """Ann's replies, one a generation."""
    return Scripted(lambda request: replies[request.about.call], features=TOOLS)


def run(backend: Scripted, people=TWO, protocol=ONCE, *, kit=KIT, events=None, start=None, **rules):
    return talk(protocol, people, backend, transcript=start or opened(), kit=kit, events=events, **rules)


def test_a_call_is_answered_and_the_answer_is_read() -> None:
    """One round: the trail, for its speaker alone, then the message; the second request holds call and result."""
    backend = script(calling(call(a=2, b=3), text="Let me see."), "It is 5.")
    asked, called, result, said = run(backend).transcript
    assert asked == opened()[0]
    assert called.parts == (
        Text("Let me see."),
        ToolCall(id="call_1_0_0", name="add", arguments={"a": 2, "b": 3}),
    )
    assert result.parts == (ToolResult(id="call_1_0_0", name="add", text="5"),)
    assert called.audience == result.audience == frozenset({"ann"})
    assert (called.author, result.author, called.origin, result.origin) == (
        "ann",
        "tool",
        "sampled",
        "scripted",
    )
    assert (said.text, said.audience, called.as_of, said.as_of) == ("It is 5.", None, 1, 1)
    first, second = backend.requests
    assert second.lines[: len(first.lines)] == first.lines
    line, answer = second.lines[len(first.lines) :]
    assert (line.role, line.text, line.calls) == ("assistant", "Let me see.", called.parts[1:])
    assert (answer.role, answer.text, answer.call_id) == ("tool", "5", "call_1_0_0")
    assert [s.turn for s in (*line.segments, *answer.segments)] == [second.turn] * 2


def test_every_generation_has_its_own_stream_and_name() -> None:
    """Seeds with `call` when > 0; `about.call` counts; what goes on after results has purpose "tool"."""
    backend = script(calling(call(a=1)), calling(call(a=2)), "done")
    run(backend, seed_key=(7, "c"))
    assert [r.seed for r in backend.requests] == [turn_seed((7, "c"), 1, "ann", call=k) for k in range(3)]
    assert [(r.about.call, r.about.purpose) for r in backend.requests] == [
        (0, "turn"),
        (1, "tool"),
        (2, "tool"),
    ]


def test_nothing_of_a_round_is_lost() -> None:
    """Usage, activations and completions of every round: in the tally, on its message, in the final provenance."""
    seen: list = []
    used = [Usage(input_tokens=10 * k, output_tokens=k) for k in (1, 2, 3)]
    backend = script(
        calling(call(a=1), usage=used[0]), calling(call(a=2), usage=used[1]), completion("3", usage=used[2])
    )
    outcome = run(backend, events=seen)
    assert outcome.tally.usage == used[0] + used[1] + used[2] == of(seen, TurnTaken)[0].usage
    made = [m.provenance for m in outcome.transcript if m.provenance]
    assert [p.usage for p in made] == used
    finished = tuple(e.completion.digest for e in of(seen, GenerationFinished))
    assert [p.completions for p in made] == [finished[:1], finished[:2], finished]


def test_what_every_round_read_is_kept() -> None:
    """Receipts, readouts and references stand on the message of their own round; the event tells of all."""

    def read(k: int) -> dict:
        run = ActivationRef(
            record=f"r{k}",
            digest=f"sha256:{k}",
            site="resid_post",
            layer=k,
            shape=(1, 2),
            dtype="float32",
            runs=(),
        )
        said = Readout(name="x", vector="v", layer=k, positions=(0,), values=(float(k),))
        return {"activations": (run,), "readouts": (said,)}

    seen: list = []
    outcome = run(script(calling(call(a=1), **read(0)), completion("1", **read(1))), events=seen)
    made = [m.provenance for m in outcome.transcript if m.provenance]
    assert [p.activations[0].record for p in made] == ["r0", "r1"]
    assert [r.values for r in of(seen, TurnTaken)[0].readouts] == [(0.0,), (1.0,)]


def test_results_come_in_call_order_and_calls_run_side_by_side() -> None:
    """The first call waits for the second: only side by side can both return; results stand in call order."""
    met = asyncio.Event()

    @tool
    async def first() -> str:
        await met.wait()
        return "one"

    @tool
    async def second() -> str:
        met.set()
        return "two"

    box = ToolBox(first, second)
    seen: list = []
    backend = script(calling(call("first", 0), call("second", 1)), "done")
    outcome = run(backend, party("ann", "bob", tools=box.specs), kit=Kit(tools=box), events=seen)
    assert [p.text for p in outcome.transcript[2].parts] == ["one", "two"]
    assert [e.name for e in of(seen, ToolCalled)] == ["first", "second"]
    assert [e.name for e in of(seen, ToolReturned)] == ["second", "first"]


def test_after_the_last_round_it_must_answer() -> None:
    """`tool_rounds` rounds, then one generation with tool_choice none and the note tool_limit."""
    people = party("ann", "bob", tools=BOX.specs, tool_rounds=2)
    backend = script(calling(call(a=1)), calling(call(a=2)), "enough")
    outcome = run(backend, people)
    assert [r.tool_choice for r in backend.requests] == ["auto", "auto", "none"]
    assert [r.tools for r in backend.requests] == [BOX.specs] * 3
    assert [m.provenance.notes for m in outcome.transcript if m.provenance] == [(), (), ("tool_limit",)]


def test_a_call_even_then_fails_the_turn() -> None:
    """tool_loop: nothing is committed, and the error says how many rounds there were."""
    people = party("ann", "bob", tools=BOX.specs, tool_rounds=1)
    with pytest.raises(TurnFailed, match="called add after 1 rounds") as caught:
        run(script(calling(call(a=1)), calling(call(a=2))), people)
    assert caught.value.cause == "tool_loop"
    assert caught.value.transcript == opened()


def test_a_call_where_none_was_offered_fails_the_turn() -> None:
    """A model that calls a tool nobody offered has not answered: tool_loop."""
    with pytest.raises(TurnFailed) as caught:
        run(script(calling(call(a=1))), party("ann", "bob"))
    assert caught.value.cause == "tool_loop"


class Last:
    """One turn that may call once, and is told so when it may not any more."""

    def next(self, transcript: Transcript) -> tuple[Turn, ...] | Stop:
        if len(transcript) > 1:
            return Stop("done")
        cue = {"cue": "Be quick.", "closing": "No more tools: answer."}
        return (Turn(speaker="ann", tool_rounds=1, mark=Signal("answer", "1"), **cue),)


def test_a_turn_may_set_its_own_limit_and_say_when_it_is_reached() -> None:
    """`Turn.tool_rounds` replaces the profile's; `closing` is the cue of the generation that may call nothing."""
    backend = script(calling(call(a=1)), "2")
    outcome = run(backend, protocol=Last())
    first, second = backend.requests
    assert (first.tool_choice, second.tool_choice) == ("auto", "none")
    assert (first.lines[-1].kind, first.lines[-1].text) == ("cue", "Be quick.")
    assert (second.lines[-1].kind, second.lines[-1].text) == ("cue", "No more tools: answer.")
    assert [line.kind for line in second.lines[-4:]] == ["cue", "trail", "trail", "cue"]
    assert [Signal("answer", "1") in m.parts for m in outcome.transcript] == [False, True, False, True]
    table = Table({p.name: p for p in TWO}, backend, Rules(), KIT, discard)
    for index in (1, 3):
        stored = Transcript.decode(outcome.transcript.encode())
        assert rebuild(table, stored, index).lines == backend.requests[index // 2].lines


BAD = {
    "unknown tool": (call("sub", a=1), "unknown tool 'sub'; expected one of add, slow, broken, odd, quits"),
    "malformed": (ToolCall(id="x", name="", error="expected JSON"), "expected JSON"),
    "wrong type": (call(a="1"), "add: Expected `int`, got `str` - at `$.a`; expected"),
    "missing": (call(b=1), "missing required field `a`"),
    "unknown argument": (call(a=1, c=2), "unknown field `c`"),
    "exception": (call("broken"), "broken failed: ZeroDivisionError: "),
    "late": (call("slow"), "slow: no result within 5 s; it was stopped"),
    "no JSON": (call("odd"), "odd failed: TypeError"),
    "exit": (call("quits"), "quits failed: SystemExit: 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_are_data(name: str) -> None:
    """Whatever goes wrong is an error result with expected and got, no traceback; the turn goes on."""

    @tool(timeout_s=5)
    async def slow() -> str:
        await asyncio.Event().wait()
        return ""

    @tool
    def broken() -> int:
        return 1 // 0

    @tool
    def odd() -> object:
        return object()

    @tool
    def quits() -> str:
        raise SystemExit(3)

    bad, told = BAD[name]
    box = ToolBox(add, slow, broken, odd, quits)
    clock = VirtualClock()
    backend = script(calling(bad), "Sorry.")
    people = party("ann", "bob", tools=box.specs)
    kit = Kit(tools=box, clock=clock)
    run_it = converse(ONCE, people, backend, transcript=opened(), kit=kit)
    drive = clock.run(run_it) if name == "late" else run_it
    outcome = asyncio.run(drive)
    (result,) = outcome.transcript[2].parts
    assert result.error
    assert told in result.text
    assert "Traceback" not in result.text
    assert outcome.transcript[-1].text == "Sorry."
    assert backend.requests[1].lines[-1].text == result.text


def test_a_long_result_is_cut_and_says_so() -> None:
    """After max_chars characters comes how many are missing, and the result is marked truncated."""

    @tool(max_chars=10)
    def long() -> str:
        return "x" * 25

    box = ToolBox(long)
    outcome = run(
        script(calling(call("long")), "ok"), party("ann", "bob", tools=box.specs), kit=Kit(tools=box)
    )
    assert outcome.transcript[2].parts == (
        ToolResult(id="call_1_0_0", name="long", text="x" * 10 + "\n[cut: 15 characters]", truncated=True),
    )


def test_a_result_that_no_file_can_hold_is_made_one() -> None:
    """Half a surrogate pair becomes a question mark: the transcript still has a digest and a stored form."""

    @tool
    def half() -> str:
        return "\ud800!"

    box = ToolBox(half)
    outcome = run(
        script(calling(call("half")), "ok"), party("ann", "bob", tools=box.specs), kit=Kit(tools=box)
    )
    assert outcome.transcript[2].parts[0].text == "?!"
    assert Transcript.decode(outcome.transcript.encode()).digest == outcome.transcript.digest


async def test_cancelling_the_turn_stops_its_tools() -> None:
    """A cancelled conversation leaves no tool running, closes what it opened, and commits nothing."""
    log: list[str] = []
    begun = asyncio.Event()

    class Bench:
        async def __aenter__(self):
            log.append("open")
            return self.run

        async def __aexit__(self, *_):
            log.append("closed")

        async def run(self, _):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                log.append("stopped")

    bench = Tool(spec=ToolSpec(name="bench", description="", parameters={"type": "object"}), open=Bench)
    box = ToolBox(bench)
    seen: list = []
    backend = script(calling(call("bench", 0), call("bench", 1)))
    people = party("ann", "bob", tools=box.specs)
    task = asyncio.ensure_future(
        converse(ONCE, people, backend, transcript=opened(), emit=seen.append, kit=Kit(tools=box))
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(log) == ["closed", "open", "stopped", "stopped"]
    assert of(seen, TurnTaken) == []


async def test_a_tool_is_opened_once_a_turn_and_closed_with_it() -> None:
    """State between the calls of one turn lives with the turn; the next turn begins anew."""
    log: list[str] = []

    class Counter:
        async def __aenter__(self):
            log.append("open")
            self.n = 0
            return self.run

        async def __aexit__(self, *_):
            log.append("closed")

        async def run(self, _):
            from symposia.talk.tools import Returned

            self.n += 1
            return Returned(str(self.n))

    counter = Tool(spec=ToolSpec(name="count", description="", parameters={"type": "object"}), open=Counter)
    box = ToolBox(counter)
    backend = script(calling(call("count")), calling(call("count", 0), call("count", 1)), "done")
    outcome = await converse(
        RoundRobin(speakers=("ann", "bob"), turns=2),
        party("ann", "bob", tools=box.specs),
        backend,
        transcript=opened(),
        kit=Kit(tools=box),
    )
    assert log == ["open", "closed"] * 2
    counted = [[p.text for p in m.parts] for m in outcome.transcript if m.author == "tool"]
    assert counted == [["1"], ["2", "3"]] * 2


def test_own_reasoning_goes_back_as_it_came_within_the_loop_only() -> None:
    """The next request of the turn holds the thought with its signature; later turns do not."""
    thought = Reasoning("hm", opaque="signed")
    first = replace(calling(call(a=1)), parts=(thought, call(a=1)))
    backend = Scripted(lambda r: first if not r.about.call and r.turn == 1 else "done", features=TOOLS)
    run(backend, protocol=RoundRobin(speakers=("ann",), turns=2), people=party("ann", tools=BOX.specs))
    within, later = backend.requests[1], backend.requests[2]
    assert [line.reasoning for line in within.lines if line.calls] == [(thought,)]
    assert [line.reasoning for line in later.lines if line.calls] == [()]


def test_only_the_speaker_sees_its_trail() -> None:
    """The other's next prompt holds the answer and neither call nor result; the speaker's own holds all."""
    backend = Scripted(
        lambda r: calling(call(a=20, b=3)) if r.speaker == "ann" and not r.about.call else "Twenty-three.",
        features=TOOLS,
    )
    outcome = run(backend, protocol=RoundRobin(speakers=("ann", "bob"), turns=3))
    bobs = next(r for r in backend.requests if r.speaker == "bob")
    assert not any(line.calls or line.role == "tool" for line in bobs.lines)
    again = [r for r in backend.requests if r.speaker == "ann"][-1]
    assert sum(line.role == "tool" for line in again.lines) == 2
    lines = view(outcome.transcript, TWO[0], ("ann", "bob"), ViewRules(trails="drop"))
    assert not any(line.calls or line.role == "tool" for line in lines)


def test_ids_are_told_apart_over_turns() -> None:
    """Parsers number calls within a reply: these get ids of their turn and round; a provider's own id stays."""
    theirs = ToolCall(id="toolu_7", name="add", arguments={"a": 1})
    backend = Scripted(lambda r: calling(call(a=1), theirs) if not r.about.call else "ok", features=TOOLS)
    outcome = run(backend, party("ann", tools=BOX.specs), RoundRobin(speakers=("ann",), turns=2))
    ids = [p.id for m in outcome.transcript if m.author == "ann" for p in m.parts if isinstance(p, ToolCall)]
    assert ids == ["call_1_0_0", "toolu_7", "call_4_0_0", "toolu_7"]
    answered = [p.id for m in outcome.transcript if m.author == "tool" for p in m.parts]
    assert answered == ids


def test_budgets_count_every_round() -> None:
    """What a round of calls used is taken from what the turn may still use; the conversation's total counts it."""
    people = party("ann", "bob", tools=BOX.specs)
    used = Usage(input_tokens=1, output_tokens=6)
    backend = script(calling(call(a=1), usage=used), "one two three four five six")
    outcome = run(backend, people, RoundRobin(speakers=("ann",)), until=Tokens(10))
    assert [r.sampling.max_tokens for r in backend.requests] == [10, 4]
    assert outcome.tally.usage.output_tokens == 10
    assert outcome.stop == Stop("tokens: 10")


def test_the_reader_reads_the_answer_once() -> None:
    """A participant's reader sees the last completion only, never a call."""
    read: list[str] = []

    def reader(whole):
        read.append(whole.text)
        return Reading(text=whole.text.upper())

    outcome = run(script(calling(call(a=1), text="hm"), "done"), kit=Kit(tools=BOX, readers={"ann": reader}))
    assert read == ["done"]
    assert texts(outcome.transcript)[1:] == ["hm", "", "DONE"]


def test_a_denied_turn_keeps_its_trail() -> None:
    """What was called happened and was paid for: the trail is committed before the control message."""
    seen: list = []
    kit = Kit(tools=BOX, hooks=(Forbid(patterns=("secret",)),))
    outcome = run(script(calling(call(a=1)), "the secret"), kit=kit, events=seen)
    denied = of(seen, TurnDenied)[0]
    assert outcome.transcript.messages == (*opened(), *denied.before, denied.message)
    assert denied.message.is_control
    assert outcome.tally.usage.calls == denied.usage.calls == 2
    assert outcome.tally.denied == 1


def test_a_summary_made_within_a_trail_stands_within_it() -> None:
    """A result that fills the context makes a summary before the next request; every request is still rebuilt."""

    @tool
    def report(n: int) -> str:
        """A long report."""
        return "word " * n

    box = ToolBox(report)
    people = (person("ann", tools=box.specs, max_tokens=9), person("bob", max_tokens=9))
    start = opened()
    for index in range(6):
        start = start.append(
            replace(opened("They talked on and on about it.")[0], author="bob" if index % 2 else "ann")
        )

    def reply(request):
        if request.about.purpose == "summary":
            return "They talked."
        return calling(call("report", n=60)) if not request.about.call else "Read."

    seen: list = []
    fit = Summarise(keep=1, by="bob", limit=330, words=5)
    outcome = talk(
        ONCE,
        people,
        Scripted(reply, features=TOOLS),
        transcript=start,
        kit=Kit(tools=box),
        events=seen,
        fit=fit,
    )
    kinds = ["summary" if m.stands_for else m.author for m in outcome.transcript.messages[len(start) :]]
    assert kinds == ["ann", "tool", "summary", "ann"]
    assert len(of(seen, SummaryMade)) == 1
    table = Table({p.name: p for p in people}, Scripted(reply), Rules(fit=fit), Kit(), discard)
    for index, message in enumerate(outcome.transcript):
        if message.origin == "sampled":
            assert rebuild(table, outcome.transcript, index).digest == message.provenance.request
    assert [len(outcome.transcript.cut(k)) for k in range(len(start), len(start) + 5)] == [7, 7, 7, 7, 11]


def test_no_cut_leaves_a_trail_without_its_answer() -> None:
    """Rewinding into a trail, or branching there, goes back to before the turn; after the answer it keeps all."""
    transcript = run(script(calling(call(a=1)), calling(call(a=2)), "done")).transcript
    assert [len(transcript.cut(n)) for n in range(7)] == [0, 1, 1, 1, 1, 1, 6]
    assert transcript.rewind(3) == opened()
    assert transcript.branch(5) == transcript


def test_a_backend_without_tools_refuses() -> None:
    """The request reaches nobody."""
    backend = Scripted(lambda _: "x")
    with pytest.raises(UnsupportedRequest, match="tools"):
        run(backend)
    assert backend.requests == []


def test_a_box_that_is_not_what_was_promised_is_refused_at_the_start() -> None:
    """A missing tool is named; one with another specification is refused with the field that differs."""
    backend = script("x")
    with pytest.raises(InvalidInput, match="ann has the tool 'add', but the kit holds no tools"):
        run(backend, kit=Kit())

    def added(a: int, b: int = 1) -> int:
        """The sum."""
        return a + b

    with pytest.raises(
        InvalidInput, match=r"differ in parameters\.properties\.b\.default: the profile says 0, the tool 1"
    ):
        run(backend, kit=Kit(tools=ToolBox(Tool.of(added, name="add"))))
    assert backend.requests == []


def test_zero_rounds_offers_and_forbids() -> None:
    """With tool_rounds=0 the tools are told, and none may be called."""
    backend = script("fine")
    outcome = run(backend, party("ann", "bob", tools=BOX.specs, tool_rounds=0))
    assert (backend.requests[0].tools, backend.requests[0].tool_choice) == (BOX.specs, "none")
    assert outcome.transcript[-1].provenance.notes == ()


def test_a_protocol_may_offer_fewer() -> None:
    """`Turn.tools` narrows what is offered; another tool of the box is unknown to that turn."""

    class Narrow:
        def next(self, transcript: Transcript) -> tuple[Turn, ...] | Stop:
            return Stop("done") if len(transcript) > 1 else (Turn(speaker="ann", tools=("add",)),)

    @tool
    def other() -> str:
        return "never"

    box = ToolBox(add, other)
    backend = script(calling(call("other")), "ok")
    outcome = run(backend, party("ann", tools=box.specs), Narrow(), kit=Kit(tools=box))
    assert [t.name for t in backend.requests[0].tools] == ["add"]
    assert outcome.transcript[2].parts[0].error


def test_listeners_hear_no_call_as_text() -> None:
    """Streamed, a call in the model's syntax is never shown as answer."""
    shown: list = []
    text = 'Let me see. <tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>'
    backend = Scripted(
        lambda r: "It is 2." if r.about.call else text, features=TOOLS, syntax="hermes", chunk=3
    )
    kit = Kit(tools=BOX, listen=lambda _, delta: shown.append(delta))
    outcome = run(backend, kit=kit)
    assert "".join(d.text for d in shown if d.phase == "answer").split() == "Let me see. It is 2.".split()
    assert outcome.transcript[1].provenance.finish_reason == "tool_calls"


def test_turns_count_answers_not_rounds() -> None:
    """A trail takes no turn: two turns are two answers, however many calls there were."""
    backend = Scripted(lambda r: calling(call(a=1)) if r.about.call < 2 else "ok", features=TOOLS)
    outcome = run(backend, protocol=RoundRobin(speakers=("ann", "bob")), until=Turns(2))
    assert [m.author for m in outcome.transcript if m.is_turn()] == ["ann", "bob"]
    assert outcome.tally.turns == 2


def test_a_loop_without_end_may_abstain() -> None:
    """Where the protocol goes on without it, the failed turn is a control message with the cause, and no trail."""

    class Seat:
        def next(self, transcript: Transcript) -> tuple[Turn, ...] | Stop:
            done = len(transcript) > 1
            return Stop("done") if done else (Turn(speaker="ann", tool_rounds=1, on_failure="abstain"),)

    outcome = run(script(calling(call(a=1)), calling(call(a=2))), protocol=Seat())
    assert [m.parts for m in outcome.transcript][1:] == [(Signal("failed", "tool_loop"),)]
    assert outcome.tally.failures == (("tool_loop", 1),)
