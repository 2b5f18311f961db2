"""A scorecard of the bundled model: what it says does not depend on the order in which the engine served it."""

import pytest

from symposia.backends import Journal
from symposia.evals.scorecard.prepare import Scoring, plan_for
from symposia.evals.scorecard.score import Scored, score
from symposia.evals.scorecard.written import as_json
from symposia.evals.tasks.sets import make
from symposia.facade import default_backend
from symposia.talk import portal

MODEL = "symposia:tiny"


def card(concurrency: int) -> Scored:
    async def run() -> Scored:
        scoring = Scoring(methods=("single", "sc@calls", "sc@tokens", "debate"), rounds=2)
        items = tuple(item for item in make("arithmetic", 9, 0) if item.level == 1)
        plan = await plan_for({"arithmetic": items}, MODEL, scoring, default_backend())
        with Journal.unkept() as journal:
            return await score(plan, default_backend(), journal, concurrency=concurrency)

    return portal.call(run())


@pytest.mark.slow
def test_the_same_bytes_however_it_was_served():
    """One item at a time or all at once: the same card, though the engine's cache held other tokens each time."""
    one, all_at_once = card(1), card(3)
    assert as_json(one.card) == as_json(all_at_once.card)
    rows = {row.method: row for row in one.card.rows}
    assert rows["debate"].usage.cached_tokens > 0
    assert rows["sc@tokens"].samples > rows["sc@calls"].samples > 3
    assert rows["single"].graded.right > 0  # level 1 is within its reach
