"""MODEL_CARD.md: what the bundled model is, how it came about, what it was measured to do and not to do."""

from collections.abc import Sequence
from pathlib import Path

from training.abilities.row import Row, table
from training.recipe import Recipe
from training.shipped import Record

_TEXT = Path(__file__).with_name("card.md")


def curve(losses: Sequence[float], points: int = 8) -> str:
    """The loss at `points` evenly spaced steps, each a mean over the last 50."""
    steps = [round(len(losses) * (i + 1) / points) for i in range(points)]
    return ", ".join(f"{step}: {sum(losses[max(0, step - 50) : step]) / min(50, step):.3f}" for step in steps)


def card(
    recipe: Recipe,
    record: Record,
    losses: Sequence[float],
    parameters: int,
    vocabulary: int,
    rows: Sequence[Row],
) -> str:
    """The whole card as Markdown."""
    return _TEXT.read_text(encoding="utf-8").format(
        **vars(recipe),
        digest=record.digest,
        parameters=f"{parameters / 1e6:.2f} M",
        vocabulary=vocabulary,
        minutes=record.seconds / 60,
        losses=curve(losses),
        tested=record.held_out,
        bound=record.bound,
        table=table(rows),
    )
