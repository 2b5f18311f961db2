"""The instructions of `program` on one token's row, held in registers by one Triton program. All in fp32.

A row is `h`; `base` is h where the element began, `was` what the model had before the last seal. What it has after is
`base` once cast, so no fourth row is kept. An instruction's integers lie at `ints`, its numbers at `numbers`: two views
of the same records.
"""

from __future__ import annotations

import triton
import triton.language as tl

from symposia.interp.program import RECORD, SIZE, Flag, Kind

INTS = tl.constexpr(SIZE // 4)  # from one record to the next, counted in int32
DOUBLES = tl.constexpr(SIZE // 8)  # and in fp64
NUMBERS = tl.constexpr(len([name for name in RECORD.names or () if RECORD[name] == "<i4"]) // 2)

ROTATE, SLERP = tl.constexpr(int(Kind.ROTATE)), tl.constexpr(int(Kind.SLERP))
OVERWRITE, LATENT = tl.constexpr(int(Kind.OVERWRITE)), tl.constexpr(int(Kind.LATENT))
SEAL, COUNT, PROBE = (
    tl.constexpr(int(Kind.SEAL)),
    tl.constexpr(int(Kind.COUNT)),
    tl.constexpr(int(Kind.PROBE)),
)
RELATIVE, WHOLE = tl.constexpr(int(Flag.RELATIVE)), tl.constexpr(int(Flag.WHOLE))
SUM, PRODUCT = tl.constexpr(int(Flag.SUM)), tl.constexpr(int(Flag.PRODUCT))
KEEP, NO_GROWTH = tl.constexpr(int(Flag.KEEP)), tl.constexpr(int(Flag.NO_GROWTH))
PART, SPAN = tl.constexpr(int(Flag.PART)), tl.constexpr(int(Flag.SPAN))
BELOW, COSINE, CAST = (
    tl.constexpr(int(Flag.BELOW)),
    tl.constexpr(int(Flag.COSINE)),
    tl.constexpr(int(Flag.CAST)),
)

TINY = tl.constexpr(1e-12)
PI = tl.constexpr(3.141592653589793)


@triton.jit
def norm(x_D: tl.tensor) -> tl.tensor:
    """The length of a row."""
    return tl.sqrt(tl.sum(x_D * x_D))


@triton.jit
def tanh(x: tl.tensor) -> tl.tensor:
    """By its series near 0, where the quotient of exponentials loses all digits."""
    x2 = x * x
    near = x * (1 + x2 * (-1 / 3 + x2 * (2 / 15 + x2 * (-17 / 315 + x2 * 62 / 2835))))
    return tl.where(tl.abs(x) < 0.3, near, 1 - 2 / (tl.exp(2 * tl.minimum(x, 20.0)) + 1))


@triton.jit
def acos(x: tl.tensor) -> tl.tensor:
    """Within 2e-8, by Abramowitz and Stegun 4.4.46."""
    y = tl.abs(x)
    p = -0.0012624911 * y + 0.0066700901
    p = p * y - 0.0170881256
    p = p * y + 0.0308918810
    p = p * y - 0.0501743046
    p = p * y + 0.0889789874
    p = p * y - 0.2145988016
    p = p * y + 1.5707963050
    angle = p * tl.sqrt(tl.maximum(1 - y, 0.0))
    return tl.where(x < 0, PI - angle, angle)


@triton.jit
def slerped(h: tl.tensor, r: tl.tensor, s: tl.tensor, share: tl.tensor) -> tl.tensor:
    """h turned towards a unit row on the sphere of its own length; along the chord where the sine is below 1e-4."""
    length = norm(h)
    cosine = tl.minimum(tl.maximum(s / tl.maximum(length, TINY), -1.0), 1.0)
    sine = tl.sqrt(tl.maximum(1 - cosine * cosine, 0.0))
    flat = sine < 1e-4
    safe, angle = tl.where(flat, 1.0, sine), acos(cosine)
    keep = tl.where(flat, 1 - share, tl.sin((1 - share) * angle) / safe)
    turn = tl.where(flat, share, tl.sin(share * angle) / safe)
    turned = keep * h + turn * length * r
    return tl.where(flat, turned * (length / tl.maximum(norm(turned), TINY)), turned)


@triton.jit
def changed(
    h: tl.tensor,
    base: tl.tensor,
    r: tl.tensor,
    w: tl.tensor,
    kind: tl.tensor,
    flags: tl.tensor,
    numbers: tl.tensor,
) -> tl.tensor:
    """h after UPDATE, ROTATE, SLERP, OVERWRITE or LATENT."""
    a, b = tl.load(numbers).to(tl.float32), tl.load(numbers + 1).to(tl.float32)
    c, m = tl.load(numbers + 2).to(tl.float32), tl.load(numbers + 5).to(tl.float32)
    s = tl.sum(h * r)
    if kind == ROTATE:
        other = tl.sum(h * w)
        length = tl.sqrt(s * s + other * other)
        h += (length * tl.cos(m * a) - s) * r + (length * tl.sin(m * a) - other) * w
    elif kind == SLERP:
        h += m * (slerped(h, r, s, a) - h)
    elif kind == OVERWRITE:
        h += m * tl.where(flags & WHOLE != 0, 1.0, r) * (w - h)
    elif kind == LATENT:
        f = tl.where(s + b > c, s + b, 0.0)
        wanted = tl.where(flags & SUM != 0, f + a, tl.where(flags & PRODUCT != 0, f * a, a))
        h += m * (wanted - f) * w
    else:
        low, high = tl.load(numbers + 3).to(tl.float32), tl.load(numbers + 4).to(tl.float32)
        size = m * (a + b * s + c * tl.minimum(tl.maximum(s, low), high))
        if flags & RELATIVE != 0:
            size *= norm(base)
        h += size * w
    return h


@triton.jit
def sealed(h: tl.tensor, base: tl.tensor, flags: tl.tensor) -> tl.tensor:
    """h rescaled to the length of base, where the policy says so and something was written."""
    if flags & (KEEP | NO_GROWTH) != 0:
        now, then = norm(h), norm(base)
        moved = tl.max((h != base).to(tl.int32)) > 0
        if moved & (now > 0) & ((flags & KEEP != 0) | (now > then)):
            h *= then / now
    return h


@triton.jit
def score(h: tl.tensor, r: tl.tensor, flags: tl.tensor) -> tl.tensor:
    """How a gate sees the row."""
    s = tl.sum(h * r)
    length = tl.maximum(norm(h), TINY)
    found = s
    if flags & CAST != 0:
        part = tanh(s * r)
        found = tl.sum(h * part) / (length * tl.maximum(norm(part), TINY))
    elif flags & COSINE != 0:
        found = s / length
    return found


@triton.jit
def entered(
    sums: tl.tensor, first: tl.tensor, second: tl.tensor, third: tl.tensor, fourth: tl.tensor
) -> None:
    """One write into a ledger slot."""
    tl.atomic_add(sums, tl.full((), 1.0, tl.float64), sem="relaxed")
    tl.atomic_add(sums + 1, first.to(tl.float64), sem="relaxed")
    tl.atomic_add(sums + 2, second.to(tl.float64), sem="relaxed")
    tl.atomic_add(sums + 3, third.to(tl.float64), sem="relaxed")
    tl.atomic_add(sums + 4, fourth.to(tl.float64), sem="relaxed")
