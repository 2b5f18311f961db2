"""What one Triton program does with one token's row at a site: all its instructions, one after the other."""

from __future__ import annotations

import triton
import triton.language as tl

from .instructions import (
    BELOW,
    COUNT,
    DOUBLES,
    INTS,
    NUMBERS,
    PART,
    PROBE,
    SEAL,
    SPAN,
    changed,
    entered,
    norm,
    score,
    sealed,
)


@triton.jit
def instructed(
    h: tl.tensor,
    open_G: tl.tensor,
    at_D: tl.tensor,
    first: tl.tensor,
    last: tl.tensor,
    ints: tl.tensor,
    numbers: tl.tensor,
    rows: tl.tensor,
    stride: tl.tensor,
    sums: tl.tensor,
    peaks: tl.tensor,
    like: tl.tensor,
    D: tl.constexpr,
    G: tl.constexpr,
) -> tl.tensor:
    """The row and its registers after the instructions `[first, last)`. `like` points to the model's dtype.

    `peaks` are fp64 seen as int64: of numbers that are not negative the order is the same, and a NaN is the largest.
    """
    mask_D = at_D < D
    at_G = tl.arange(0, G)
    base, was = h, h
    before, after = 0.0, 0.0  # squares of the parts of a subspace
    for k in range(first, last):
        kind, flags = tl.load(ints + k * INTS), tl.load(ints + k * INTS + 4)
        r = tl.load(rows + tl.load(ints + k * INTS + 1) * stride + at_D, mask=mask_D, other=0.0)
        slot = tl.load(ints + k * INTS + 3)
        gate = tl.load(ints + k * INTS + 5)
        number = numbers + k * DOUBLES + NUMBERS
        if kind == PROBE:
            found = score(h, r, flags)
            over = (found > tl.load(number).to(tl.float32)) != (flags & BELOW != 0)
            is_open = tl.where(over, 1.0, 0.0)
            open_G = tl.where(at_G == gate, is_open, open_G)
            entered(sums + slot * 5, found, is_open, found * 0, found * 0)
        elif tl.sum(tl.where(at_G == gate, open_G, 0.0)) != 0:
            if kind == SEAL:
                h = sealed(h, base, flags)
                was = base.to(like.dtype.element_ty).to(tl.float32)
                base = h
            elif kind == COUNT:
                now = base.to(like.dtype.element_ty).to(tl.float32)
                s_before, s_after = tl.sum(was * r), tl.sum(now * r)
                before += s_before * s_before
                after += s_after * s_after
                if flags & PART == 0:
                    spans = flags & SPAN != 0
                    s_before = tl.where(spans, tl.sqrt(before), s_before)
                    s_after = tl.where(spans, tl.sqrt(after), s_after)
                    before, after = 0.0, 0.0
                    delta = norm(now - was)
                    entered(sums + slot * 5, norm(was), delta, s_before, s_after)
                    peak = tl.abs(delta).to(tl.float64).to(tl.int64, bitcast=True)
                    tl.atomic_max(peaks + slot, peak, sem="relaxed")
            else:
                w = tl.load(rows + tl.load(ints + k * INTS + 2) * stride + at_D, mask=mask_D, other=0.0)
                h = changed(h, base, r, w, kind, flags, number)
    return h, open_G
