"""What each request gets, in words: `429:retry-after-ms=50,500,200` is two failures, then an answer.

Steps are separated by commas, a step's options by colons; `500*3` is three of them. The last step is repeated for as
long as somebody asks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.value import Value

Kind = Literal[
    "answer",
    "status",
    "echo-key",
    "html",
    "silence",
    "empty",
    "cut-json",
    "garbage",
    "slow",
    "stall",
    "eof",
    "eof-before-headers",
    "truncated",
    "reset",
    "no-finish",
    "no-done",
    "no-usage",
    "mid-stream-error",
    "chatter",
    "split-utf8",
    "bytewise",
    "connect-refused",
]
KINDS: dict[str, str] = {
    "200": "the scripted answer",
    "NNN": "that status with an error object: code=, type=, message=, and headers: retry-after=, retry-after-ms=, "
    "retry-after-date=SECONDS (a date that far ahead), x-should-retry=, x-ratelimit-…=",
    "401-echo-key": "401 whose message repeats the caller's key, bare and in a URL (any status: NNN-echo-key)",
    "NNN-html": "that status with a page of HTML, as a proxy would",
    "html": "200 with a page of HTML",
    "silence": "nothing, not even headers",
    "empty": "200 and no byte of a body",
    "cut-json": "200 with JSON that is cut short, streamed or not",
    "garbage": "an event that is no JSON after=N deltas (default 0), then the rest",
    "slow": "first-ms= before the first delta, between-ms= between two (default: nothing ever comes)",
    "stall": "after=N deltas (default 2), then nothing",
    "eof": "a stream that ends after=N deltas (default 2), properly closed, without a finish",
    "eof-before-headers": "the connection is closed instead of a reply",
    "truncated": "the connection is closed in the middle of an event, after=N deltas (default 2)",
    "reset": "a reset instead of a reply; with after=N, after N deltas",
    "no-finish": "the whole text and [DONE], without a finish reason",
    "no-done": "the scripted answer with its finish, without [DONE]",
    "no-usage": "the scripted answer without usage",
    "mid-stream-error": "an error object after=N deltas (default 2): code=, type=, message=; done=1: then [DONE]",
    "chatter": "the scripted answer among comments, events of other kinds and chunks without choices",
    "split-utf8": "the scripted answer, cut inside every character of more than one byte",
    "bytewise": "the scripted answer, a byte at a time",
    "connect-refused": "nobody listens; must be the only step",
}
"""Every step, for people."""

_STEP = re.compile(r"(?P<name>[a-z0-9-]+)(?P<options>(?::[^*]*)?)(?:\*(?P<times>\d+))?")
_HEADER = ("retry-", "x-", "anthropic-")
NEVER_MS = math.inf


class Step(Value, frozen=True, kw_only=True):
    """What one request gets. `after`: deltas before the fault; times in milliseconds, infinite: never.

    `done`: the stream's proper end follows an error in it all the same.
    """

    kind: Kind
    status: int = 200
    after: int = 2
    first_ms: float = 0.0
    between_ms: float = 0.0
    done: int = 0
    retry_after_date_s: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""
    type: str = ""
    message: str = ""


def parse_plan(text: str) -> tuple[Step, ...]:
    """The steps of a plan; `InvalidInput` says which word is not one."""
    steps = tuple(step for word in text.split(",") for step in _steps(word.strip()))
    if len(steps) > 1 and any(step.kind == "connect-refused" for step in steps):
        raise InvalidInput(
            "connect-refused must be the only step of a plan: where nobody listens, nobody counts"
        )
    return steps


def _steps(word: str) -> tuple[Step, ...]:
    match = _STEP.fullmatch(word)
    if match is None:
        raise InvalidInput(f"plan: {word!r}: expected NAME, NAME:option=value or NAME*times")
    step = _named(match["name"])
    for option in filter(None, match["options"].split(":")):
        step = _with(step, option, word)
    return (step,) * int(match["times"] or 1)


def _named(name: str) -> Step:
    status, _, rest = name.partition("-")
    if len(status) == 3 and status.isdecimal():
        if not rest:
            return Step(kind="answer") if status == "200" else Step(kind="status", status=int(status))
        if rest in ("echo-key", "html"):
            return Step(kind=msgspec.convert(rest, Kind), status=int(status))
    if name not in set(get_args(Kind)) - {"answer", "status", "echo-key"}:
        raise UnknownName("step of a plan", name, KINDS)
    kind: Kind = msgspec.convert(name, Kind)
    match kind:
        case "slow":
            return Step(kind=kind, first_ms=NEVER_MS)
        case "reset" | "garbage":
            return Step(kind=kind, after=0)
        case "mid-stream-error":
            return Step(kind=kind, code="server_error", type="server_error", message="the model went away")
    return Step(kind=kind)


def _with(step: Step, option: str, word: str) -> Step:
    name, given, value = option.partition("=")
    if given and name in _WORDS:
        return msgspec.structs.replace(step, **{name: value})
    if given and name.startswith(_HEADER) and name != "retry-after-date":
        return msgspec.structs.replace(step, headers=(*step.headers, (name, value)))
    if not given or name not in _NUMBERS:
        raise UnknownName(f"option in plan step {word!r}", name, (*_WORDS, *_NUMBERS, "any header x-…"))
    field, read = _NUMBERS[name]
    try:
        changed = {field: read(value)}
    except ValueError:
        raise InvalidInput(f"plan: {word!r}: {name}: expected a number; got {value!r}") from None
    if name == "between-ms" and step.first_ms == NEVER_MS:
        changed["first_ms"] = 0.0
    return msgspec.structs.replace(step, **changed)


_WORDS = ("code", "type", "message")
_NUMBERS: dict[str, tuple[str, Callable[[str], float]]] = {
    "after": ("after", int),
    "done": ("done", int),
    "first-ms": ("first_ms", float),
    "between-ms": ("between_ms", float),
    "retry-after-date": ("retry_after_date_s", float),
}
