"""`symposia budget`: on a store and on a running server, the same answers and the same exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.serve.admin.office import HELLO, scripted
from tests.serving import Serving

Here = Callable[..., Result]
POLICY = """
default   = {max_requests = 2, window_s = 3600}
ceilings  = [{name = "per-key rpm", kind = "rate", per = ["key"], max_requests = 600, window_s = 60}]
"""
TWO_WAYS = """overrides = [
  {match = {model = "tiny"}, max_tokens = 2_000_000}, {match = {profile = "premium"}, max_tokens = 50_000},
]"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "budget.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving({"tiny": scripted()}, addresses={"tiny": "script:tiny"}) as made:
        yield made


@pytest.fixture(params=["store", "url"])
def budget(request: pytest.FixtureRequest, here: Here, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """`budget(command, …)` on a store, or on a running server."""
    if request.param == "store":
        store = tmp_path / "s.db"
        assert here("keys", "create", "--name", "n", "--scope", "inference", "--store", store).exit_code == 0
        yield lambda *arguments: here("budget", *arguments, "--store", store)
    else:
        with Serving({"tiny": scripted()}) as made:
            yield lambda *arguments: here("budget", *arguments, "--url", made.root)


def test_a_policy_is_put_in_force_and_shown(budget: Callable[..., Result], policy: Path) -> None:
    """Revision by revision; a stale one is exit 1 and changes nothing."""
    assert json.loads(budget("show", "--json").stdout)["revision"] == 0
    assert budget("set", policy, "--reason", "first").stdout == "revision 1\n"
    stale = budget("set", policy, "--reason", "again", "--revision", "0")
    assert (stale.exit_code, stale.stdout) == (1, "")
    assert budget("hard-limits", "off", "--reason", "unblock").stdout == "revision 2\n"
    shown = json.loads(budget("show", "--json").stdout)
    assert shown["revision"] == 2
    assert shown["policy"]["default"]["max_requests"] == 2
    assert shown["policy"]["hard_limits"] is False
    told = budget("show").stdout
    assert "warn only" in told
    assert "per-key rpm" in told


@pytest.mark.parametrize("command", ["check", "set"])
def test_a_policy_that_reads_two_ways_is_refused(here: Here, tmp_path: Path, command: str) -> None:
    """Exit 2: AmbiguousBudget names both overrides, and what would decide between them."""
    bad = tmp_path / "bad.toml"
    bad.write_text(TWO_WAYS)
    more = ["--reason", "x", "--store", tmp_path / "s.db"] if command == "set" else []
    done = here("budget", command, bad, *more)
    assert done.exit_code == 2
    assert "AmbiguousBudget" in done.stderr
    assert '{"model":"tiny"}' in done.stderr
    assert '{"profile":"premium"}' in done.stderr
    assert not (tmp_path / "s.db").exists()


def test_a_good_file_is_shown_as_it_is_read(here: Here, policy: Path) -> None:
    """Exit 0, every field written out; a misspelt one is exit 2 with the nearest."""
    read = json.loads(here("budget", "check", policy, "--json").stdout)
    assert read["default"]["soft_fraction"] == 0.8
    assert here("budget", "check", policy).exit_code == 0
    policy.write_text("defualt = {}")
    done = here("budget", "check", policy)
    assert done.exit_code == 2
    assert "'default'" in done.stderr


def test_pools_of_a_running_server_are_seen_and_emptied(here: Here, serving: Serving, policy: Path) -> None:
    """What requests used, to the request; after a reset the next one fits."""
    import httpx2

    def chat() -> int:
        return httpx2.post(f"{serving.url}/chat/completions", json=HELLO).status_code

    url = ("--url", serving.root)
    assert here("budget", "usage", *url).stdout == "no pool holds anything\n"
    here("budget", "set", policy, "--reason", "x", *url)
    assert [chat() for _ in range(3)] == [200, 200, 429]
    pools = json.loads(here("budget", "usage", *url, "--json").stdout)
    [default] = [one for one in pools if one["pool"].startswith("default")]
    assert (default["used"], default["reserved"], default["free"]) == (2, 0, 0)
    assert default["pool"] in here("budget", "usage", *url).stdout
    assert here("budget", "reset", default["pool"], "--reason", "paid", *url).exit_code == 0
    assert chat() == 200
    unknown = here("budget", "reset", "nothing", "--reason", "paid", *url)
    assert unknown.exit_code == 2
    assert default["pool"] in unknown.stderr


def test_pools_of_a_shared_ledger_need_no_server(here: Here, tmp_path: Path) -> None:
    """A ledger in a file can be asked beside the store; one in memory cannot, and the message says what can."""
    store = ("--store", tmp_path / "s.db")
    here("keys", "create", "--name", "n", "--scope", "inference", *store)
    ledger = ("--ledger", f"sqlite:{tmp_path / 'l.db'}")
    assert here("budget", "usage", *store, *ledger).stdout == "no pool holds anything\n"
    with pytest.MonkeyPatch.context() as told:
        told.setenv("SYMPOSIA_SERVE_LEDGER", ledger[1])
        assert here("budget", "usage", *store).stdout == "no pool holds anything\n"
    memory = here("budget", "usage", *store)
    assert memory.exit_code == 2
    assert "--url" in memory.stderr


def test_a_server_that_is_not_there_is_exit_3(here: Here) -> None:
    """And what is no server's address is exit 2."""
    gone = here("budget", "show", "--url", "http://127.0.0.1:9")
    assert gone.exit_code == 3
    assert "does not answer" in gone.stderr
    assert here("budget", "show", "--url", "localhost:8080").exit_code == 2


def test_usage_is_watched_until_interrupted(here: Here, tmp_path: Path) -> None:
    """Again every second; an interruption ends it with 130."""
    store = tmp_path / "s.db"
    here("keys", "create", "--name", "n", "--scope", "inference", "--store", store)
    command = [sys.executable, "-m", "symposia.cli", "budget", "usage", "--watch", "--json"]
    command += ["--store", str(store), "--ledger", f"sqlite:{tmp_path / 'l.db'}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        assert [watching.stdout.readline() for _ in range(2)] == [b"[]\n"] * 2
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
