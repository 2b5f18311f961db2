"""A plan, run: budgets, shared samples, failures, and nothing asked twice."""

from collections import Counter

import pytest

from symposia.backends import Journal, Scripted
from symposia.backends.journal import read_journal
from symposia.backends.scripted import Fault
from symposia.core.errors import BackendError, InvalidInput, UnsupportedRequest
from symposia.evals.scorecard.methodrow import fresh_tokens
from symposia.evals.scorecard.plan import Plan
from symposia.evals.scorecard.written import as_json
from tests.evals.answering import FORCE, MODEL, guessing, items, plan, scored, scripted, setup


def by_method(card):
    found = {}
    for trial in card.trials:
        found.setdefault(trial.method, {})[trial.item] = trial
    return found


def test_equal_calls_and_equal_tokens():
    """Per item: as many calls as the debate made; no more tokens than it used, or one sample; the rest is overdraw."""
    card = scored(plan(8)).card
    trials = by_method(card)
    for item, debate in trials["debate"].items():
        calls, tokens = debate.tried.usage.calls, fresh_tokens(debate.tried.usage)
        assert trials["single"][item].tried.usage.calls == 1
        assert trials["sc@calls"][item].tried.usage.calls == trials["sc@calls"][item].tried.samples == calls
        assert trials["usc@calls"][item].tried.usage.calls == calls
        assert trials["usc@calls"][item].tried.samples == calls - 1
        used = trials["sc@tokens"][item].tried
        assert fresh_tokens(used.usage) <= tokens or used.samples == 1
        assert used.overdraw == 1
    assert len({t.tried.usage.calls for t in card.trials if t.method == "debate"}) > 1


def test_the_prefix_of_tokens_is_the_longest(tmp_path):
    """One sample more would have gone beyond the debate's tokens."""
    with Journal.open(tmp_path) as journal:
        card = scored(plan(5, methods=("sc@tokens", "debate")), journal=journal).card
    trials = by_method(card)
    sizes = {g.request: g.completion.usage for g in read_journal(tmp_path) if g.about.speaker == "expert"}
    for item, debate in trials["debate"].items():
        used = trials["sc@tokens"][item].tried
        drawn = [
            g for g in read_journal(tmp_path) if g.about.conversation == item and g.about.speaker == "expert"
        ]
        assert len(drawn) == used.samples + 1
        assert sum(fresh_tokens(sizes[g.request]) for g in drawn) > fresh_tokens(debate.tried.usage)


def test_total_tokens_count_cached_ones_too():
    """With `count="total"` a budget includes what a cache held; both ways the debate's own measure is used."""

    def cached(request):
        from symposia.core.usage import Usage
        from tests.evals.answering import completed

        reply = guessing(request)
        if not isinstance(reply, str):
            return reply
        long = request.speaker != "expert"
        return completed(
            reply, usage=Usage(input_tokens=100, cached_tokens=90 if long else 0, output_tokens=10)
        )

    asked = plan(3, methods=("sc@tokens", "debate"))
    fresh = by_method(scored(asked, Scripted(cached, features=FORCE)).card)
    total_setup = setup(count="total")
    whole = Plan(setup=total_setup, tasks=asked.tasks, methods=asked.methods)
    total = by_method(scored(whole, Scripted(cached, features=FORCE)).card)
    for item in fresh["sc@tokens"]:
        assert total["sc@tokens"][item].tried.samples > fresh["sc@tokens"][item].tried.samples


def test_baselines_share_one_stream_and_items_do_not(tmp_path):
    """Samples are drawn once for all methods, `single` is the first of them, and no item sees another's."""
    with Journal.open(tmp_path) as journal:
        card = scored(plan(4), journal=journal).card
    drawn = Counter(
        g.about.conversation
        for g in read_journal(tmp_path)
        if g.about.speaker == "expert" and g.about.purpose == "turn"
    )
    trials = by_method(card)
    requests = [g.request for g in read_journal(tmp_path)]
    assert len(requests) == len(set(requests))
    for item, debate in trials["debate"].items():
        most = max(t[item].tried.samples + t[item].tried.overdraw for n, t in trials.items() if n != "debate")
        usc_choice = 1
        assert drawn[item] == most + usc_choice
        assert debate.tried.samples == 0
    answers = {item: [t.tried.answer for t in card.trials if t.item == item] for item in trials["single"]}
    assert len({tuple(a) for a in answers.values()}) > 1


def test_seeds_differ_by_item_repeat_and_sample():
    """Every request of a run has a random stream of its own; the same plan asks with the same seeds."""
    first, second = scripted(), scripted()
    asked = plan(3, repeats=2)
    scored(asked, first)
    scored(asked, second)
    seeds = [r.seed for r in first.requests if r.force is None]
    assert len(set(seeds)) == len(seeds)
    assert sorted(seeds) == sorted(r.seed for r in second.requests if r.force is None)


def test_repeats_are_drawn_anew():
    """Every repeat of an item is a sample of its own, never the same one again."""
    backend = scripted()
    scored(plan(4, methods=("single",), repeats=3), backend)
    assert len(backend.requests) == len({r.seed for r in backend.requests}) == 4 * 3


def test_a_second_run_asks_nothing_and_another_method_only_itself(tmp_path):
    """From the same folder the same plan makes no call and the same bytes; a further method costs its own calls."""
    fewer = plan(5, methods=("single", "debate"))
    with Journal.open(tmp_path) as journal:
        first = scored(fewer, journal=journal)
    again = scripted()
    with Journal.open(tmp_path) as journal:
        second = scored(fewer, again, journal=journal)
    assert again.requests == []
    assert second.calls == 0
    assert as_json(first.card) == as_json(second.card)
    more = scripted()
    with Journal.open(tmp_path) as journal:
        third = scored(plan(5, methods=("single", "sc:3", "debate")), more, journal=journal)
    assert len(more.requests) == third.calls == 5 * 2


def test_how_many_items_run_at_once_changes_nothing():
    """One item at a time or all of them: the same bytes."""
    cards = [as_json(scored(plan(6), concurrency=n).card) for n in (1, 3, 16)]
    assert cards[0] == cards[1] == cards[2]


def test_a_failure_is_counted_by_cause_and_not_graded():
    """A provider that is down for one item: no answer, a cause, no grade; the other items are as without it."""

    def down(request):
        if "Question 2?" in str(request.lines):
            raise BackendError("down", cause="connection")
        return guessing(request)

    card = scored(plan(4), Scripted(down, features=FORCE)).card
    whole = scored(plan(4)).card
    for row in card.rows:
        cause = "no_quorum" if row.method == "debate" else "connection"
        assert row.failed == ((cause, 1),)
        assert (row.graded.n, row.strict.n) == (3, 4)
    for comparison in card.comparisons:
        assert (comparison.graded.n, comparison.strict.n) == (3, 4)
    kept = [t for t in whole.trials if t.item != "i002"]
    assert [t.grade for t in card.trials if t.item != "i002"] == [t.grade for t in kept]


def test_what_failed_is_asked_again(tmp_path):
    """A second run of the same plan asks for what failed, and for nothing else."""
    faults = [Fault(cause="server_error", speaker="expert", times=1)]
    asked = plan(3, methods=("single",))
    with Journal.open(tmp_path) as journal:
        first = scored(asked, Scripted(guessing, features=FORCE, faults=faults), journal=journal)
    again = scripted()
    with Journal.open(tmp_path) as journal:
        second = scored(asked, again, journal=journal)
    assert sum(t.grade == "failed" for t in first.card.trials) == 1
    assert len(again.requests) == 1
    assert all(t.graded for t in second.card.trials)


def test_half_a_reasoning_is_no_answer():
    """A sample cut before its marker is unreadable, which is wrong and has its own column; cut after it, it counts."""

    def cut(request):
        from tests.evals.answering import completed

        if request.seed % 2:
            return completed("4", finish="length")
        return completed("so\n[[ANSWER]] 4", finish="length")

    card = scored(plan(12, methods=("single",)), Scripted(cut)).card
    (row,) = card.rows
    assert 0 < row.unreadable < 12
    assert row.graded.right == 12 - row.unreadable
    assert row.truncated == 12
    assert row.failed == ()


def test_a_missing_marker_is_counted_and_graded_whole():
    """Without the marker the whole text is the answer, and a column says how often that was so."""
    card = scored(
        plan(3, methods=("single",)), Scripted(lambda r: "4" if "1" in str(r.lines) else "it is 4")
    ).card
    (row,) = card.rows
    assert row.marker_missing == 3
    assert (row.graded.right, row.unreadable) == (1, 2)


def test_unknown_prices_are_not_zero():
    """Calls without a price leave the cost unknown and are counted; with prices the cost is their sum."""
    from symposia.core.usage import Price
    from symposia.talk.rules import Kit

    card = scored(plan(2)).card
    assert all(row.usage.cost_usd is None and row.unpriced == row.usage.calls for row in card.rows)
    priced = scored(plan(2), kit=Kit(prices={MODEL.model: Price(input=1.0, output=2.0)})).card
    for row in priced.rows:
        cost = (row.usage.input_tokens * 1.0 + row.usage.output_tokens * 2.0) / 1e6
        assert row.usage.cost_usd == pytest.approx(cost)
        assert row.unpriced == 0


def test_a_method_that_cannot_be_held_ends_the_run():
    """A backend that can neither force a call nor score: refused, naming what to leave out."""
    with pytest.raises(InvalidInput, match="leave it out of --methods"):
        scored(plan(2, methods=("usc:3",)), Scripted(guessing))
    with pytest.raises(UnsupportedRequest):
        scored(plan(2, methods=("debate",)), Scripted(guessing))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"methods": ("single", "sc@calls")}, "sc@calls: the budget is what a debate uses"),
        ({"methods": ("single", "single")}, "different methods"),
        ({"methods": ()}, "at least one method"),
        ({"repeats": 0}, "at least one method, item and repeat"),
        ({"tasks": {}}, "at least one method, item"),
        ({"setup": setup(debate=None)}, "a debate needs a team"),
        ({"tasks": {"t": items(1, answer="four")}}, "expected an answer of kind 'number'; got 'four'"),
    ],
)
def test_plans_are_checked_before_anything_is_asked(more, said):
    """What cannot be scored is refused as a whole."""
    with pytest.raises(InvalidInput, match=said):
        plan(2, **more)
