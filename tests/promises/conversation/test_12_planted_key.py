"""Promise 12: a planted key, echoed by the server and in a URL, is in no output, event, file, repr or traceback."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

from symposia.core.errors import BackendError, TurnFailed
from symposia.core.events import Event
from symposia.core.profile import Participant, Profile
from symposia.core.value import canonical
from symposia.talk.converse import converse
from symposia.talk.protocols import Once
from symposia.testing.faults import PLANTED_KEY, FaultyUpstream
from tests.backends.asking import MODEL, hosts, of

ROOT = Path(__file__).parents[3]
FORMS = (PLANTED_KEY, quote(PLANTED_KEY, safe=""), json.dumps(PLANTED_KEY)[1:-1])
BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])


def clean(text: str) -> bool:
    """Whether no form of the key stands in the text."""
    return not any(form in text for form in FORMS)


def chain(error: BaseException | None) -> list[BaseException]:
    """An error with everything it holds or was raised from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@BOTH
@pytest.mark.parametrize("plan", ["401-echo-key", "500-echo-key*9", "400-echo-key"])
async def test_an_echoed_key_is_in_no_error_event_or_log(dialect: str, plan: str, caplog) -> None:
    """Nor in what the errors hold, whatever raised them, nor in a repr of what was built with it."""
    caplog.set_level(logging.DEBUG)
    seen: list[Event] = []
    made = hosts(env={"KEY": PLANTED_KEY})
    async with FaultyUpstream(plan) as server:
        backend = made.backend("up", of(dialect, server))
        who = (Participant(name="ann", profile=Profile(model=MODEL)),)
        with pytest.raises(TurnFailed) as caught:
            await converse(Once(speaker="ann"), who, backend, emit=seen.append)
        held = [repr(made), repr(backend), repr(backend._terms)]
        await backend.aclose()
        assert {one.key for one in server.asked} == {PLANTED_KEY}
    errors = chain(caught.value)
    assert any(isinstance(error, BackendError) for error in errors)
    assert any("[redacted:" in str(error) for error in errors)
    assert all(clean(f"{error!r} {vars(error)!r}") for error in errors)
    assert clean("".join(traceback.format_exception(caught.value)))
    assert all(clean(canonical(event).decode()) for event in seen)
    assert all(map(clean, held))
    assert clean(caplog.text)


@BOTH
def test_an_echoed_key_is_in_no_output_or_file(dialect: str, tmp_path: Path) -> None:
    """Of the command itself, in its environment, its folder and its two streams; with a key in the URL as well."""
    model = {"openai": "openai:gpt-x", "anthropic": "anthropic:claude-x"}[dialect]
    scenario = tmp_path / "call.yaml"
    scenario.write_text(
        f"symposia: 1\nparticipants: {{ann: {{model: '{model}'}}}}\nprompt: {{author: bob, text: Hello.}}\n"
        "until: {type: turns, n: 1}\n"
    )
    command = [sys.executable, "-m", "symposia.testing.faults", "--plan", "401-echo-key", "--"]
    command += [
        sys.executable,
        "-X",
        "dev",
        "-m",
        "symposia.cli",
        "run",
        str(scenario),
        "--out",
        str(tmp_path / "out"),
    ]
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    done = subprocess.run(
        command, env={**env, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "auth" in done.stderr
    assert "[redacted:" in done.stderr
    kept = [path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert kept
    assert all(map(clean, [done.stdout, done.stderr, *kept]))
