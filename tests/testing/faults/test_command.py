"""`python -m symposia.testing.faults`: around a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import json, os, urllib.request
def post(url, headers):
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
    return json.load(urllib.request.urlopen(urllib.request.Request(url, body, headers)))
said = post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", {"authorization": os.environ["OPENAI_API_KEY"]})
print(said["choices"][0]["message"]["content"])
said = post(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", {"x-api-key": os.environ["ANTHROPIC_API_KEY"]})
print(said["content"][0]["text"])
raise SystemExit(7)
"""


def faults(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "symposia.testing.faults", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False
    )


def test_the_command_finds_both_protocols_and_its_code_is_ours(tmp_path: Path) -> None:
    """Base URLs and keys in the environment, whatever stood there; replies from a file; requests recorded."""
    replies, record = tmp_path / "replies.jsonl", tmp_path / "record.jsonl"
    replies.write_text('"one"\n{"text": "two"}\n')
    done = faults(
        *("--replies", replies, "--record", record, "--", sys.executable, "-c", ASK),
        OPENAI_BASE_URL="http://nowhere.invalid",
        http_proxy="http://127.0.0.1:9",
    )
    assert (done.stdout.splitlines(), done.returncode) == (["one", "two"], 7), done.stderr
    paths = [json.loads(line)[0] for line in record.read_text().splitlines()]
    assert paths == ["/v1/chat/completions", "/v1/messages"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--plan", "slwo", "--", "true"), "did you mean 'slow'"),
        (("--replies", "nowhere.jsonl", "--", "true"), "nowhere.jsonl"),
        (("--", "no-such-command-anywhere"), "no-such-command-anywhere"),
        ((), "COMMAND|command"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: tuple[str, ...], words: str) -> None:
    """Bad plans, files and commands: one line, exit 2."""
    import re

    done = faults(*arguments)
    assert done.returncode == 2
    assert re.search(words, done.stderr)
    assert "Traceback" not in done.stderr
