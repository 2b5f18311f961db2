"""The ways in which an upstream fails a server, by name: a model called `fault-NAME` is answered in that way.

Any step of a plan is a NAME too: `fault-429:retry-after=1`.
"""

from __future__ import annotations

from typing import NamedTuple

from symposia.core.errors import InvalidInput

from .plan import Step, parse_plan

PREFIX = "fault-"
UPSTREAM_SECRET = "upstream/s3cret+fedcba9876543210=="  # noqa: S105  planted, so that a test can look for it
"""What a failing server lets slip of its own; nobody who relays to it may repeat it."""


class Row(NamedTuple):
    """One way to fail: its name, what the server does, and the same for people."""

    name: str
    step: Step
    does: str


MATRIX: tuple[Row, ...] = (
    Row(
        "rate-limit",
        Step(
            kind="status",
            status=429,
            headers=(("retry-after", "7"),),
            code="rate_limit_exceeded",
            type="requests",
        ),
        "429, and to come back in 7 s",
    ),
    Row(
        "quota",
        Step(kind="status", status=429, code="insufficient_quota", type="insufficient_quota"),
        "429, the project's quota is spent",
    ),
    Row(
        "secret",
        Step(
            kind="status",
            status=500,
            message=f"cannot reach postgresql://root:{UPSTREAM_SECRET}@db.internal/keys",
            type="server_error",
        ),
        "500 with a secret of its own in the message",
    ),
    Row(
        "overloaded",
        Step(kind="status", status=503, headers=(("retry-after", "3"),), type="server_error"),
        "503, and to come back in 3 s",
    ),
    Row(
        "context",
        Step(
            kind="status",
            status=400,
            code="context_length_exceeded",
            type="invalid_request_error",
            message="This model's maximum context length is 8 tokens. Please shorten the messages.",
        ),
        "400, the prompt is too long",
    ),
    Row("auth", Step(kind="echo-key", status=401, code="invalid_api_key"), "401 that quotes the key"),
    Row("html", Step(kind="html", status=502), "502 with a page of HTML"),
    Row("cut-json", Step(kind="cut-json"), "200 with JSON that is cut short"),
    Row("silence", Step(kind="silence"), "accepts, then nothing"),
    Row("hangup", Step(kind="eof-before-headers"), "drops the connection before any header"),
    Row("500", Step(kind="status", status=500, type="server_error"), "500, where a stream was asked for too"),
    Row(
        "error",
        Step(
            kind="mid-stream-error", done=1, message=f"worker 3 died ({UPSTREAM_SECRET})", type="server_error"
        ),
        "2 deltas, an error object, [DONE]",
    ),
    Row("drop", Step(kind="truncated"), "2 deltas, then the connection is dropped inside an event"),
    Row("eof", Step(kind="eof"), "2 deltas, then a clean end without a finish"),
    Row("garbage", Step(kind="garbage", after=2), "2 deltas, an event that is no JSON, then more"),
    Row("stall", Step(kind="stall"), "2 deltas, then nothing"),
    Row("chatter", Step(kind="chatter"), "comments and foreign events between the deltas"),
    Row("bytewise", Step(kind="bytewise"), "the answer, byte by byte"),
    Row("no-finish", Step(kind="no-finish"), "all text and [DONE], no finish reason"),
    Row("no-done", Step(kind="no-done"), "all text and the finish, no [DONE]"),
    Row("empty", Step(kind="empty"), "200 and no byte of a body"),
    Row("no-usage", Step(kind="no-usage"), "the answer without its usage"),
)
"""In the order of the specification of serving: eighteen rows and four more."""

STEPS = {row.name: (row.step,) for row in MATRIX}


def steps_of(model: str) -> tuple[Step, ...] | None:
    """What the requests for a model get, by its name; None: it is an ordinary model. `InvalidInput`: no such fault."""
    if not model.startswith(PREFIX):
        return None
    name = model.removeprefix(PREFIX)
    steps = STEPS.get(name) or parse_plan(name)
    if steps[0].kind == "connect-refused":
        raise InvalidInput(
            "connect-refused: who answers cannot refuse to; ask at a port where nobody listens"
        )
    return steps
