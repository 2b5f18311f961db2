"""What can go wrong for a caller, as data: a code, its status and type, and whether asking again helps.

A code is a word and means one thing. Statuses, types and codes as in the OpenAI reference where it has them;
`provider_*` are failures of the model's own server, never of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from symposia.core.errors import Cause

Type = Literal[
    "invalid_request_error",
    "insufficient_quota",
    "requests",
    "tokens",
    "service_unavailable_error",
    "steering_error",
    "server_error",
    "provider_error",
]


class Condition(NamedTuple):
    """A row of the table. `again`: what `x-should-retry` says; None leaves it to the status."""

    status: int
    type: Type
    when: str
    again: bool | None = None
    headers: tuple[tuple[str, str], ...] = ()


def _asked(status: int, when: str, *headers: tuple[str, str]) -> Condition:
    return Condition(status, "invalid_request_error", when, headers=headers)


def _provider(status: int, when: str, *, again: bool | None = None) -> Condition:
    return Condition(status, "provider_error", when, again)


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "invalid_api_key": _asked(401, "no key, or none that opens anything", ("www-authenticate", "Bearer")),
        "insufficient_scope": _asked(403, "the key lacks a scope or the model; `param` names it"),
        "steering_profile_forbidden": _asked(403, "the key may not use the profile"),
        "insecure_dev_only_local": _asked(403, "a development server asked from elsewhere"),
        "invalid_json": _asked(400, "the body is no JSON object"),
        "invalid_value": _asked(400, "a field's type or value; `param` is its path"),
        "unknown_parameter": _asked(400, "a field nobody knows; the message names the nearest"),
        "unsupported_parameter": _asked(400, "a known field that this server or model cannot honour"),
        "unsupported_content": _asked(400, "a part of a message that is not text"),
        "invalid_steering": _asked(400, "interventions that contradict themselves, or that the model refuses"),
        "steering_profile_incompatible": _asked(400, "the model cannot honour what the profile holds"),
        "context_length_exceeded": _asked(400, "the prompt and the reply's reserve exceed the window"),
        "replay_miss": _asked(400, "no recorded answer to this request"),
        "model_not_found": _asked(404, "no such model for this key"),
        "steering_profile_not_found": _asked(404, "no such profile for this key"),
        "unsupported_endpoint": _asked(404, "a raw prompt is not a turn; use /v1/chat/completions"),
        "unknown_url": _asked(404, "no such path"),
        "ambiguous_budget": _asked(400, "two overrides could decide the same field of one request"),
        "not_found": _asked(404, "no such thing under this path"),
        "method_not_allowed": _asked(405, "no such method on this path; `allow` lists them"),
        "immutable": _asked(405, "profiles never change; create another"),
        "alias_conflict": _asked(409, "the alias is no longer where `expect` says"),
        "in_use": _asked(409, "an alias or a canary points at it"),
        "canary_running": _asked(409, "the model has a running canary"),
        "illegal_transition": _asked(409, "the canary's state does not allow the command"),
        "precondition_failed": _asked(412, "`If-Match` names another revision"),
        "request_too_large": _asked(413, "the body is longer than the server reads"),
        "unsupported_media_type": _asked(415, "the body is not application/json"),
        "steering_budget_exceeded": Condition(429, "insufficient_quota", "a budget pool is spent"),
        "rate_limit_exceeded": Condition(429, "requests", "a rate pool is spent", again=True),
        "server_is_overloaded": Condition(
            503, "service_unavailable_error", "full, draining, or the ledger is out of reach",
            headers=(("retry-after", "1"),),
        ),
        "steering_disabled": Condition(
            503, "steering_error", "the kill switch is on, and steering was required", again=False
        ),
        "degenerate_output": Condition(500, "steering_error", "the reply went round in circles; `param` says how"),
        "intervention_not_applied": Condition(500, "steering_error", "a receipt disproves the intervention"),
        "intervention_missed": Condition(500, "steering_error", "a selector met no token"),
        "engine_failed": Condition(500, "server_error", "the engine's loop failed"),
        "internal_error": Condition(500, "server_error", "anything else; the log has it by request id"),
        "provider_rate_limited": _provider(529, "the model's server asks for patience", again=True),
        "provider_quota_exhausted": _provider(502, "this server's own quota there is spent", again=False),
        "provider_internal_error": _provider(502, "the model's server failed"),
        "provider_connection_error": _provider(502, "it cannot be reached", again=True),
        "provider_timeout": _provider(504, "it took too long; `param`: connect, first_token, idle or total"),
        "provider_auth_error": _provider(502, "it refuses this server's key; the caller's is fine", again=False),
        "provider_bad_response": _provider(502, "its answer cannot be read"),
        "provider_stream_truncated": _provider(502, "its answer ended early"),
    }
)  # fmt: skip

OF_CAUSE: Mapping[Cause, str] = MappingProxyType(
    {
        "rate_limited": "provider_rate_limited",
        "quota_exhausted": "provider_quota_exhausted",
        "server_error": "provider_internal_error",
        "breaker_open": "provider_internal_error",
        "connection": "provider_connection_error",
        "timeout": "provider_timeout",
        "auth": "provider_auth_error",
        "bad_response": "provider_bad_response",
        "stream_truncated": "provider_stream_truncated",
        "not_found": "provider_bad_response",
        "invalid_request": "provider_bad_response",
        "content_filter": "provider_bad_response",
        "context_overflow": "context_length_exceeded",
        "too_large": "server_is_overloaded",
        "unsupported": "unsupported_parameter",
        "template": "invalid_value",
        "engine_error": "engine_failed",
        "cancelled": "server_is_overloaded",
        "empty_reply": "internal_error",
        "refusal": "internal_error",
        "tool_loop": "internal_error",
        "unreadable_choice": "internal_error",
        "length": "internal_error",
        "hook_error": "internal_error",
    }
)
"""What a `BackendError` of each cause is to a caller, where its status does not say more."""

KEPT_STATUSES = frozenset({400, 404, 413, 422})
"""Statuses of the model's own server that are about the caller's request: passed on, with their type and code."""
