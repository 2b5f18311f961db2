"""What the admin API is sent, and what it is asked for in the query."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from symposia.serve.wire.asked import Asked, NonEmpty
from symposia.store.keys import Scope

Reason = Annotated[str, Meta(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", max_length=10_000)]
Told = Annotated[str, Meta(pattern=r"^[^\x00]*$", max_length=10_000)]
Named = Annotated[str, Meta(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", max_length=200)]
Globs = Annotated[tuple[Named, ...], Meta(min_length=1, max_length=64)]
Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{12,64}$")]
Life = Annotated[float, Meta(ge=1, le=3_200_000_000)]
"""Seconds from now; at most a hundred years."""
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
MOST_EVENTS = 10_000


class Why(Asked, frozen=True, kw_only=True):
    """A change whose body is the thing itself, or that has none, says why in the query."""

    reason: Reason


class Note(Asked, frozen=True, kw_only=True):
    """A reason that may be left out."""

    reason: Told = ""


class ReasonForm(Asked, frozen=True, kw_only=True):
    """Why."""

    reason: Reason


class AliasesQuery(Asked, frozen=True, kw_only=True):
    """Of one model, by the server's name or the address; else all."""

    model: str | None = None


class MoveForm(Asked, frozen=True, kw_only=True):
    """Point an alias at the profile `to` if it is at `expect` now; "none" and null are nowhere."""

    to: Digest
    expect: str | None
    reason: Told
    evidence: Told = ""


class RemoveQuery(Asked, frozen=True, kw_only=True):
    """Where the alias is believed to point."""

    expect: NonEmpty
    reason: Reason
    evidence: Told = ""


class AuditQuery(Asked, frozen=True, kw_only=True):
    """Acts after a number, at most so many."""

    since: Number = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_EVENTS)] = 1000


class HardLimitsForm(Asked, frozen=True, kw_only=True):
    """Whether budgets refuse, or only count."""

    enabled: bool
    reason: Reason


class UsageQuery(Asked, frozen=True, kw_only=True):
    """One pool; else all that are in use."""

    pool: str | None = None


class ResetForm(Asked, frozen=True, kw_only=True):
    """The pool to empty."""

    pool: NonEmpty
    reason: Reason


class KillForm(Asked, frozen=True, kw_only=True):
    """`on`: everything is answered without steering. `cut`: steered streams under way end, too."""

    on: bool
    cut: bool = False
    reason: Reason


class DrainForm(Asked, frozen=True, kw_only=True):
    """`on`: this process takes no new requests."""

    on: bool = True
    reason: Reason


class KeyForm(Asked, frozen=True, kw_only=True):
    """A key to make. `models` and `profiles` are globs; `expires_s` counts from now."""

    name: Named
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    models: Globs = ("*",)
    profiles: Globs = ("*",)
    expires_s: Life | None = None
    reason: Told = ""


class RotateForm(Asked, frozen=True, kw_only=True):
    """The old key opens for `grace_s` more."""

    grace_s: Annotated[float, Meta(ge=0, le=3_200_000_000)] = 0.0
    reason: Told = ""


class EventsQuery(Asked, frozen=True, kw_only=True):
    """Events after a number, of types named with commas between them, at most so many."""

    after: Number = 0
    type: str = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_EVENTS)] = 1000
