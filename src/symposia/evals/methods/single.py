"""One call: the first sample of the item's stream."""

from __future__ import annotations

from dataclasses import dataclass

from .ballot import ran
from .method import Bench, Ran
from .samples import Samples


@dataclass(frozen=True)
class Single:
    """The plain question, once; `tools` gives it the run's tools."""

    tools: bool = False
    budgeted: bool = False
    debates: bool = False

    async def attempt(self, bench: Bench, samples: Samples) -> Ran:
        """The first sample, whatever it says."""
        used = await samples.first(1, tools=self.tools)
        return ran(used, None if used[0].cause else used[0])
