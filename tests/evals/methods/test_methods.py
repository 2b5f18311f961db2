import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import Scripted
from symposia.core.events import GenerationFinished
from symposia.core.request import About
from symposia.core.usage import Usage
from symposia.evals.methods.ballot import plurality
from symposia.evals.methods.meter import Meter
from symposia.evals.methods.prompts import NAMES, prompt
from symposia.evals.methods.samples import Sample
from symposia.talk.calculator import calculator
from symposia.talk.debate.extract import MARKER, Extracted
from symposia.talk.debate.prompts import prompt as debate_prompt
from symposia.talk.rules import Kit
from symposia.talk.tools import ToolBox
from tests.evals.answering import (
    FORCE,
    chance,
    completed,
    concludes,
    debate,
    guessing,
    plan,
    scored,
    scripted,
    setup,
)


@pytest.mark.parametrize("size", ["full", "short"])
def test_every_method_is_told_the_same_format(size):
    """How to end is word for word what a debate's seats read; every prompt exists in both sizes."""
    ours, theirs = prompt(size, "single"), debate_prompt(size, "team")
    ending = theirs.splitlines()[-1]
    assert MARKER in ending
    assert ours.endswith(ending)
    assert all(prompt(size, name) for name in NAMES)


def said(key, text="t", cause=""):
    return Sample(
        text=text, extracted=None if cause == "down" else Extracted(text, True, False), key=key, cause=cause
    )


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=12))
def test_the_vote_is_the_plurality_and_ties_go_to_the_earliest(keys):
    """Most votes win; among equals the answer that came first; what cannot be read has no vote."""
    samples = [said(key, text=f"{at}") for at, key in enumerate(keys)]
    readable = [k for k in keys if k is not None]
    best = plurality(samples)
    if not readable:
        assert best is samples[0]
        return
    most = max(readable.count(k) for k in readable)
    first = next(at for at, k in enumerate(keys) if k is not None and readable.count(k) == most)
    assert best is samples[first]


def test_samples_without_an_answer_have_no_vote():
    """Cut, empty or failed samples neither win nor stand in where nobody can be read."""
    assert plurality([said(None, cause="truncated"), said("a"), said(None, cause="truncated")]).key == "a"
    assert plurality([said(None, cause="truncated"), said(None, cause="down")]) is None


@pytest.mark.parametrize("seats", [2, 3, 4, 5])
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_calls_of_classic(seats, rounds):
    """Classic makes r(S + 1) + 1 calls, whether all agree or not; the debate 0 or `orders` after its rounds."""
    for agree in (False, True):

        def reply(request, agree=agree):
            if request.force is not None and request.force.name == "conclude":
                return {"consensus": False, "direction": "again"}
            if request.force is not None:
                return concludes(request)
            return f"[[ANSWER]] {4 if agree else request.speaker}"

        held = setup(debate=debate(seats, max_rounds=rounds))
        card = scored(
            plan(1, methods=("classic", "debate"), setup=held), Scripted(reply, features=FORCE)
        ).card
        classic, ours = (t.tried.usage.calls for t in card.trials)
        assert classic == rounds * (seats + 1) + 1
        assert ours == rounds * (seats + 1) + (0 if agree else 2)


def test_classic_shows_whole_texts_in_team_order_once():
    """One choice, of everybody's whole text, in the order of the team; a choice that names nobody leaves the vote."""
    asked = []

    def reply(request):
        if request.force is None:
            return f"because {request.speaker}\n[[ANSWER]] {len(request.speaker)}"
        if request.force.name == "conclude":
            return {"consensus": True, "direction": None}
        asked.append(request)
        return {"choice": "9"}

    card = scored(plan(1, methods=("classic",)), Scripted(reply, features=FORCE)).card
    (request,) = asked
    shown = json.loads(request.lines[-1].text.splitlines()[-1])
    assert [entry["label"] for entry in shown] == ["1", "2", "3"]
    assert [entry["answer"].split()[1] for entry in shown] == list(debate().team.names)
    assert card.trials[0].tried.notes == ("voted: unreadable_choice",)
    assert card.trials[0].tried.answer == str(len(debate().team.names[0]))


def test_universal_self_consistency_gives_one_sample_verbatim():
    """The last call chooses among whole texts; the answer is that sample's, whatever most of them say."""

    def reply(request):
        if request.force is not None:
            entries = json.loads(request.lines[-1].text.splitlines()[-1])
            return {"choice": entries[-1]["label"]}
        return guessing(request)

    backend = Scripted(reply, features=FORCE)
    card = scored(plan(5, methods=("usc:4", "sc:3")), backend).card
    choices = [r for r in backend.requests if r.force is not None]
    assert len(choices) == 5
    for trial in card.trials:
        if trial.method == "usc:4":
            assert (trial.tried.usage.calls, trial.tried.samples) == (4, 3)
            (asked,) = [r for r in choices if r.about.conversation == trial.item]
            last = json.loads(asked.lines[-1].text.splitlines()[-1])[-1]["answer"]
            assert last.endswith(f"[[ANSWER]] {trial.tried.answer}")


def test_a_choice_that_names_nothing_is_a_vote_and_says_so():
    """An unreadable choice is never the first sample: the vote decides, and a note counts it."""

    def reply(request):
        return {"choice": "none of them"} if request.force is not None else guessing(request)

    backend = Scripted(reply, features=FORCE)
    card = scored(plan(8, methods=("usc:6", "sc:5")), backend).card
    voted = {t.item: t for t in card.trials if t.method == "sc:5"}
    for trial in card.trials:
        if trial.method == "usc:6":
            assert trial.tried.notes == ("voted: unreadable_choice",)
            assert trial.tried.answer == voted[trial.item].tried.answer
    assert card.rows[0].notes == (("voted: unreadable_choice", 8),)


def test_texts_that_do_not_fit_are_shown_by_their_answers():
    """Whole texts beyond the context: the choice is among answers alone, costs one call, and a note says so."""
    shown = []

    def reply(request):
        if request.force is not None:
            shown.append(request.lines[-1].text)
            return {"choice": "2"}
        return f"{'so ' * 120}\n[[ANSWER]] {chance(request).choice((3, 4, 5))}"

    backend = Scripted(reply, features=FORCE, context_window=800)
    (trial,) = scored(plan(1, methods=("usc:6",)), backend).card.trials
    assert trial.tried.notes == ("shown by answers alone",)
    assert trial.tried.usage.calls == 6
    assert len(shown) == 1
    assert "so so" not in shown[0]


def test_labels_are_scored_where_no_call_can_be_forced():
    """A backend that scores continuations chooses by their probability."""

    def reply(request):
        return request.choices[1] if request.choices else guessing(request)

    backend = Scripted(reply, features=frozenset({"choices"}))
    card = scored(plan(2, methods=("usc:4",)), backend).card
    assert all(r.choices == ("1", "2", "3") for r in backend.requests if r.choices)
    assert all(t.tried.notes == () for t in card.trials)


def test_with_tools_samples_and_seats_call_them_and_captains_do_not():
    """Calls are counted with their sample; equal calls then mean fewer samples; only seats and samples have tools."""

    def reply(request):
        if request.force is not None:
            return concludes(request, agreement=1.0)
        if (
            request.tools
            and request.tool_choice == "auto"
            and not any(line.role == "tool" for line in request.lines)
        ):
            from symposia.core.message import ToolCall

            call = ToolCall(id="c1", name="calculator", arguments={"expression": "2 + 2"})
            return completed(calls=(call,), usage=Usage(input_tokens=5, output_tokens=5), finish="tool_calls")
        return f"[[ANSWER]] {chance(request).choice((3, 4))}"

    held = setup(tools=(calculator.spec,))
    backend = Scripted(reply, features=FORCE | {"tools"})
    asked = plan(4, methods=("single_tools", "sc@calls", "tool_grounded"), setup=held)
    card = scored(asked, backend, kit=Kit(tools=ToolBox(calculator))).card
    for trial in card.trials:
        calls, samples = trial.tried.usage.calls, trial.tried.samples
        if trial.method == "single_tools":
            assert (calls, samples) == (2, 1)
        if trial.method == "sc@calls":
            debated = next(t for t in card.trials if (t.method, t.item) == ("tool_grounded", trial.item))
            assert calls == 2 * samples
            assert calls <= debated.tried.usage.calls < calls + 2
    assert all(not r.tools for r in backend.requests if r.force is not None)
    assert any(r.tools for r in backend.requests if r.speaker in debate().team.names)


def finished(prompt_ids, reply_ids, turn, cached=0):
    usage = Usage(input_tokens=len(prompt_ids), cached_tokens=cached, output_tokens=len(reply_ids))
    made = completed(usage=usage, prompt_token_ids=tuple(prompt_ids), token_ids=tuple(reply_ids))
    return GenerationFinished(about=About(turn=turn, speaker=f"s{len(prompt_ids)}"), completion=made)


TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=8)


@given(st.lists(st.tuples(TOKENS, TOKENS, st.integers(0, 99)), min_size=1, max_size=6), st.randoms())
def test_cached_tokens_are_those_of_a_cache_large_enough(calls, random):
    """Where ids are known: the longest common beginning with what came before, found one token at a time."""
    held, expected = [], 0
    for prompt_ids, reply_ids, _ in calls:
        shared = 0
        for other in held:
            n = 0
            while n < min(len(prompt_ids), len(other)) and prompt_ids[n] == other[n]:
                n += 1
            shared = max(shared, n)
        expected += min(shared, len(prompt_ids) - 1)
        held.append(prompt_ids + reply_ids)
    events = [finished(p, r, turn, cached) for turn, (p, r, cached) in enumerate(calls)]
    random.shuffle(events)
    meter = Meter()
    for event in events:
        meter(event)
    assert meter.usage.cached_tokens == expected
    assert meter.usage.input_tokens == sum(len(p) for p, _, _ in calls)


def test_a_primed_meter_has_seen_its_first_prompt():
    """Every sample but the first shares its prompt with the one before; the last token is computed all the same."""
    meter = Meter(primed=True)
    meter(finished([1, 2, 3, 4], [5], 0))
    assert meter.usage.cached_tokens == 3


def test_without_ids_the_provider_says_what_it_had_cached():
    """A hosted endpoint's own number stands."""
    meter = Meter()
    meter(
        GenerationFinished(about=About(), completion=completed(usage=Usage(input_tokens=9, cached_tokens=7)))
    )
    assert meter.usage.cached_tokens == 7


def test_tokens_of_calls_that_were_not_used_count():
    """A seat whose reply was cut abstains; what it took is in the debate's tokens all the same."""

    def reply(request):
        if request.force is not None:
            return concludes(request, agreement=1.0)
        cut = request.speaker == debate().team.names[0]
        return completed(
            "half a" if cut else "[[ANSWER]] 4",
            usage=Usage(input_tokens=10, output_tokens=10),
            finish="length" if cut else "stop",
        )

    card = scored(plan(1, methods=("debate",)), Scripted(reply, features=FORCE)).card
    (trial,) = card.trials
    assert trial.grade == "right"
    assert trial.tried.truncated == 1
    assert trial.tried.usage.output_tokens >= 3 * 10


def test_single_is_the_first_sample():
    """The single call of an item is the first sample of its stream, so it costs nothing beside other baselines."""
    backend = scripted()
    scored(plan(3, methods=("single", "sc:4")), backend)
    assert len(backend.requests) == 3 * 4
