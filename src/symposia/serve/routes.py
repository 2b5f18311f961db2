"""What the server answers to, as data: the application is wired from this table and the document is written from it."""

from __future__ import annotations

from .admin.table import ADMIN
from .replies import ChatCompletion, Health, ModelList, ModelObject, Readiness
from .replies.chunkforms import ChatChunk
from .route import Route
from .wire import ChatRequest

_CHAT_FAULTS = (
    "insufficient_scope",
    "steering_profile_forbidden",
    "model_not_found",
    "steering_profile_not_found",
    "unsupported_parameter",
    "unsupported_content",
    "invalid_steering",
    "steering_profile_incompatible",
    "context_length_exceeded",
    "replay_miss",
    "steering_budget_exceeded",
    "rate_limit_exceeded",
    "server_is_overloaded",
    "steering_disabled",
    "degenerate_output",
    "intervention_not_applied",
    "intervention_missed",
    "engine_failed",
    "provider_rate_limited",
    "provider_quota_exhausted",
    "provider_internal_error",
    "provider_connection_error",
    "provider_timeout",
    "provider_auth_error",
    "provider_bad_response",
    "provider_stream_truncated",
)

INFERENCE: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/chat/completions",
        "Answer a conversation, whole or as a stream of chunks.",
        ("inference",),
        asks=ChatRequest,
        answers=ChatCompletion,
        events=ChatChunk,
        faults=_CHAT_FAULTS,
    ),
    Route(
        "GET",
        "/v1/models",
        "The models and profiles that the key may use.",
        ("inference",),
        answers=ModelList,
    ),
    Route(
        "GET",
        "/v1/models/{id}",
        "One of them.",
        ("inference",),
        answers=ModelObject,
        faults=("model_not_found", "steering_profile_not_found"),
    ),
)
"""What clients of models use."""

OPERATION: tuple[Route, ...] = (
    Route("GET", "/healthz", "Whether the server's loop answers.", answers=Health),
    Route(
        "GET",
        "/readyz",
        "Whether requests are welcome; 503 where something is missing.",
        answers=Readiness,
        also=((503, Readiness),),
    ),
    Route(
        "GET",
        "/metrics",
        "Metrics in the text format of Prometheus.",
        ("metrics", "admin-read"),
        media="text/plain",
    ),
    Route("GET", "/openapi.json", "This document.", media="application/json"),
)
"""What operators use."""

ROUTES: tuple[Route, ...] = (*INFERENCE, *OPERATION, *ADMIN)
"""Every route there is."""

ELSEWHERE: tuple[str, ...] = ("/v1/completions", "/v1/responses", "/v1/embeddings")
"""Paths other servers have: 404 `unsupported_endpoint`, for a raw prompt is not a turn."""
