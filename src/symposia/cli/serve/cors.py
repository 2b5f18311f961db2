"""The application, for browsers of the origins that the settings name."""

from __future__ import annotations

from symposia.serve.app import App, ASGIApp
from symposia.serve.settings import Settings

_ASKED = ("authorization", "content-type", "x-request-id", "x-steering-unit")
_SHOWN = (
    "retry-after",
    "x-request-id",
    "x-steering-applied",
    "x-steering-arm",
    "x-steering-profile",
    "x-steering-revision",
)


def with_cors(app: App, settings: Settings) -> ASGIApp:
    """The application itself where no origin is named."""
    if not settings.cors_origin:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=settings.cors_origin,
        allow_methods=("GET", "POST"),
        allow_headers=_ASKED,
        expose_headers=_SHOWN,
    )
