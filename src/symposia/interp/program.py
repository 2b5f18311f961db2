"""What is written at one token of a site, as a list of instructions that every writer runs alike.

An element is one intervention, or adjacent `add`s as one: its updates in order, a seal, and a count for each member.
Residual h, base (h where the element began), rows r and w of the bank, s = h·r:

- UPDATE: h += m·(a + b·s + c·clip(s, low, high))·g·w, with g = ‖base‖ if RELATIVE, else 1
- ROTATE: in the plane of r and w, h's part becomes its length times (cos mθ·r + sin mθ·w), θ = a in radians
- SLERP: h += m·(h' - h), h' on the sphere of ‖h‖ by share a towards r; along the chord where they are nearly in line
- OVERWRITE: h += m·r∘(w - h); everywhere if WHOLE
- LATENT: f = s + b where that is above c, else 0; h += m·(f' - f)·w with f' = a, f + a (SUM) or f·a (PRODUCT)
- SEAL: rescale to ‖base‖ (KEEP), or only where it grew (NO_GROWTH); then cast once
- COUNT: one write into a ledger slot: ‖·‖ before, ‖change‖, s before and after, all of values after the cast. Rows of
  a subspace come one after the other, all but the last as PART, the last as SPAN: then the length of h's part in it
- PROBE: the score of h against r decides a gate: register `gate` is 1 if score > a (BELOW: <=), else 0. The score is s,
  s/‖h‖ (COSINE) or the cosine of h and tanh(s·r) (CAST); its slot counts the score and whether the gate is open

An instruction whose register is 0 does nothing; register 0 itself is always open.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np

RECORD = np.dtype(
    [
        *((name, "<i4") for name in ("kind", "read", "write", "slot", "flags", "gate")),
        *((name, "<f8") for name in ("a", "b", "c", "low", "high", "m")),
    ]
)
SIZE = RECORD.itemsize
_PACKED = struct.Struct("<6i6d")


class Kind(IntEnum):
    """What an instruction does."""

    UPDATE = 0
    ROTATE = 1
    SLERP = 2
    OVERWRITE = 3
    LATENT = 4
    SEAL = 5
    COUNT = 6
    PROBE = 7


class Flag(IntFlag):
    """How it does it."""

    NONE = 0
    RELATIVE = 1
    WHOLE = 2
    SUM = 4
    PRODUCT = 8
    KEEP = 16
    NO_GROWTH = 32
    PART = 64
    BELOW = 128
    COSINE = 256
    CAST = 512
    SPAN = 1024


class Instruction(NamedTuple):
    """One instruction, field by field as in `RECORD`; `read` and `write` are bank rows, `slot` a ledger slot."""

    kind: Kind
    read: int = 0
    write: int = 0
    slot: int = 0
    flags: Flag = Flag.NONE
    gate: int = 0
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    low: float = -float("inf")
    high: float = float("inf")
    m: float = 1.0

    def encode(self) -> bytes:
        """One `RECORD`."""
        return _PACKED.pack(*self)
