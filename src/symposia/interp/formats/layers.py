"""Which block a numbered row belongs to, under a declared convention.

`hidden_states` are what transformers returns: entry 0 is the embedding, entry L the output of block L-1, and the last
entry, of as many blocks as the model has, has passed the final norm: it is no block's output.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from symposia.interp.kinds import UnreadableVector

from .foreign import Asked, ConventionNeeded

Rows = dict[int, Tensor]


def by_block(rows: Mapping[int, Tensor], label: str) -> tuple[Rows, tuple[str, ...]]:
    """Rows numbered as their blocks. `label` names a row in the changes."""
    numbers = sorted(rows)
    return {n: rows[n] for n in numbers}, tuple(f"{label.format(n)} -> block {n}" for n in numbers)


def placed(
    rows: Mapping[int, Tensor], asked: Asked, label: str, what: str, *, last: int | None
) -> tuple[Rows, tuple[str, ...]]:
    """Rows of a file that does not say its convention, by block.

    `last` is the number that stands for the final norm under `hidden_states`, where the file itself shows it.
    """
    match asked.convention:
        case "block_output":
            return by_block(rows, label)
        case "hidden_states":
            return _hidden(rows, asked, label, what, last)
    raise ConventionNeeded(
        f"{what}: its layers {_span(rows)} can be read in two ways, and the file does not say which: "
        f"--convention block_output: {label.format('L')} belongs to the output of block L; "
        f"--convention hidden_states: {label.format('L')} belongs to hidden_states[L], the output of block L-1, "
        "with 0 the embedding and the last one past the final norm, both left out"
    )


def _hidden(
    rows: Mapping[int, Tensor], asked: Asked, label: str, what: str, last: int | None
) -> tuple[Rows, tuple[str, ...]]:
    if asked.shape is not None:
        if last is not None and last != asked.shape.layers:
            raise UnreadableVector(
                f"{what}: expected {asked.shape.layers + 1} rows, the hidden states of {asked.shape.name}; "
                f"got {last + 1}"
            )
        last = asked.shape.layers
    if last is None:
        raise UnreadableVector(
            f"{what}: which of {_span(rows)} has passed the final norm depends on how many blocks the model has; "
            "name it with -m MODEL"
        )
    kept: Rows = {}
    changes = []
    for number, row in sorted(rows.items()):
        if number in (0, last):
            why = "the embedding" if number == 0 else "past the final norm"
            changes.append(f"{label.format(number)} left out: {why}, no block's output")
        else:
            kept[number - 1] = row
            changes.append(f"{label.format(number)} -> block {number - 1}")
    return kept, tuple(changes)


def _span(rows: Mapping[int, Tensor]) -> str:
    numbers = sorted(rows)
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}..{numbers[-1]}"
    return ", ".join(map(str, numbers))
