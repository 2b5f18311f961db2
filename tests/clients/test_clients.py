"""The plain openai client, of either generation, against `symposia serve` as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import environment, serving, upstream

SUITE = Path(__file__).with_name("suite.py")
OLDER = Path(sys.prefix) / "openai2" / "bin" / "python"
POLICY = """
overrides = [{{match = {{key = "{spent}"}}, max_tokens = 10}}]
[[ceilings]]
name = "short"
kind = "rate"
match = {{key = "{limited}"}}
per = ["key"]
max_requests = 2
window_s = 2
"""


def new_key(folder: Path, name: str) -> tuple[str, str]:
    """A key's id and its secret."""
    command = [sys.executable, "-m", "symposia.cli", "keys", "create", "--name", name, "--scope", "inference"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    secret = done.stdout.strip()
    found = re.fullmatch(r"sk-sym-([a-z2-7]{12})-[\w-]{43}", secret)
    assert found, done
    return found[1], secret


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two: the bundled model behind keys and budgets; a relay to an upstream that fails as told, or declines."""
    folder = tmp_path_factory.mktemp("clients")
    keys = {name: new_key(folder, name) for name in ("key", "limited", "spent")}
    policy = folder / "budget.toml"
    policy.write_text(POLICY.format(spent=keys["spent"][0], limited=keys["limited"][0]))
    declines = folder / "replies.jsonl"
    declines.write_text('{"text": "I had rather not.", "finish": "refusal"}')
    with upstream(folder, "--replies", str(declines)) as failing:
        own = serving(folder, "--store", "symposia.db", "--budget", str(policy))
        url = f"http://127.0.0.1:{failing.port}/v1"
        relayed = serving(folder, "--insecure-dev", "--store", "memory", "--upstream", url)
        with own, relayed:
            yield json.dumps(
                {
                    "url": f"http://127.0.0.1:{own.port}/v1",
                    "cutting": f"http://127.0.0.1:{relayed.port}/v1",
                    "model": "tiny",
                    **{name: secret for name, (_, secret) in keys.items()},
                }
            )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("python", [Path(sys.executable), OLDER], ids=["openai-3", "openai-2"])
def test_every_case_holds_with_either_generation_of_the_client(place: str, python: Path) -> None:
    """Chat, stream, its helper, n, logprobs, tools, json_schema, models, errors, retries, cuts, refusals; async too."""
    if not python.exists():
        pytest.skip("openai 2 has an environment of its own: `make .venv/.stamps/openai2`")
    done = subprocess.run(
        [str(python), str(SUITE), place], check=False, capture_output=True, text=True, timeout=280
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr
    assert not [row for row in rows if not row["ok"]], "\n\n".join(
        f"{row['case']} ({row['openai']}): {row['why']}" for row in rows if not row["ok"]
    )
    assert len(rows) == 14
