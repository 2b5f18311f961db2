"""What a forward must satisfy before its sites are believed. Pure: tensors of a few forwards in, checks out.

Axes: T flat tokens of two rows, D a site's width, V vocabulary. Errors are relative L2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import ArchitectureNotUnderstood
from symposia.core.value import Value

from .taps import BLOCK_SITES, SiteMap

Name = Literal[
    "anatomy",
    "chain",
    "sum",
    "heads",
    "pattern",
    "mlp",
    "router",
    "readout",
    "neutral",
    "effect",
    "causal",
    "rows",
    "decode",
]
Status = Literal["passed", "failed", "not_applicable"]
BARS = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 2e-2}
FATAL: frozenset[Name] = frozenset(
    {"anatomy", "chain", "sum", "readout", "effect", "causal", "rows", "decode"}
)
ALL: tuple[Name, ...] = (
    "chain",
    "sum",
    "heads",
    "pattern",
    "mlp",
    "router",
    "readout",
    "neutral",
    "effect",
    "causal",
    "rows",
    "decode",
)
_SITES: dict[Name, tuple[Site, ...]] = {
    "heads": ("z",),
    "pattern": ("q", "k", "v", "pattern"),
    "mlp": ("mlp_out",),
    "router": ("router",),
    "neutral": BLOCK_SITES,
    "readout": ("final", "logits"),
}
Rows = Mapping[tuple[Site, int], Tensor]


class Check(Value, frozen=True, kw_only=True):
    """One self-test at some layers; none for those of the whole model. `error` is the worst of the layers."""

    name: Name
    layers: tuple[int, ...] = ()
    error: float | None = None
    tolerance: float | None = None
    status: Status
    reason: str = ""


class SelfTestsFailed(ArchitectureNotUnderstood):
    """The model is not what its family promises; `checks` is everything that was looked at."""

    def __init__(self, message: str, checks: tuple[Check, ...]) -> None:
        super().__init__(message)
        self.checks = checks


@dataclass(frozen=True, kw_only=True)
class Written:
    """What one forward wrote: `tokens_P` got `share` times their own length along `units[site, layer]`."""

    before: Rows
    after: Rows
    tokens: tuple[int, ...]
    share: float
    units: Rows


def relative(got: Tensor, expected: Tensor) -> float:
    """‖got - expected‖ over ‖expected‖; NaN where either is not finite."""
    got, expected = got.double(), expected.double()
    length = float(expected.norm())
    return float((got - expected).norm()) / (length or 1.0)


def worst(*errors: float) -> float:
    """The largest, or NaN if one is: `max` would lose it."""
    return math.nan if any(map(math.isnan, errors)) else max(errors)


def judged(name: Name, errors: Mapping[int, float], tolerance: float, reason: str) -> tuple[Check, ...]:
    """One check for the layers within the tolerance, one for the others. Not finite is never within."""
    bad = {layer: error for layer, error in errors.items() if not error <= tolerance}
    good = {layer: error for layer, error in errors.items() if layer not in bad}
    made = []
    outcomes: tuple[tuple[dict[int, float], Status, str], ...] = (
        (good, "passed", ""),
        (bad, "failed", reason),
    )
    for group, status, why in outcomes:
        if group:
            largest = worst(*group.values())
            error = largest if math.isfinite(largest) else None
            layers = tuple(layer for layer in group if layer >= 0)
            made.append(
                Check(name=name, layers=layers, error=error, tolerance=tolerance, status=status, reason=why)
            )
    return tuple(made)


def whole(name: Name, error: float, tolerance: float, reason: str) -> tuple[Check, ...]:
    """A check of the whole model."""
    return judged(name, {-1: error}, tolerance, reason)


def absent(name: Name, reason: str) -> Check:
    """A check of something this model does not have, or that was not run."""
    return Check(name=name, status="not_applicable", reason=reason)


def unread(reason: str) -> tuple[Check, ...]:
    """The list for a model whose parts were not found: nothing else was run."""
    failed = Check(name="anatomy", status="failed", reason=reason)
    return (failed, *(absent(name, "not run: the parts were not found") for name in ALL))


def chain(rows: Rows, layers: int) -> dict[int, float]:
    """`resid_post(l)` against `resid_pre(l+1)`."""
    return {
        layer: relative(rows["resid_pre", layer + 1], rows["resid_post", layer])
        for layer in range(layers - 1)
    }


def sums(rows: Rows, layers: int) -> dict[int, float]:
    """`resid_mid` and `resid_post` against what the block adds up."""
    errors = {}
    for layer in range(layers):
        middle = rows["resid_pre", layer].double() + rows["attn_out", layer].double()
        total = middle + rows["mlp_out", layer].double()
        errors[layer] = worst(
            relative(rows["resid_mid", layer], middle), relative(rows["resid_post", layer], total)
        )
    return errors


def patterns(rows: Sequence[Rows], layers: int) -> dict[int, float]:
    """`pattern @ v` against `z`, row by row of the batch, and no row of attention above 1 in sum.

    Rows are `[n, heads, …]`, a token's keys those of its row of the batch.
    """
    errors = dict.fromkeys(range(layers), 0.0)
    for row in rows:
        for layer in range(layers):
            pattern_nHL, v_LKd = row["pattern", layer].double(), row["v", layer].double()
            v_LHd = v_LKd.repeat_interleave(pattern_nHL.shape[1] // v_LKd.shape[1], dim=1)
            z_nHd = torch.einsum("nhl,lhd->nhd", pattern_nHL, v_LHd)
            above = float((pattern_nHL.sum(dim=-1) - 1.0).clamp_min(0.0).amax())
            errors[layer] = worst(errors[layer], relative(row["z", layer], z_nHd), above)
    return errors


def routers(rows: Rows) -> dict[int, float]:
    """Share of tokens whose chosen experts are not those of the largest logits, by layer that has experts."""
    errors = {}
    for (site, layer), rows_T2E in rows.items():
        if site == "router":
            logits_TE, weights_TE = rows_T2E.double().unbind(dim=1)
            least_T = logits_TE.masked_fill(weights_TE == 0, math.inf).amin(dim=1)
            most_T = logits_TE.masked_fill(weights_TE != 0, -math.inf).amax(dim=1)
            bad_T = (least_T < most_T) | (weights_TE != 0).logical_not().all(dim=1)
            errors[layer] = float(bad_T.double().mean()) if logits_TE.isfinite().all() else math.nan
    return errors


def effects(written: Written, layers: int) -> dict[int, float]:
    """What was captured after a write against what was there before and the addition; elsewhere nothing moves."""
    errors = dict.fromkeys(range(layers), 0.0)
    for (site, layer), before_TD in written.before.items():
        expected_TD = before_TD.double().clone()
        for token in written.tokens:
            unit_D = written.units[site, layer].to(expected_TD)
            expected_TD[token] += written.share * expected_TD[token].norm() * unit_D
        after_TD = written.after[site, layer]
        still = [t for t in range(len(before_TD)) if t not in written.tokens]
        error = relative(after_TD[list(written.tokens)], expected_TD[list(written.tokens)])
        if not after_TD[still].equal(before_TD[still]):
            error = math.inf
        errors[layer] = worst(errors[layer], error)
    return errors


def handed_on(written: Written, layers: int) -> dict[int, float]:
    """Whether each place of the residual continues from what was written at the place before it."""
    was, now = written.before, written.after
    errors = {}
    for layer in range(layers):
        middle = now["resid_pre", layer].double() + now["attn_out", layer].double()
        total = now["resid_mid", layer].double() + now["mlp_out", layer].double()
        found = [relative(was["resid_mid", layer], middle), relative(was["resid_post", layer], total)]
        if layer + 1 < layers:
            found.append(relative(was["resid_pre", layer + 1], now["resid_post", layer]))
        errors[layer] = worst(*found)
    return errors


def supported(sites: SiteMap, checks: Iterable[Check]) -> SiteMap:
    """The map without what did not pass, layer by layer."""
    left = dict(sites.supported)
    for check in checks:
        for site in _SITES.get(check.name, ()):
            if check.status == "passed" or site not in left:
                continue
            kept = tuple(layer for layer in left[site] if check.layers and layer not in check.layers)
            left[site] = kept
            if not kept:
                del left[site]
    return msgspec.structs.replace(sites, supported=left)


def require(checks: tuple[Check, ...], model_type: str) -> None:
    """`SelfTestsFailed` if one failed that nothing inside can be believed without."""
    failed = [check for check in checks if check.status == "failed" and check.name in FATAL]
    if failed:
        passed = sorted({c.name for c in checks if c.status == "passed"} - {c.name for c in failed})
        raise SelfTestsFailed(
            f"{model_type}: the self-tests {'; '.join(map(_told, failed))}; passed: {', '.join(passed) or 'none'}; "
            "load it with white_box=False to run it without interventions and captures",
            checks,
        )


def _told(check: Check) -> str:
    at = f" at layers {', '.join(map(str, check.layers))}" if check.layers else ""
    size = "not finite" if check.error is None else f"{check.error:.1e}"
    return f"{check.name}{at} failed: {check.reason} (relative L2 {size}; expected <= {check.tolerance:.0e})"
