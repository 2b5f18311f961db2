"""What to read from the forward that makes each token, and what was read."""

from __future__ import annotations

from typing import Literal

from .errors import InvalidIntervention
from .positions import Positions, spoken
from .value import Count, Value

Site = Literal[
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_out",
    "mlp_out",
    "z",
    "q",
    "k",
    "v",
    "pattern",
    "router",
    "final",
    "logits",
]
Dtype = Literal["model", "bfloat16", "float16", "float32"]
Run = tuple[int, int]
_PER_HEAD: tuple[Site, ...] = ("z", "q", "k", "v", "pattern")


class Keep(Value, frozen=True, tag_field="reduce", tag="keep"):
    """Every selected row as it is."""


class Pool(Value, frozen=True, tag_field="reduce", tag="pool"):
    """One row per span, in fp32."""

    by: Literal["mean", "last", "max"]


class Project(Value, frozen=True, tag_field="reduce", tag="project"):
    """One float per token on a named vector; nothing is stored."""

    vector: str
    measure: Literal["projection", "cosine", "zscore", "probability"] = "projection"


class Capture(Value, frozen=True, kw_only=True):
    """Read `site` at `layers` (block indexes; `final` and `logits` take none) where `where` selects.

    `at`: before or after the interventions at that site. `heads` narrows `z`, `q`, `k`, `v` and `pattern`,
    whose rows are kept as [heads, size], the chosen heads in the order given. A row of `pattern` is [heads, keys]: a
    number for each position up to the last one captured, 0 past the row's own. A row of `router` is [2, experts]:
    raw logits, then the weights the model gave, 0 for experts it did not choose.
    """

    site: Site = "resid_post"
    layers: tuple[Count, ...] = ()
    where: Positions = spoken()
    at: Literal["after", "before"] = "after"
    reduce: Keep | Pool | Project = Keep()
    dtype: Dtype = "model"
    heads: tuple[Count, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if self.layers and self.site in ("final", "logits"):
            raise InvalidIntervention(f"site {self.site!r} takes no layers; got {self.layers}")
        if len(set(self.layers)) != len(self.layers):
            raise InvalidIntervention(f"layers {self.layers} repeat one; name each once")
        if self.heads and self.site not in _PER_HEAD:
            raise InvalidIntervention(f"heads narrow {', '.join(_PER_HEAD)}; got them at {self.site!r}")


class ActivationRef(Value, frozen=True, kw_only=True):
    """Names captured rows by digest; the rows lie in an activation store. `shape` is [rows, ...]."""

    record: str
    digest: str
    site: Site
    layer: int | None
    shape: tuple[int, ...]
    dtype: str
    runs: tuple[Run, ...]
    name: str = ""


class Readout(Value, frozen=True, kw_only=True):
    """Plain floats a `Project` capture computed, one per position."""

    name: str
    vector: str
    layer: int
    positions: tuple[int, ...]
    values: tuple[float, ...]
