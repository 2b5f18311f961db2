"""The routes of the admin API, as data. `GET` needs `admin-read`, the rest `admin`, the kill switch its own scope."""

from __future__ import annotations

from symposia.core.profile import Profile
from symposia.serve.budget.file import FlatPolicy
from symposia.serve.route import Route, Scope
from symposia.store.profiles import Alias

from . import aliases, audited, budgets, events, forms, keys, profiles, shown, switches
from .operation import Operation

PREFIX = "/admin/v1"
EVENTS = f"{PREFIX}/events"
IMMUTABLE = frozenset({f"{PREFIX}/profiles", f"{PREFIX}/profiles/{{digest}}"})
"""Paths of what never changes: other methods than theirs are 405 `immutable`."""

_READ: tuple[Scope, ...] = ("admin-read", "admin")
_WRITE: tuple[Scope, ...] = ("admin",)
_ASKED = ("invalid_value", "unknown_parameter")
_ALIAS = f"{PREFIX}/aliases/{{model}}/{{name}}"
_PROFILE = "steering_profile_not_found"

_PROFILES: tuple[Operation, ...] = (
    Operation(
        Route("GET", f"{PREFIX}/profiles", "Every profile.", _READ, answers=shown.ProfileList),
        profiles.listed,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/profiles",
            "Keep a profile. One with interventions is tried on its model first.",
            _WRITE,
            asks=Profile,
            query=forms.Note,
            answers=shown.Created,
            status=201,
            also=((200, shown.Created),),
            faults=(
                "model_not_found",
                "steering_profile_incompatible",
                "intervention_not_applied",
                "engine_failed",
            ),
        ),
        profiles.put,
    ),
    Operation(
        Route(
            "GET",
            f"{PREFIX}/profiles/{{digest}}",
            "One profile, by its digest or the beginning of it.",
            _READ,
            answers=shown.ProfileShown,
            faults=(*_ASKED[:1], _PROFILE, "immutable"),
        ),
        profiles.shown,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/profiles/{{digest}}/archive",
            "Let a profile answer no more.",
            _WRITE,
            asks=forms.ReasonForm,
            answers=shown.ProfileShown,
            faults=(_PROFILE, "in_use"),
        ),
        profiles.archive,
    ),
)

_ALIASES: tuple[Operation, ...] = (
    Operation(
        Route(
            "GET",
            f"{PREFIX}/aliases",
            "Where aliases point.",
            _READ,
            query=forms.AliasesQuery,
            answers=shown.AliasList,
            faults=_ASKED,
        ),
        aliases.listed,
    ),
    Operation(
        Route("GET", _ALIAS, "Where one points.", _READ, answers=Alias, faults=("not_found",)),
        aliases.shown,
    ),
    Operation(
        Route(
            "PUT",
            _ALIAS,
            "Point it at a profile, if it is where `expect` says.",
            _WRITE,
            asks=forms.MoveForm,
            answers=shown.Moved,
            faults=(_PROFILE, "alias_conflict"),
        ),
        aliases.move,
    ),
    Operation(
        Route(
            "DELETE",
            _ALIAS,
            "Point it nowhere, if it is where `expect` says.",
            _WRITE,
            query=forms.RemoveQuery,
            answers=shown.Moved,
            faults=(*_ASKED, "not_found", "alias_conflict"),
        ),
        aliases.remove,
    ),
    Operation(
        Route(
            "GET", f"{_ALIAS}/history", "Every move of it.", _READ, answers=shown.Moves, faults=("not_found",)
        ),
        aliases.history,
    ),
)

_BUDGETS: tuple[Operation, ...] = (
    Operation(
        Route(
            "GET",
            f"{PREFIX}/budget",
            "The policy in force; its ETag is the revision.",
            _READ,
            answers=FlatPolicy,
        ),
        budgets.shown,
    ),
    Operation(
        Route(
            "PUT",
            f"{PREFIX}/budget",
            "Replace the policy of the revision that `If-Match` names.",
            _WRITE,
            asks=FlatPolicy,
            query=forms.Why,
            headers=("if-match",),
            answers=shown.Revised,
            faults=("ambiguous_budget", "precondition_failed"),
        ),
        budgets.put,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/budget/hard-limits",
            "Whether budgets refuse, or only count.",
            _WRITE,
            asks=forms.HardLimitsForm,
            answers=shown.Revised,
        ),
        budgets.hard_limits,
    ),
    Operation(
        Route(
            "GET",
            f"{PREFIX}/budget/usage",
            "How pools stand.",
            _READ,
            query=forms.UsageQuery,
            answers=shown.Usage,
            faults=_ASKED,
        ),
        budgets.usage,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/budget/reset",
            "Empty a pool.",
            _WRITE,
            asks=forms.ResetForm,
            answers=shown.Usage,
            faults=("not_found",),
        ),
        budgets.reset,
    ),
)

_KEYS: tuple[Operation, ...] = (
    Operation(
        Route("GET", f"{PREFIX}/keys", "Every key, without its secret.", _READ, answers=shown.KeyList),
        keys.listed,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/keys",
            "Make a key; the answer holds its secret, once.",
            _WRITE,
            asks=forms.KeyForm,
            answers=shown.KeyMade,
            status=201,
        ),
        keys.create,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/keys/{{key}}/rotate",
            "A key in another's place; the answer holds its secret, once.",
            _WRITE,
            asks=forms.RotateForm,
            answers=shown.KeyMade,
            status=201,
            faults=("not_found",),
        ),
        keys.rotate,
    ),
    Operation(
        Route(
            "DELETE",
            f"{PREFIX}/keys/{{key}}",
            "Let a key open nothing any more.",
            _WRITE,
            query=forms.Note,
            answers=shown.KeyShown,
            faults=(*_ASKED, "not_found"),
        ),
        keys.revoke,
    ),
)

_RUNNING: tuple[Operation, ...] = (
    Operation(
        Route(
            "GET",
            f"{PREFIX}/audit",
            "Who changed what, and why.",
            _READ,
            query=forms.AuditQuery,
            answers=shown.AuditPage,
            faults=_ASKED,
        ),
        audited.audit,
    ),
    Operation(
        Route(
            "GET",
            EVENTS,
            "The event log, a line an event; with `accept: text/event-stream` it is followed.",
            _READ,
            query=forms.EventsQuery,
            media=events.MEDIA,
            faults=_ASKED,
        ),
        events.page,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/kill",
            "Steer nothing, or steer again: everything served, on every replica.",
            ("kill",),
            asks=forms.KillForm,
            answers=shown.Killed,
        ),
        switches.kill,
    ),
    Operation(
        Route(
            "POST",
            f"{PREFIX}/drain",
            "Take no new requests in this process, or take them again.",
            _WRITE,
            asks=forms.DrainForm,
            answers=shown.Drained,
        ),
        switches.drain,
    ),
)

OPERATIONS: tuple[Operation, ...] = (*_PROFILES, *_ALIASES, *_BUDGETS, *_KEYS, *_RUNNING)
"""Everything an operator may do."""

ADMIN: tuple[Route, ...] = tuple(operation.route for operation in OPERATIONS)
