"""The debate as a value: what is refused, what its prompts are, that its requests can be made again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.errors import InvalidInput, UnknownName, UnsupportedRequest
from symposia.core.message import said
from symposia.core.profile import Profile, Sampling
from symposia.core.request import ModelCard, Request
from symposia.core.transcript import Transcript
from symposia.core.usage import Price, Usage
from symposia.core.value import checked, digest
from symposia.talk.ask import Table
from symposia.talk.converse import discard
from symposia.talk.debate import Debate, Seat, Team, read_answer
from symposia.talk.debate.budget import Budget, spent
from symposia.talk.debate.hold import prepared
from symposia.talk.debate.ledger import exact_cost, totals
from symposia.talk.debate.prompts import disposition, prompt, prompts_digest, roster
from symposia.talk.debate.setting import kit_for
from symposia.talk.debate.stored import StoredDebate, load_debate
from symposia.talk.debate.teams import TEAMS, team, team_of
from symposia.talk.rebuild import rebuild
from symposia.talk.rules import Rules
from tests.debates import ALL, PROFILE, Wild, called, debate_of, held


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_rounds": 0}, "max_rounds: expected at least 1; got 0"),
        ({"orders": 0}, "orders: expected at least 1"),
        ({"quorum": 4}, "quorum: expected 1 to 3"),
        ({"captain": None}, "stop='captain' needs a captain"),
        ({"captain": None, "stop": "fixed:1"}, "select='captain' needs a captain"),
        ({"stop": "fixed:0"}, "expected fixed:R"),
        ({"stop": "fixed:two"}, "expected fixed:R"),
        ({"stop": "nobody.here:rule"}, "No module named"),
        ({"stop": "json:nothing"}, "has no function"),
        ({"profile": None}, "has no profile"),
        ({"budget": Budget(max_cost=1.0)}, "needs a price for m"),
    ],
)
def test_what_cannot_be_held_is_refused_before_any_call(fields: dict[str, object], says: str) -> None:
    """The error says what was expected and what came."""
    with pytest.raises(InvalidInput, match=says.replace("(", r"\(")):
        debate_of(3, **fields)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="expected one of A, B, C, roles"):
        team("D")
    with pytest.raises(UnknownName, match="did you mean 'evidence'"):
        team_of(["evidense", "practice"])
    with pytest.raises(UnknownName, match="captain, fixed:R"):
        debate_of(3, stop="capitan")
    with pytest.raises(InvalidInput, match="2 to 16 seats; got 1"):
        Team("one", (Seat("a", "evidence"),))
    with pytest.raises(InvalidInput, match="unique; 'a' stands 2 times"):
        Team("two", (Seat("a", "evidence"), Seat("a", "practice")))
    with pytest.raises(InvalidInput, match="seat 'captain'"):
        Team("two", (Seat("captain", "evidence"), Seat("a", "practice")))


def test_an_empty_question_is_refused() -> None:
    for question in ("", "  \n"):
        with pytest.raises(InvalidInput, match="question is empty"):
            held(debate_of(3), lambda r: "x", question)
    with pytest.raises(InvalidInput, match="needs a question"):
        debate_of(3).next(Transcript())


def test_every_disposition_is_written_out_in_both_sizes() -> None:
    """80 to 140 words in full, at most 120 characters in short; a roster line each; every team sits on them."""
    assert list(roster("full")) == list(roster("short"))
    assert len(roster("full")) == 15
    for name in roster("full"):
        assert 80 <= len(disposition("full", name).split()) <= 140, name
        assert len(disposition("short", name)) <= 120, name
    assert len(prompt("short", "team")) <= 400
    assert len(prompt("short", "captain")) <= 400
    assert {name for seats in TEAMS.values() for name in seats} <= set(roster("full"))
    assert prompts_digest("full") != prompts_digest("short")
    for size in ("full", "short"):
        assert "[[ANSWER]]" in prompt(size, "team")
        assert "[[ANSWER]]" not in prompt(size, "captain")


def test_a_debate_is_a_value(tmp_path) -> None:
    """It is stored and read back whole, and its digest names it."""
    debate = debate_of(3, budget=Budget(max_cost=1.0, prices={"m": Price(input=1, output=2)}))
    assert checked(debate) == debate
    assert digest(debate) != digest(replace(debate, seed=1))
    stored = StoredDebate(question="?", debate=debate, seed=4)
    stored.save(tmp_path)
    assert load_debate(tmp_path) == stored
    with pytest.raises(InvalidInput, match=r"debate\.json"):
        load_debate(tmp_path / "nowhere")


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_every_request_can_be_made_again_from_the_transcript(seed: int, size: int) -> None:
    """The protocol gives the view again: digests are those the messages store, and of requests that were made."""
    debate = debate_of(size, quorum=1, beliefs=True)
    backend = Scripted(Wild(seed), features=ALL)
    rules = Rules(seed_key=(seed,))
    done = held(debate, backend, rules=rules)
    people = {p.name: p for p in debate.participants}
    table = Table(people, backend, rules, kit_for(debate), discard)
    made = {r.digest for r in backend.requests}
    for index, message in enumerate(done.transcript):
        if message.provenance is not None:
            request = rebuild(table, done.transcript, index, protocol=debate)
            assert request.digest == message.provenance.request
            assert request.digest in made


def test_without_the_protocol_its_views_are_lost() -> None:
    debate = debate_of(2)
    done = held(debate, lambda r: called({"consensus": True, "direction": None}) if r.force else "42")
    table = Table(
        {p.name: p for p in debate.participants}, Scripted(lambda r: ""), Rules(), kit_for(debate), discard
    )
    with pytest.raises(InvalidInput, match="expected that protocol"):
        rebuild(table, done.transcript, 1)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(200, 6000))
def test_a_budget_is_never_exceeded(seed: int, calls: int, tokens: int) -> None:
    """Whatever is said: calls and tokens stay within their limits, and a complete round still gives an answer."""
    prices = {"m": Price(input=1, output=1)}
    budget = Budget(max_calls=calls, max_tokens=tokens, max_cost=tokens / 2e6, prices=prices)
    debate = debate_of(3, budget=budget, quorum=1)
    done = held(debate, Wild(seed, failing=0.1))
    used = spent(done.transcript.messages, debate)
    assert used.calls <= calls
    assert used.tokens <= tokens
    assert used.cost <= tokens / 2e6
    if done.answer.reason == "budget":
        assert done.answer.status == ("answered" if done.proceedings.rounds else "budget")


def test_costs_are_exact_and_unknown_ones_are_counted() -> None:
    """Decimals, cached tokens at their own price; what nobody prices is null and counted, never 0."""
    usage = Usage(input_tokens=5, output_tokens=1, cached_tokens=2)
    assert exact_cost(usage, Price(input=0.1, output=0.3, cached=0.01)) == "0.00000062"
    assert exact_cost(usage, None) is None
    done = held(debate_of(2), lambda r: called({"consensus": True, "direction": None}) if r.force else "42")
    sums = totals(done.answer.ledger)
    assert (sums.cost, sums.unpriced_calls, sums.calls) == (None, 3, 3)
    assert all(row.ms is not None for row in done.answer.ledger)


class Card(Scripted):
    """A script whose models have the features their names say."""

    async def describe(self, model: str) -> ModelCard:
        card = await super().describe(model)
        window = 2048 if "small" in model else None
        return replace(card, features=card.features | set(model.split("+")), context_window=window)  # type: ignore[arg-type]


def ready(captain: str, seats: str = "m", **fields: object) -> Debate:
    profile = Profile(model=seats, sampling=Sampling(max_tokens=64))
    debate = debate_of(3, captain=Profile(model=captain), profile=profile, **fields)
    return asyncio.run(prepared(debate, Card(lambda r: "x")))


def test_what_a_model_cannot_do_is_found_before_the_first_call() -> None:
    """The captain is asked by force, else by scores, else not at all; probes need every seat."""
    assert ready("force+choices").captain_by == "tool"
    assert ready("choices").captain_by == "scores"
    with pytest.raises(UnsupportedRequest, match=r"--stop fixed:R and --select vote"):
        ready("m")
    assert ready("m", stop="fixed:1", select="vote").captain_by == "tool"
    with pytest.raises(UnsupportedRequest, match="leave out --beliefs"):
        ready("force", beliefs=True)
    assert ready("force", "choices", beliefs=True).prompts == "full"
    assert ready("force", "small").prompts == "short"


def test_a_refusal_met_on_the_way_changes_how_the_captain_is_asked() -> None:
    """What the seats said stands; from there on its yes is scored."""

    class Unforced(Scripted):
        async def generate(self, request: Request):
            if request.force is not None:
                raise UnsupportedRequest(endpoint="x", model="m", feature="force", way_out="-")
            async for item in super().generate(request):
                yield item

    backend = Unforced(lambda r: "yes" if r.choices else "[[ANSWER]] 42", features=ALL)
    done = held(debate_of(3), backend)
    assert (done.answer.reason, done.answer.answer, done.debate.captain_by) == ("consensus", "42", "scores")
    assert len([r for r in backend.requests if r.about.purpose == "answer"]) == 3


def first_round(rounds, debate) -> str | None:
    """A user's own rule."""
    return "enough" if len(rounds[-1].groups) == 1 else None


def test_a_user_rule_by_path_ends_the_debate_for_its_own_reason() -> None:
    debate = debate_of(3, stop="tests.talk.debate.test_debate:first_round")
    done = held(debate, lambda r: "[[ANSWER]] 42")
    assert (done.answer.reason, done.answer.rounds) == ("enough", 1)


def test_the_tie_goes_to_the_choice_that_names_one_of_the_tied() -> None:
    """Two against two: the captain names one and then nothing."""

    def script(request: Request) -> object:
        if request.force is None:
            return f"[[ANSWER]] {1 + list(roster('short')).index(request.speaker) % 2}"
        shown = request.lines[-1].text
        if '"label":"A","answer":"2"' in shown:
            return called({"choice": "A"}, name="choose")
        return "?"

    done = held(debate_of(4, stop="fixed:1"), script)
    chosen = done.proceedings.chosen.selection
    assert (done.answer.answer, chosen.method, chosen.tiebreak) == ("2", "vote", "choice")


def test_an_unfinished_debate_says_so() -> None:
    debate = debate_of(3)
    read = read_answer(Transcript((said("moderator", "?"),)), debate)
    assert (read.status, read.reason, read.answer) == ("error", "unfinished", None)


def test_a_seats_own_profile_and_system_text_stay_its_own() -> None:
    """It answers with its model; its system text is in its private framing, not on the shared line."""
    own = replace(PROFILE, model="other", system="Speak in verse.")
    seats = (Seat("evidence", "evidence", own), Seat("practice", "practice"))
    backend = Scripted(
        lambda r: called({"consensus": True, "direction": None}) if r.force else "42", features=ALL
    )
    held(Debate(team=Team("t", seats), captain=PROFILE, profile=PROFILE, prompts="short"), backend)
    first, second = backend.requests[:2]
    assert (first.model, second.model) == ("other", "m")
    assert first.lines[0] == second.lines[0]
    assert first.lines[1].text.endswith("\n\nSpeak in verse.")
    assert "verse" not in second.lines[1].text
