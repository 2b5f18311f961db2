"""`symposia debate-eval` and `symposia tasks` as a user meets them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from symposia.core.value import content_digest
from tests.cli.process import COMMAND, ROOT, environment

FIVE = ROOT / "examples" / "debate" / "gsm8k_five.jsonl"
SCRIPT = """
from random import Random
FEATURES = {"reply": {"force"}}

def reply(request):
    random = Random(request.digest)
    if request.force is None:
        return f"it is\\n[[ANSWER]] {random.choice((36, 205, 'A'))}"
    if request.force.name == "conclude":
        agree = random.random() < 0.5
        return {"consensus": agree, "direction": None if agree else "again"}
    return {"choice": random.choice(request.force.parameters["properties"]["choice"]["enum"])}
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A scripted model, its file in the working directory."""
    (tmp_path / "model.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return "scripted:model.py:reply"


def test_five_methods_and_everything_kept(here, model, tmp_path):
    """The default methods on two sets: a table on stdout; card, rows, page and figures kept; again: no call."""
    ask = ("debate-eval", "--tasks", "arithmetic,ordering", "--model", model, "--n", 3, "--out", "run")
    result = here(*ask)
    assert result.exit_code == 0, result.output
    for word in (
        "single",
        "sc@calls",
        "sc@tokens",
        "usc@calls",
        "debate",
        "p (Holm)",
        "not shown",
        "fixed",
        "broken",
    ):
        assert word in result.stdout
    run = tmp_path / "run"
    card = json.loads((run / "scorecard.json").read_bytes())
    assert len(card["trials"]) == 2 * 3 * 5
    assert len(list(csv.DictReader((run / "scorecard.csv").read_text().splitlines()))) == 30
    assert (run / "report.html").read_text().count("<table>") >= 5
    assert (run / "plots" / "accuracy_tokens.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "plots" / "accuracy_tokens.pdf").read_bytes().startswith(b"%PDF")
    before = (run / "scorecard.json").read_bytes()
    again = here(*ask)
    assert "0 new calls" in again.stderr
    assert (run / "scorecard.json").read_bytes() == before
    assert again.stdout == result.stdout


@pytest.mark.slow
def test_killed_midway_it_ends_with_the_same_card(model, tmp_path):
    """kill -9 whenever the journal has so many replies, then the same command: the bytes of a run nobody killed."""
    ask = [*COMMAND, "debate-eval", "--tasks", "counting", "--model", model, "--n", "8", "-q", "--out"]

    def start(folder: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*ask, folder], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)

    assert start("whole").wait(90) == 0
    whole = (tmp_path / "whole" / "scorecard.json").read_bytes()
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().count(b"\n")
    for share in (0.1, 0.5, 0.9):
        folder = f"killed{share}"
        process, journal = start(folder), tmp_path / folder / "journal.jsonl"
        while process.poll() is None and not (
            journal.exists() and journal.read_bytes().count(b"\n") >= share * lines
        ):
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert start(folder).wait(90) == 0
        assert content_digest((tmp_path / folder / "scorecard.json").read_bytes()) == content_digest(whole)
        assert journal.read_bytes().count(b"\n") == lines


def test_a_file_of_ones_own(here, model):
    """A hand-made file in the form of gsm8k, five lines: five items, graded by the number after ####."""
    result = here(
        "debate-eval", "--file", FIVE, "--format", "gsm8k", "--model", model, "--json", "--methods", "single"
    )
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    assert [len(digests) for _, digests in card["asked"]["items"]] == [5]
    right = {t["item"]: t["tried"]["answer"] for t in card["trials"] if t["grade"] == "right"}
    assert set(right.items()) <= {("gsm8k_five-001", "36"), ("gsm8k_five-002", "205")}


def test_a_broken_line_is_named_before_anything_is_asked(here, model, tmp_path):
    """Line 3 without its keys: exit 2, the line, the keys expected and the keys found; nothing is kept."""
    lines = FIVE.read_text().splitlines()
    lines[2] = '{"question": "How many?", "anser": "#### 3"}'
    (tmp_path / "broken.jsonl").write_text("\n".join(lines) + "\n")
    result = here(
        "debate-eval", "--file", "broken.jsonl", "--format", "gsm8k", "--model", model, "--out", "run"
    )
    assert result.exit_code == 2
    assert "broken.jsonl:3: expected keys question, answer; got question, anser" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tasks", "aritmetic"), "did you mean 'arithmetic'"),
        ((), "--tasks NAME,NAME or --file F"),
        (("--tasks", "counting", "--file", "x.jsonl"), "--tasks NAME,NAME or --file F"),
        (("--file", "none.jsonl", "--format", "gsm"), "did you mean 'gsm8k'"),
        (("--tasks", "counting", "--methods", "single,debat"), "did you mean 'debate'"),
        (("--tasks", "counting", "--methods", "debate:max_rounds=2,stp=sprt"), "did you mean 'stop'"),
        (("--tasks", "counting", "--methods", "single,sc@calls"), "the budget is what a debate uses"),
        (("--tasks", "counting", "--tools", "calculater"), "did you mean 'calculator'"),
        (("--tasks", "counting", "--team", "Z"), "unknown team 'Z'"),
        (("--tasks", "counting", "--captain", "none"), "needs a captain"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_named(here, model, flags, said):
    """Misspelt sets, forms, methods, options, tools and teams: exit 2, the name and the nearest known one."""
    result = here("debate-eval", *flags, "--model", model)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_misspelt_flag_is_named(here, model):
    """An unknown flag is refused with the nearest one."""
    result = here("debate-eval", "--task", "counting", "--model", model)
    assert result.exit_code == 2
    assert "--tasks" in result.output


def test_options_of_a_method_may_have_commas(here, model):
    """`key=value` after a comma belongs to the method before it."""
    methods = "single,debate:max_rounds=1,select=vote,sc:2"
    result = here(
        "debate-eval", "--tasks", "counting", "--n", 2, "--model", model, "--methods", methods, "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["asked"]["methods"] == [
        "single",
        "debate:max_rounds=1,select=vote",
        "sc:2",
    ]


def test_a_provider_that_is_down_pauses_the_run(here, tmp_path, monkeypatch):
    """Every call lost to something that passes: exit 3 and what to do; the same command asks again."""
    script = "def reply(request):\n    raise BackendError('x', cause='connection')\n"
    (tmp_path / "down.py").write_text(f"from symposia.core.errors import BackendError\n{script}")
    monkeypatch.chdir(tmp_path)
    ask = ("debate-eval", "--tasks", "counting", "--n", 2, "--methods", "single", "--out", "run")
    result = here(*ask, "--model", "scripted:down.py:reply")
    assert result.exit_code == 3
    assert "connection 2; the same command asks again" in result.stderr


def test_repeats_use_other_seeds(here, model):
    """`--repeats 3` tries every item three times, with answers of their own, and tests by flipping signs."""
    result = here(
        "debate-eval", "--tasks", "counting", "--n", 6, "--model", model, "--repeats", 3, "--json",
        "--methods", "sc:3,single",
    )  # fmt: skip
    card = json.loads(result.stdout)
    assert {t["repeat"] for t in card["trials"]} == {0, 1, 2}
    answers = [
        {t["tried"]["answer"] for t in card["trials"] if t["item"] == f"counting-00{i}"} for i in range(1, 7)
    ]
    assert any(len(found) > 1 for found in answers)
    assert card["comparisons"][0]["graded"]["test"] == "sign_flip"


def test_temperature_0_is_warned_about(here, model):
    """Samples that repeat each other make no vote: a warning says so."""
    ask = ("debate-eval", "--tasks", "counting", "--n", 1, "--model", model, "--methods", "single,sc:2")
    assert "temperature 0" in here(*ask, "--temperature", 0).stderr
    assert "temperature 0" not in here(*ask).stderr


def test_tasks_are_listed_and_made(here, tmp_path):
    """`tasks list` names the four sets; `tasks make` with the shipped seed writes what ships."""
    assert {row["name"] for row in json.loads(here("tasks", "list", "--json").stdout)} == {
        *("arithmetic", "ordering", "calendar", "counting")
    }
    assert "arithmetic" in here("tasks", "list").stdout
    shipped = ROOT / "src/symposia/evals/tasks/shipped/calendar.jsonl"
    assert here("tasks", "make", "calendar").stdout == shipped.read_text()
    made = tmp_path / "more.jsonl"
    assert here("tasks", "make", "calendar", "--n", 5, "--seed", 9, "--out", made).exit_code == 0
    assert len(made.read_text().splitlines()) == 5
    assert here("tasks", "make", "calender").exit_code == 2
    assert Path(made).read_text() != shipped.read_text()


def test_the_facade_is_the_command(here, model, tmp_path):
    """`symposia.debate_eval` gives the card that the command writes, and goes on from its journal."""
    import symposia
    from symposia.backends import Scripted

    scope = {}
    exec(SCRIPT, scope)
    backend = Scripted(scope["reply"], features=frozenset({"force"}))
    scoring = symposia.Scoring(methods=("single", "debate"), n=2)
    card = symposia.debate_eval(
        ["counting"], model=model, scoring=scoring, out=tmp_path / "a", backend=backend
    )
    asked = len(backend.requests)
    again = symposia.debate_eval(
        ["counting"], model=model, scoring=scoring, out=tmp_path / "a", backend=backend
    )
    assert (again, len(backend.requests)) == (card, asked)
    flags = ("--tasks", "counting", "--n", 2, "--model", model, "--methods", "single,debate", "--json")
    told = json.loads(here("debate-eval", *flags).stdout)
    assert [t["grade"] for t in told["trials"]] == [t.grade for t in card.trials]
