"""What a `with conversation.capture(...)` block collects: references to activations, and readouts."""

from __future__ import annotations

from dataclasses import dataclass, field

from symposia.core.capture import ActivationRef, Capture, Readout
from symposia.core.request import About, Completion


@dataclass(slots=True)
class Caught:
    """References gathered while the block is open, over runs, steps, samples and branches made inside."""

    captures: tuple[Capture, ...]
    active: bool = True
    completions: list[tuple[About, Completion]] = field(default_factory=list)

    @property
    def activations(self) -> tuple[ActivationRef, ...]:
        """Every reference, in the order the generations finished."""
        return tuple(ref for _, c in self.completions for ref in c.activations)

    @property
    def readouts(self) -> tuple[Readout, ...]:
        """Every projection's values, in the order the generations finished."""
        return tuple(r for _, c in self.completions for r in c.readouts)

    def __len__(self) -> int:
        return len(self.activations)
