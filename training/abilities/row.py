"""One measured ability beside its bar, and the table of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`value` passes when at least `bar`, or at most `bar` with `upper`; `detail` says how it came about."""

    ability: str
    measure: str
    value: float
    bar: float
    upper: bool = False
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        return self.value <= self.bar if self.upper else self.value >= self.bar

    def cells(self) -> tuple[str, ...]:
        """The row as printed: ability, measure, value, bar, verdict, detail."""
        sign = "≤" if self.upper else "≥"
        verdict = "pass" if self.passed else "MISSED"
        return self.ability, self.measure, f"{self.value:.3f}", f"{sign} {self.bar:g}", verdict, self.detail


HEADER = ("ability", "measure", "value", "bar", "verdict", "detail")


def table(rows: Sequence[Row]) -> str:
    """A Markdown table that is also readable as it is."""
    cells = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
