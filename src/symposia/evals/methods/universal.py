"""Universal self-consistency (Chen et al. 2023, 2311.17311): the model chooses the most consistent of its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from .ballot import plurality, ran
from .choice import choose_one
from .method import Bench, Ran
from .samples import Samples
from .self_consistency import within


@dataclass(frozen=True)
class UniversalSelfConsistency:
    """`much` calls in all: the last of them chooses among the texts of the others, which stay as they are."""

    much: int | Literal["calls"]
    debates: bool = False

    @property
    def budgeted(self) -> bool:
        return not isinstance(self.much, int)

    async def attempt(self, bench: Bench, samples: Samples) -> Ran:
        """The chosen sample's answer. Where the choice names none, the vote decides, and a note says so.

        Texts that do not fit the model's context together are shown by their answers alone; a note says so too.
        """
        budget = bench.budget
        if isinstance(self.much, int):
            used, overdraw = await within(max(1, self.much - 1), bench, samples)
        else:
            assert budget is not None, "a budgeted method runs after the debate that sets its budget"
            rest = msgspec.structs.replace(budget, calls=max(1, budget.calls - 1))
            used, overdraw = await within("calls", bench.with_budget(rest), samples)
        spoken = [s for s in used if not s.cause]
        result = ran(used, plurality(used), overdraw=overdraw)
        if len(spoken) < 2:
            return result
        chosen = await choose_one(bench, [s.text for s in spoken], "consistent")
        notes: tuple[str, ...] = ()
        if chosen.why == "context_overflow":
            answers = ["" if s.extracted is None else s.extracted.text for s in spoken]
            chosen, notes = await choose_one(bench, answers, "consistent"), ("shown by answers alone",)
        picked = None if chosen.at is None else spoken[chosen.at]
        tried = result.tried
        tried = msgspec.structs.replace(
            tried,
            answer=tried.answer if picked is None or picked.extracted is None else picked.extracted.text,
            usage=tried.usage + chosen.meter.usage,
            unpriced=tried.unpriced + chosen.meter.unpriced,
            notes=(*notes, f"voted: {chosen.why}") if picked is None else notes,
        )
        return Ran(tried, (*result.requests, *chosen.meter.requests))
