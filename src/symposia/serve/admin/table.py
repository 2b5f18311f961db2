"""The routes of the admin API, as data. `GET` needs `admin-read`, the rest `admin`, the kill switch its own scope."""

from __future__ import annotations

from symposia.core.profile import Profile
from symposia.serve.budget.file import FlatPolicy
from symposia.serve.route import Route
from symposia.store.profiles import Alias

from . import aliases, audited, budgets, events, forms, keys, profiles, shown, switches
from .operation import Operation

PREFIX = "/admin/v1"
_READ, _WRITE = ("admin-read", "admin"), ("admin",)
_PROFILE = ("steering_profile_not_found",)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        Route("GET", "/admin/v1/profiles", "Every profile.", ("admin-read", "admin"), answers=shown.ProfileList),
        profiles.listed,
    ),
    Operation(
        Route(
            "POST",
            "/admin/v1/profiles",
            "Keep a profile; one with interventions is tried on its model first.",
            ("admin",),
            asks=Profile,
            query=forms.Note,
            answers=shown.Created,
            status=201,
            also=((200, shown.Created),),
            faults=("model_not_found", "steering_profile_incompatible", "unsupported_parameter"),
        ),
        profiles.put,
    ),
)
