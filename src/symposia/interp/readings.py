"""Numbers by token: which token, who wrote it, and a column of values for each thing that was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from symposia.core.errors import UnknownName
from symposia.core.span import Span

_SHOWN = 60


@dataclass(frozen=True)
class Token:
    """A token of a sequence and the span it belongs to."""

    position: int
    token_id: int
    text: str
    span: Span


@dataclass(frozen=True)
class TokenReadings:
    """`columns[name][i]` is of `tokens[i]`; None where a column was not asked for at that token."""

    tokens: tuple[Token, ...]
    columns: Mapping[str, Sequence[float | None]]

    def __len__(self) -> int:
        return len(self.tokens)

    def array(self, name: str) -> np.ndarray:
        """One column, fp64, ready to plot; NaN where nothing was asked for."""
        if name not in self.columns:
            raise UnknownName("column", name, self.columns)
        return np.array([np.nan if v is None else v for v in self.columns[name]], dtype=np.float64)

    def means(self, by: Literal["author", "phase", "role", "turn"] = "phase") -> dict[str, dict[str, float]]:
        """Of each group of tokens, the mean of each column over the tokens that have it."""
        groups: dict[str, list[int]] = defaultdict(list)
        for i, token in enumerate(self.tokens):
            groups[str(_KEYS[by](token.span))].append(i)
        return {
            group: {
                name: float(np.mean(known))
                for name, values in self.columns.items()
                if (known := [v for i in at if (v := values[i]) is not None])
            }
            for group, at in groups.items()
        }

    def only(self, keep: Callable[[Token], bool]) -> TokenReadings:
        """The tokens that `keep` takes."""
        at = [i for i, token in enumerate(self.tokens) if keep(token)]
        columns = {name: tuple(values[i] for i in at) for name, values in self.columns.items()}
        return TokenReadings(tuple(self.tokens[i] for i in at), columns)

    def __str__(self) -> str:
        heads = ("pos", "author", "phase", "token", *self.columns)
        rows = [self._cells(i) for i in range(len(self))]
        cut = len(rows) - _SHOWN
        if cut > 0:
            rows = rows[: _SHOWN // 2] + rows[-(_SHOWN // 2) :]
        widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
        lines = [
            "  ".join(
                cell.ljust(w) if 0 < k < 4 else cell.rjust(w)
                for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in (heads, *rows)
        ]
        if cut > 0:
            lines.insert(1 + _SHOWN // 2, f"… {cut} more tokens …")
        return "\n".join(line.rstrip() for line in lines)

    def _cells(self, i: int) -> tuple[str, ...]:
        token = self.tokens[i]
        values = (column[i] for column in self.columns.values())
        shown = ("" if v is None else f"{v:.3f}" for v in values)
        return (str(token.position), token.span.author or "", token.span.phase, repr(token.text), *shown)


_KEYS: dict[str, Callable[[Span], object]] = {
    "author": lambda span: span.author or "",
    "phase": lambda span: span.phase,
    "role": lambda span: span.role or "",
    "turn": lambda span: "" if span.turn is None else span.turn,
}
