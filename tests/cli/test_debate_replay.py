"""`symposia debate-replay`, `debate-audit` and `runs show`, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SCRIPT = """import zlib
FEATURES = {"reply": {"force", "choices"}}

def reply(request):
    number = zlib.crc32("\\n".join(line.text for line in request.lines).encode()) % 1000
    if request.force and request.force.name == "conclude":
        return {"consensus": False, "direction": f"You differ {number}."}
    if request.force:
        return {"choice": request.force.parameters["properties"]["choice"]["enum"][0]}
    return f"So.\\n[[ANSWER]] {number}"
"""


@pytest.fixture
def held(tmp_path: Path, here, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A debate of three seats and three rounds that nobody agrees in, in `run`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = here("debate", "How long?", "--model", "scripted:script.py:reply", "--out", "run")
    assert done.exit_code == 0
    return tmp_path / "run"


def test_nothing_changed_is_nothing_asked(held, here) -> None:
    """Promise 11 on the command line: 0 new calls and the transcript's own digest."""
    done = here("debate-replay", held, "--debate", "1", "--json")
    told = json.loads(done.stdout)
    assert (told["calls"], told["changed"]) == (0, False)
    assert told["before"]["answer"] == told["after"]["answer"]


def test_a_muted_seat_changes_later_rounds_with_a_control(held, here) -> None:
    done = here("debate-replay", held, "--mute", "evidence:1", "--repeats", "4")
    assert done.exit_code == 0
    assert "evidence muted in round 1" in done.stdout
    assert "0.00 without" in done.stdout
    assert "round  seat" in done.stdout
    again = here("debate-replay", held, "--mute", "evidence:1", "--repeats", "4")
    assert "\n0 new calls" in again.stdout


def test_every_edit_has_its_flag(held, here, tmp_path) -> None:
    (tmp_path / "said.txt").write_text("No.\n[[ANSWER]] 13\n")
    (tmp_path / "look.txt").write_text("Count the stop.\n")
    flags = ["--patch", "practice:1=said.txt", "--direct", "2=look.txt", "--repeats", "0"]
    told = json.loads(here("debate-replay", held, *flags, "--json").stdout)
    assert [edit["type"] for edit in told["edits"]] == ["patch", "direct"]
    assert {"seat": "practice", "round": 1, "after": "13"}.items() <= told["seats"][0].items()
    (tmp_path / "other.yaml").write_text("model: scripted:script.py:reply\nsampling: {temperature: 0.1}\n")
    told = json.loads(here("debate-replay", held, "--profile", "practice:2=other.yaml", "--json").stdout)
    assert told["edits"][0]["profile"]["sampling"]["temperature"] == 0.1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--mute", "evidenc"), "did you mean 'evidence'?"),
        (("--mute", "evidence:x"), "expected SEAT[:ROUND]"),
        (("--mute", "evidence:7"), "this debate has 3"),
        (("--patch", "evidence=f"), "with a round"),
        (("--patch", "evidence:1"), "expected SEAT:ROUND=FILE"),
        (("--direct", "1=nowhere.txt"), "there is no file nowhere.txt"),
        (("--debate", "2"), "unknown debate '2'"),
        (("--shapley", "--mute", "evidence"), "takes no other change"),
        (("--shapley", "--repeats", "8"), "give --yes"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_way_out(held, here, flags, said) -> None:
    done = here("debate-replay", held, *flags)
    assert done.exit_code == 2
    assert said in done.stderr


def test_shapley_says_its_cost_first_and_adds_up(held, here) -> None:
    done = here("debate-replay", held, "--shapley", "--json")
    told = json.loads(done.stdout)
    assert done.stderr.startswith("7 debates, at most ")
    assert sum(told["values"].values()) == pytest.approx(1.0)


def test_an_audit_is_written_and_printed_with_n(held, here) -> None:
    done = here("debate-audit", held)
    assert "3 selections of 1 debates, 0 unreadable" in done.stdout
    assert "(n = 3)" in done.stdout
    stored = json.loads((held / "audit.json").read_bytes())
    assert stored["audit"]["position"]["chosen"] == [3, 0, 0]
    assert here("debate-audit", held, "--json").stdout == (held / "audit.json").read_text()


def test_an_evaluation_is_audited_and_shown_too(held, here) -> None:
    model = ("--model", "scripted:script.py:reply")
    done = here(
        "debate-eval", "--tasks", "arithmetic", "--n", "2", *model, "--methods", "single,debate", "--out", "e"
    )
    assert done.exit_code == 0, done.stderr
    assert "6 selections of 2 debates" in here("debate-audit", "e").stdout
    listed = here("runs", "show", "e")
    assert listed.exit_code == 2
    assert "name one with --debate ID" in listed.stderr
    assert "round 3" in here("runs", "show", "e", "--debate", "arithmetic-001").stdout


def test_a_run_is_shown_round_by_round_with_what_each_seat_saw(held, here) -> None:
    shown = here("runs", "show", held, "--debate", "1").stdout
    assert "the question" in shown
    assert "derivation, practice, captain" in shown
    assert "captain: no consensus" in shown
    whole = here("runs", "show", held, "-v").stdout
    assert "derivation saw in round 2:" in whole
    assert '"author":"evidence","kind":"answer"' in whole


def test_a_folder_without_debate_is_refused(tmp_path, here) -> None:
    done = here("debate-replay", tmp_path)
    assert done.exit_code == 2
    assert "expected the folder of a debate" in done.stderr
