"""`symposia run` as a process: what stdout carries, what is kept, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.cli.outdir import Recorded
from symposia.core.transcript import Transcript
from symposia.core.value import decode
from tests.cli.process import COMMAND, ROOT, Process, environment

Here = Callable[..., Result]
TWO = "examples/two_scripted.yaml"


def test_results_on_stdout_progress_on_stderr(symposia: Process) -> None:
    """stdout holds the messages and nothing else; turns, usage and the reason to stop go to stderr."""
    done = symposia("run", TWO)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "[0] moderator: Is a hot dog a sandwich?"
    assert [line.split(":")[0] for line in lines] == [
        "[0] moderator", "[1] alice", "[2] bob", "[3] alice", "[4] bob", "[5] alice", "[6] bob",
    ]  # fmt: skip
    assert lines[-1] == "[6] bob: I concede"
    assert "turn 6 bob" in done.stderr
    assert "stopped: turns: 6" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_quiet_says_nothing_on_stderr(symposia: Process) -> None:
    """--quiet silences progress; stdout is the same, and errors are still said."""
    loud, quiet = symposia("run", TWO), symposia("run", TWO, "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout
    assert "error:" in symposia("run", "none.yaml", "--quiet").stderr


def test_two_runs_are_one(symposia: Process, tmp_path: Path) -> None:
    """The same file and seed give the same bytes; another seed another conversation."""
    for name in "ab":
        assert symposia("run", TWO, "--out", tmp_path / name).returncode == 0
    kept = [(tmp_path / name / "conversation.json").read_bytes() for name in "ab"]
    assert kept[0] == kept[1]
    symposia("run", TWO, "--out", tmp_path / "c", "--seed", 8)
    other = json.loads((tmp_path / "c" / "conversation.json").read_bytes())
    assert other["conversation"] != json.loads(kept[0])["conversation"]


def test_the_folder_holds_everything(here: Here, tmp_path: Path) -> None:
    """conversation.json, transcript.md, and numbered events with their time, each line of the published form."""
    here("run", ROOT / TWO, "--out", tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "conversation.json",
        "events.jsonl",
        "transcript.md",
    ]
    events = [decode(line, Recorded) for line in (tmp_path / "a" / "events.jsonl").read_bytes().splitlines()]
    assert [e.number for e in events] == list(range(len(events)))
    assert [e.time for e in events] == sorted(e.time for e in events)
    kinds = [type(e.event).__name__ for e in events]
    assert kinds[0] == "ConversationStarted"
    assert kinds[-1] == "ConversationStopped"
    assert kinds.count("TurnTaken") == 6
    assert "**bob**\n\nI concede" in (tmp_path / "a" / "transcript.md").read_text()


def test_formats(here: Here) -> None:
    """--json is one document with messages, digest and usage; jsonl is a line a message and one for the end."""
    whole = json.loads(here("run", ROOT / TWO, "--json", "-q").stdout)
    assert whole["stopped"]["reason"] == "turns: 6"
    assert [m["author"] for m in whole["messages"]][1:3] == ["alice", "bob"]
    transcript = Transcript.decode(
        json.dumps({"format": "symposia.transcript", "version": 1, "messages": whole["messages"]}).encode()
    )
    assert transcript.digest == whole["transcript"]
    lines = [
        json.loads(line) for line in here("run", ROOT / TWO, "--format", "jsonl", "-q").stdout.splitlines()
    ]
    assert [line["type"] for line in lines] == ["message"] * 6 + ["stopped"]
    assert [line["index"] for line in lines[:-1]] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["usage"]["total"]["calls"] == 6
    for ending in (lines[-1], whole["stopped"]):
        rows = {row["participant"]: row for row in ending["ledger"]}
        assert {(row["endpoint"], row["purpose"]) for row in rows.values()} == {("scripted", "turn")}
        assert sum(row["calls"] for row in rows.values()) == 6
        assert all(
            row["output_tokens"] == ending["usage"][name]["output_tokens"] for name, row in rows.items()
        )


def test_a_resumed_run_tells_what_all_of_it_spent(
    here: Here, tmp_path: Path, counting: Callable[..., Path]
) -> None:
    """The ledger of a run goes on where its events stopped: parts add up to the whole."""
    path = counting()
    whole = json.loads(here("run", path, "--json", "--out", tmp_path / "whole").stdout)["stopped"]["ledger"]
    here("run", path, "--out", tmp_path / "cut", "--turns", 3)
    resumed = here("run", path, "--json", "--out", tmp_path / "cut", "--resume")
    parts = json.loads(resumed.stdout)["stopped"]["ledger"]

    def timeless(rows: list[dict]) -> list[dict]:
        return [{**row, "seconds": 0.0} for row in rows]

    assert timeless(parts) == timeless(whole)


def test_resumed_equals_uncut(symposia: Process, tmp_path: Path, counting: Callable[..., Path]) -> None:
    """Three turns, then the rest with --resume: the same file as in one go, and the events go on counting."""
    path = counting()
    assert symposia("run", path, "--out", tmp_path / "whole").returncode == 0
    assert symposia("run", path, "--out", tmp_path / "cut", "--turns", 3).returncode == 0
    resumed = symposia("run", path, "--out", tmp_path / "cut", "--resume")
    assert resumed.returncode == 0
    assert resumed.stdout.startswith("[4] bob: ")
    a, b = ((tmp_path / name / "conversation.json").read_bytes() for name in ("whole", "cut"))
    assert a == b
    numbers = [
        json.loads(line)["number"] for line in (tmp_path / "cut" / "events.jsonl").read_bytes().splitlines()
    ]
    assert numbers == list(range(len(numbers)))


def test_resume_names_what_differs(here: Here, tmp_path: Path, counting: Callable[..., Path]) -> None:
    """Another scenario cannot go on with a folder, nor overwrite it: the differing fields are named."""
    path = counting()
    here("run", path, "--out", tmp_path / "a", "--turns", 2)
    before = (tmp_path / "a" / "conversation.json").read_bytes()
    changed = ("--set", "participants.bob.sampling.temperature=0.3", "--seed", 9)
    for resume in ([], ["--resume"]):
        done = here("run", path, "--out", tmp_path / "a", *changed, *resume)
        assert done.exit_code == 2
        assert "participants[1].profile.sampling.temperature (1.0 there, 0.3 here)" in done.stderr
        assert "seed (3 there, 9 here)" in done.stderr
        assert done.stdout == ""
    assert (tmp_path / "a" / "conversation.json").read_bytes() == before
    assert here("run", path, "--resume").exit_code == 2
    assert "holds no conversation.json" in here("run", path, "--out", tmp_path / "b", "--resume").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["examples/moderated_bad.yaml"], 1, "unreadable_choice"),
        (["examples/steered_remote.yaml"], 2, "interventions"),
        (["examples/dishes.yaml"], 2, "--row 0..3"),
        (["examples/none.yaml"], 2, "examples/none.yaml"),
        ([TWO, "--turns", "0"], 2, "--turns"),
        ([TWO, "--frob"], 2, "--frob"),
        ([TWO, "--set", "until=null"], 2, "nothing ends this conversation"),
        ([TWO, "--set", "endpoints.script.replies.bob=[]"], 1, "0 scripted replies"),
        ([TWO, "--set", "endpoints.script.replies.alice=[]"], 2, "0 scripted replies"),
        ([TWO, "--set", "endpoints.script.faults=[{cause: connection, turn: 2}]"], 3, "connection"),
        ([TWO, "--set", "endpoints.script.faults=[{cause: empty_reply, turn: 2}]"], 1, "empty_reply"),
    ],
)
def test_exit_codes(symposia: Process, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    """1 a turn failed, 2 bad input and nothing generated, 3 the endpoint failed; what was said before is kept."""
    done = symposia("run", *arguments, "--out", tmp_path / "kept")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    kept = tmp_path / "kept" / "conversation.json"
    assert kept.exists() == (code != 2)


def test_a_failed_run_goes_on(here: Here, tmp_path: Path, counting: Callable[..., Path]) -> None:
    """After a failed turn the run is resumable, and ends like one that never failed."""
    path = counting()
    here("run", path, "--out", tmp_path / "whole")
    fault = ("--set", "endpoints.script.faults=[{cause: server_error, turn: 4}]")
    assert here("run", path, "--out", tmp_path / "cut", *fault).exit_code == 3
    assert here("run", path, "--out", tmp_path / "cut", "--resume").exit_code == 0
    a, b = ((tmp_path / name / "conversation.json").read_bytes() for name in ("whole", "cut"))
    assert a == b


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_interrupted_runs_go_on(
    symposia: Process, tmp_path: Path, counting: Callable[..., Path], number: signal.Signals, code: int
) -> None:
    """SIGINT and SIGTERM save, exit 130 and 143; after SIGKILL too, turns taken are there and --resume ends alike."""
    slow, fast = counting(0.25), counting()
    fast.write_text(slow.read_text())
    out = tmp_path / "cut"
    command = [*COMMAND, "run", str(slow), "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
    ) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(3)]  # framing and two turns
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    assert seen[2].startswith("[2] bob")
    assert "Traceback" not in errors
    kept = json.loads((out / "conversation.json").read_bytes())["transcript"]
    assert 3 <= len(kept) < 9
    assert len(kept) == 3 + len(rest.splitlines())
    if code > 0:
        assert "--resume" in errors
    assert symposia("run", slow, "--out", out, "--resume").returncode == 0
    assert symposia("run", slow, "--out", tmp_path / "whole").returncode == 0
    assert (out / "conversation.json").read_bytes() == (tmp_path / "whole" / "conversation.json").read_bytes()


def test_dry_run_asks_nobody(here: Here) -> None:
    """Profiles with their digests, tokens and tools, and the first view; no reply is made."""
    done = here("run", ROOT / TWO, "--dry-run")
    assert done.exit_code == 0
    assert "script:alice  profile " in done.stdout
    assert "tokens + 512 to make" in done.stdout
    assert "tools none" in done.stdout
    assert "You think a hot dog is a sandwich." in done.stdout
    assert "That is all a sandwich" not in done.stdout
    plan = json.loads(here("run", ROOT / TWO, "--dry-run", "--json").stdout)
    assert plan["first"] == ["alice"]
    assert plan["participants"][0]["profile"].startswith("sha256:")


def test_scripted_code_runs_with_leave(here: Here, tmp_path: Path) -> None:
    """scripted:FILE.py:FUNCTION answers from a function of the request, with --allow-code only."""
    (tmp_path / "talk.py").write_text(
        "def reply(request):\n    return f'{request.speaker} sees {len(request.lines)}'\n"
    )
    seat = 'participants: {a: {model: "scripted:talk.py:reply"}}'
    text = f"symposia: 1\n{seat}\nprompt: hello\nuntil: {{type: turns, n: 1}}\n"
    (tmp_path / "s.yaml").write_text(text)
    assert here("run", tmp_path / "s.yaml").exit_code == 2
    done = here("run", tmp_path / "s.yaml", "--allow-code", "-q")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("[1] a: a sees ")


def test_a_secret_in_the_environment_is_not_told() -> None:
    """A key that turns up in an error text is replaced by its name."""
    done = subprocess.run(
        [*COMMAND, "run", "no-such-file-sesame-4711.yaml"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(MY_API_KEY="sesame-4711"),
        check=False,
    )
    assert done.returncode == 2
    assert "sesame-4711" not in done.stderr
    assert "[redacted:MY_API_KEY]" in done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    """`symposia run … | head -1` ends quietly."""
    with subprocess.Popen(
        [*COMMAND, "run", TWO, "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.wait(timeout=20)
    assert "Traceback" not in errors


def test_light_start() -> None:
    """A scripted run, --version and --help load no torch, transformers, numpy or provider SDK."""
    script = (
        "import sys\nfrom symposia.cli.main import app\n"
        f"for words in (['run', {TWO!r}, '-q'], ['--version'], ['--help']):\n"
        "    try: app(words)\n    except SystemExit as done: assert not done.code, done.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'openai', 'anthropic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "symposia 0." in done.stdout
