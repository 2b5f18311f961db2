"""What to change inside a model while it reads and speaks: a tagged union (JSON tag `op`) of frozen structs.

h is a residual row, v̂ the unit vector, s = h·v̂; arithmetic is fp32 with one cast back. Vectors are named by
digest. Order in a tuple is order of application.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta

from .capture import ActivationRef, Site
from .errors import InvalidIntervention
from .positions import Positions, speaking
from .value import Count, Value

Unit = Literal["fitted", "absolute", "relative", "reference", "calibrated"]
FixedUnit = Literal["fitted", "absolute", "reference"]
_RESIDUAL: tuple[Site, ...] = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
_SITES: dict[str, tuple[Site, ...]] = {
    "add": (*_RESIDUAL, "z", "router"),
    "replace": (*_RESIDUAL, "z", "q", "k", "v", "router"),
    "heads": ("z",),
}
_PER_HEAD: tuple[Site, ...] = ("z", "q", "k", "v")
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]


class Gate(Value, frozen=True, kw_only=True):
    """Apply only where a projection passes a threshold. `each` decides per position, others once a row."""

    vector: str
    layer: Count
    over: Positions
    pool: Literal["mean", "last", "max", "each"] = "mean"
    measure: Literal["projection", "cosine", "cast"] = "projection"
    test: Literal["above", "below"] = "above"
    threshold: float = 0.0


class Schedule(Value, frozen=True, kw_only=True):
    """A multiplier m(x) blending the op in: h + m(op(h) - h). x is own tokens of the turn, or own turns."""

    by: Literal["token", "turn"]
    points: tuple[tuple[float, float], ...]
    curve: Literal["linear", "step", "geometric"] = "linear"
    tail: Literal["hold", "zero"] = "hold"

    def __post_init__(self) -> None:
        xs = [x for x, _ in self.points]
        if not xs or xs[0] < 0 or any(a >= b for a, b in pairwise(xs)):
            raise InvalidIntervention(f"schedule points need x >= 0, strictly rising; got {xs}")
        if self.curve == "geometric" and any(m <= 0 for _, m in self.points):
            raise InvalidIntervention("a geometric schedule needs multipliers above 0; use linear or step")


class Edit(Value, frozen=True, kw_only=True, tag_field="op"):
    """Fields every operation shares. `layers=()` means those of the vector file."""

    site: Site = "resid_post"
    layers: tuple[Count, ...] = ()
    weights: tuple[float, ...] = ()
    where: Positions = speaking()
    gate: Gate | None = None
    schedule: Schedule | None = None
    norm: Literal["free", "keep", "no_growth"] = "free"
    direction_from: Count | None = None
    may_miss: bool = False
    foreign: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.weights and not isinstance(self, Add):
            raise InvalidIntervention(f"weights belong to `add`; got them on {type(self).__name__.lower()}")
        if self.weights and len(self.weights) != len(self.layers):
            raise InvalidIntervention(
                f"expected one weight per layer: {len(self.layers)}; got {len(self.weights)}"
            )
        if len(set(self.layers)) != len(self.layers):
            raise InvalidIntervention(f"layers {self.layers} repeat one; name each once and raise its scale")
        self._check_site()
        self._check_gate()

    def _check_site(self) -> None:
        op = str(self.__struct_config__.tag)
        sites = _SITES.get(op, (*_RESIDUAL, "z"))
        if self.site not in sites:
            raise InvalidIntervention(f"{op} cannot write {self.site!r}; expected one of {', '.join(sites)}")

    def _check_gate(self) -> None:
        """A gate must be decided before the first layer it governs."""
        if self.gate is None or not self.layers:
            return
        first, each = min(self.layers), self.gate.pool == "each"
        if self.gate.layer > first or (self.gate.layer == first and not each):
            raise InvalidIntervention(
                f"a gate with pool {self.gate.pool!r} must read {'at or ' if each else ''}below "
                f"layer {first}, the first one it governs; it reads layer {self.gate.layer}"
            )


class Add(Edit, frozen=True, kw_only=True, tag="add"):
    """h + scale·w_l·u·v̂, with u by unit: ‖v‖ as fitted, 1, ‖h‖, the file's reference norm, or calibrated."""

    vector: str
    scale: float = 1.0
    unit: Unit = "fitted"


class Ablate(Edit, frozen=True, kw_only=True, tag="ablate"):
    """h - strength·QQᵀh, Q an orthonormal basis of the vector or subspace."""

    vector: str
    strength: float = 1.0


class Set(Edit, frozen=True, kw_only=True, tag="set"):
    """h + (value·u - s)v̂: the projection becomes `value`."""

    vector: str
    value: float
    unit: FixedUnit = "absolute"


class Cap(Edit, frozen=True, kw_only=True, tag="cap"):
    """h + (clip(s, low·u, high·u) - s)v̂; at least one bound."""

    vector: str
    low: float | None = None
    high: float | None = None
    unit: FixedUnit = "absolute"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            raise InvalidIntervention("cap needs low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InvalidIntervention(f"cap needs low <= high; got {self.low} and {self.high}")


class Scale(Edit, frozen=True, kw_only=True, tag="scale"):
    """h + (factor - 1)s·v̂; the orthogonal part is kept."""

    vector: str
    factor: float


class Swap(Edit, frozen=True, kw_only=True, tag="swap"):
    """h + λ(t - c), λ = h·c/‖c‖², with c the source and t the target as fitted."""

    source: str
    target: str


class Angle(Edit, frozen=True, kw_only=True, tag="angle"):
    """h - Ph + ‖Ph‖(cos θ·b1 + sin θ·b2) in a plane file's [2, D] basis."""

    plane: str
    degrees: float


class Slerp(Edit, frozen=True, kw_only=True, tag="slerp"):
    """The direction of h turned toward v̂ on the sphere by `fraction`; ‖h‖ is kept."""

    vector: str
    fraction: Fraction


class Replace(Edit, frozen=True, kw_only=True, tag="replace"):
    """The captured row of `source`, position by position through `pairs` ((from, to), ...), in place of `where`.

    `heads` narrows what is written at `z`, `q`, `k` and `v`; () is the whole row.
    """

    source: ActivationRef
    pairs: tuple[tuple[Count, Count], ...]
    heads: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.pairs:
            raise InvalidIntervention("replace needs at least one (from, to) pair of positions")
        if self.where != speaking():
            raise InvalidIntervention("replace takes its positions from `pairs`; leave `where` out")
        targets = [to for _, to in self.pairs]
        if len(set(targets)) != len(targets):
            raise InvalidIntervention(f"replace names a position twice in {self.pairs}; name each once")
        if self.heads and self.site not in _PER_HEAD:
            raise InvalidIntervention(f"heads narrow {', '.join(_PER_HEAD)}; got them at {self.site!r}")


class Heads(Edit, frozen=True, kw_only=True, tag="heads"):
    """`z` of those heads becomes zero or a reference mean."""

    site: Site = "z"
    heads: tuple[Count, ...]
    mode: Literal["zero", "mean"] = "zero"
    means: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.heads:
            raise InvalidIntervention("heads needs at least one head index")
        if (self.mode == "mean") != (self.means is not None):
            raise InvalidIntervention(
                f"heads takes `means` exactly when mode is 'mean'; mode is {self.mode!r}"
            )


class Latent(Edit, frozen=True, kw_only=True, tag="latent"):
    """h + (f' - f)d through an SAE's own activation f; its error term is kept."""

    sae: str
    index: Count
    target: float
    mode: Literal["clamp", "add", "scale"] = "clamp"


Intervention = Add | Ablate | Set | Cap | Scale | Swap | Angle | Slerp | Replace | Heads | Latent


def vectors_of(intervention: Intervention) -> tuple[str, ...]:
    """Digests of the vector files an intervention reads, its gate's included."""
    match intervention:
        case Add() | Ablate() | Set() | Cap() | Scale() | Slerp():
            own: tuple[str, ...] = (intervention.vector,)
        case Swap():
            own = (intervention.source, intervention.target)
        case Angle():
            own = (intervention.plane,)
        case Latent():
            own = (intervention.sae,)
        case Heads():
            own = (intervention.means,) if intervention.means else ()
        case Replace():
            own = ()
    return own + ((intervention.gate.vector,) if intervention.gate else ())
