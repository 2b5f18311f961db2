"""`symposia keys`: the secret is printed once, and is nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Here = Callable[..., Result]
SECRET = re.compile(r"sk-sym-([a-z2-7]{12})-[A-Za-z0-9_-]{43}")


@pytest.fixture(params=["store", "file"])
def keys(request: pytest.FixtureRequest, here: Here, tmp_path: Path) -> Callable[..., Result]:
    """`keys(command, …)` on one place, in a store or a keys file."""
    place = (
        ["--store", tmp_path / "s.db"] if request.param == "store" else ["--keys-file", tmp_path / "k.jsonl"]
    )
    return lambda *arguments: here("keys", *arguments, *place)


def test_a_secret_is_printed_once_and_kept_nowhere(keys: Callable[..., Result], tmp_path: Path) -> None:
    """Stdout is the key alone; no listing, audit, file or database holds it, nor its hash in any listing."""
    made = keys("create", "--name", "app", "--scope", "inference", "--expires", "90d")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    (public,) = SECRET.fullmatch(secret).groups()
    rotated = json.loads(keys("rotate", public, "--grace", "1h", "--json").stdout)
    listed = keys("list").stdout + keys("list", "--json").stdout
    revoked = keys("revoke", rotated["key"]["id"], "--json").stdout
    assert public in listed
    for one in (secret, rotated["secret"]):
        hidden = one[20:]
        assert hidden not in listed + revoked + made.stderr
        assert "sha256" not in listed + revoked
        assert all(hidden.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_keys_are_listed_with_what_they_open(keys: Callable[..., Result]) -> None:
    """Scopes, globs, state: open, then revoked; expired when their time has come."""
    made = keys(
        "create", "--name", "ops", "--scope", "kill", "--scope", "admin", "--model", "t*", "--profile", "calm"
    )
    (public,) = SECRET.fullmatch(made.stdout.strip()).groups()
    (row,) = json.loads(keys("list", "--json").stdout)
    assert (row["id"], row["name"], row["scopes"]) == (public, "ops", ["admin", "kill"])
    assert (row["models"], row["profiles"], row["expires"], row["revoked"]) == (["t*"], ["calm"], None, None)
    assert re.search(rf"{public} +ops +opens +admin,kill +t\* +calm", keys("list").stdout)
    assert keys("revoke", public, "--reason", "leaked").stdout == f"{public} is revoked\n"
    assert re.search(rf"{public} +ops +revoked", keys("list").stdout)
    keys("create", "--name", "old", "--scope", "inference", "--expires", "1d")
    old = json.loads(keys("list", "--json").stdout)[-1]["id"]
    keys("rotate", old)
    assert re.search(rf"{old} +old +expired", keys("list").stdout)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "--name", "n", "--scope", "inferens"), "did you mean 'inference'"),
        (("create", "--name", "n", "--scope", "kill", "--expires", "soon"), "as in 90d"),
        (("create", "--name", " ", "--scope", "kill"), "name of the key"),
        (("list",), "there is no"),
        (("revoke", "a" * 12), "there is no"),
    ],
)
def test_what_cannot_be_done(keys: Callable[..., Result], arguments: tuple[str, ...], says: str) -> None:
    """Exit 2, one line that says what was expected."""
    done = keys(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_a_key_that_is_not_there(keys: Callable[..., Result]) -> None:
    """Is named, beside those that are."""
    keys("create", "--name", "n", "--scope", "kill")
    done = keys("revoke", "a" * 12)
    assert done.exit_code == 2
    assert "unknown key" in done.stderr


@pytest.mark.parametrize("said", ["file", "environment", "flag"])
def test_keys_go_where_the_server_looks(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Flag before environment before `symposia.toml` before `symposia.db`; what else the file says is not looked at."""
    monkeypatch.chdir(tmp_path)
    Path("symposia.toml").write_text(
        '[serve]\nstore = "file.db"\nonly = ["of an upstream that is named elsewhere"]\n'
    )
    if said != "file":
        monkeypatch.setenv("SYMPOSIA_SERVE_STORE", "environment.db")
    flags = ("--store", "flag.db") if said == "flag" else ()
    assert here("keys", "create", "--name", "n", "--scope", "inference", *flags).exit_code == 0
    assert [path.name for path in tmp_path.glob("*.db")] == [f"{said}.db"]
    assert len(json.loads(here("keys", "list", "--json", *flags).stdout)) == 1
    assert json.loads(here("profile", "list", "--json", *flags).stdout) == []
    assert json.loads(here("budget", "show", "--json", *flags).stdout)["revision"] == 0
    monkeypatch.delenv("SYMPOSIA_SERVE_STORE", raising=False)
    Path("symposia.toml").unlink()
    assert "no store at symposia.db" in here("keys", "list").stderr


def test_a_key_that_nobody_would_find_is_not_made(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store in memory lives inside its server; a misspelt setting may be the store's."""
    monkeypatch.chdir(tmp_path)
    ask = ("keys", "create", "--name", "n", "--scope", "inference")
    for written, says in (('store = "memory"', "--url"), ('stoer = "s.db"', "'store'")):
        Path("symposia.toml").write_text(f"[serve]\n{written}\n")
        done = here(*ask)
        assert (done.exit_code, done.stdout) == (2, "")
        assert says in done.stderr
