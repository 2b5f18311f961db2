"""Promise 1: `converse` from `whole.up_to(k)` gives `whole` for every turn boundary k."""

from __future__ import annotations

from hypothesis import assume, given

from symposia.core.errors import ContextOverflow, TurnFailed
from tests.examples import examples
from tests.promises.conversation.conversations import Company, companies


def boundaries(transcript, start: int) -> list[int]:
    """Where a turn has ended: not after a summary or within a trail, whose turn is still to come."""
    return [
        k
        for k in range(start, len(transcript) + 1)
        if k == start or not (transcript[k - 1].stands_for or len(transcript.cut(k)) < k)
    ]


def whole_of(company: Company):
    try:
        return company.run()
    except (ContextOverflow, TurnFailed):
        assume(False)


@examples(120)
@given(companies())
def test_resuming_at_any_turn_gives_the_whole(company: Company) -> None:
    """Rounds, denied turns, budgets, summaries, moderators: a cut conversation goes on as if it had not been cut."""
    whole = whole_of(company)
    for k in boundaries(whole.transcript, len(company.start)):
        resumed = company.run(whole.transcript.up_to(k))
        assert resumed.transcript == whole.transcript, f"cut after {k} of {len(whole.transcript)} messages"
        assert resumed.tally == whole.tally
        assert resumed.stop == whole.stop


@examples(40)
@given(companies())
def test_every_run_of_one_company_is_the_same(company: Company) -> None:
    """The same participants, rules and seed say the same, and emit the same events."""
    first: list = []
    second: list = []
    whole_of(company)
    assert company.run(events=first) == company.run(events=second)
    assert first == second


@examples(60)
@given(companies())
def test_a_cut_within_a_trail_goes_on_too(company: Company) -> None:
    """Cut anywhere, even between a call and its result: no trail dangles, and the whole comes out again."""
    whole = whole_of(company)
    for n in range(len(company.start), len(whole.transcript) + 1):
        kept = whole.transcript.cut(n)
        if kept.messages and kept[-1].stands_for:
            continue  # a summary whose turn is still to come
        assert not kept.messages or not kept[-1].has_tools or kept[-1].as_of is not None
        assert company.run(kept).transcript == whole.transcript
