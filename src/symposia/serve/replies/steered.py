"""The steering block: what was decided before the first token, and what the receipts prove after the last."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from symposia.core.receipt import Receipt
from symposia.core.served import Applied, Arm
from symposia.serve.faults import Served

from .objects import SteeredTokens, SteeringBlock


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before the first token. `reason` says why steering that was meant is not there."""

    profile: str | None = None
    revision: str | None = None
    arm: Arm = "none"
    canary: str | None = None
    reason: str | None = None
    seed: int | None = None

    @property
    def served(self) -> Served:
        """What an error says of it."""
        return Served(profile=self.profile, revision=self.revision, arm=self.arm, canary=self.canary)


def applied_of(receipts: Sequence[Receipt]) -> Applied:
    """What receipts prove: "true" if all were applied, "degraded" if one was not, "false" if there are none."""
    if not receipts:
        return "false"
    return "true" if all(receipt.status == "applied" for receipt in receipts) else "degraded"


def steering_of(
    decided: Decided,
    receipts: tuple[Receipt, ...],
    *,
    verbatim: bool = False,
    degenerate: str | None = None,
) -> SteeringBlock:
    """The block of a reply with the receipts of all its choices; `verbatim` adds them as they are."""
    return SteeringBlock(
        profile=decided.profile,
        revision=decided.revision,
        arm=decided.arm,
        canary=decided.canary,
        applied=applied_of(receipts),
        reason=decided.reason,
        seed=decided.seed,
        tokens=_tokens(receipts) if receipts else None,
        delta_over_norm=_delta_over_norm(receipts) if receipts else None,
        degenerate=degenerate,
        receipts=receipts if verbatim else None,
    )


def _tokens(receipts: Sequence[Receipt]) -> SteeredTokens:
    """Sums over interventions and choices."""
    return SteeredTokens(
        given=sum(receipt.tokens.given for receipt in receipts),
        history=sum(receipt.tokens.history for receipt in receipts),
        generated=sum(receipt.tokens.generated for receipt in receipts),
    )


def _delta_over_norm(receipts: Sequence[Receipt]) -> float | None:
    shares = [layer.delta_mean / layer.norm for r in receipts for layer in r.layers if layer.norm > 0]
    return max(shares, default=None)
