"""The calculator a model may call."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .expression import FUNCTIONS, MAX_LENGTH, evaluate, shown
from .tools import Tool

_EXPRESSION = Meta(description="For example 3 * (4 + 5) / 2", max_length=MAX_LENGTH)


async def _calculate(expression: Annotated[str, _EXPRESSION]) -> str:
    return shown(evaluate(expression))


calculator = Tool.of(
    _calculate,
    name="calculator",
    description=(
        "Evaluates an arithmetic expression exactly: numbers and + - * / // % ** ( ), "
        f"and the functions {', '.join(FUNCTIONS)}."
    ),
)
"""Exact arithmetic, of expressions up to 500 characters. What it cannot compute is an error the model reads."""
