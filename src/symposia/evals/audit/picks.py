"""What was offered to a captain in one order, and what it took."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from symposia.core.value import Count, Value


class Candidate(Value, frozen=True, kw_only=True):
    """An answer as it was offered: its first seat, the seats behind it, the characters shown.

    `own_model`: a seat behind it runs on the captain's own model.
    """

    seat: str
    support: Annotated[int, Meta(ge=1)]
    length: Count
    own_model: bool


class Pick(Value, frozen=True, kw_only=True):
    """One selection: the candidates in the order shown, and the place chosen, or None if nothing could be read."""

    debate: str
    rotation: Count
    candidates: tuple[Candidate, ...]
    chosen: Count | None

    @property
    def taken(self) -> Candidate | None:
        """The candidate that was chosen."""
        return None if self.chosen is None else self.candidates[self.chosen]
