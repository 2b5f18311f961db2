"""`symposia debate`: run folders, forms of output, flags, team files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.talk.debate.stored import load_debate, load_transcript
from tests.cli.process import ROOT

MODEL = "scripted:examples/debate/script.py:reply"
Here = Callable[..., Result]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def asked(case: str, *more: object) -> tuple[object, ...]:
    return ("debate", f"[{case}] What is 6 times 7?", "--model", MODEL, *more)


def test_stdout_is_the_answer_alone(here: Here) -> None:
    """Rounds, causes and costs are for stderr; nothing but the seat's words is for a pipe."""
    done = here(*asked("direction_is_heard"))
    assert (done.exit_code, done.stdout) == (0, "42\n")
    for said in ("round 1", "round 2", "no consensus: Count the sevens again.", "captain", "consensus"):
        assert said in done.stderr


def test_the_json_has_its_keys_in_their_order(here: Here) -> None:
    done = here(*asked("one_seat_fails", "--json"))
    printed = json.loads(done.stdout)
    assert list(printed) == (
        "schema answer status reason rounds seat support flags seats rulings selection ledger baselines".split()
    )
    assert printed["schema"] == 1
    assert printed["support"] == [["42", 2]]
    first = printed["seats"][0]
    assert first == {
        "name": "evidence",
        "model": MODEL,
        "answers": [],
        "abstained": [{"round": 1, "cause": "server_error"}],
    }
    assert all(row["ms"] is not None for row in printed["ledger"]["rows"])


def test_the_same_command_again_asks_nothing_and_prints_the_same_bytes(here: Here, tmp_path: Path) -> None:
    """Also where the result was not written before the process ended: the journal answers everything."""
    out = tmp_path / "run"
    command = asked("no_marker_at_the_last_round", "--json", "--out", out, "--rounds", 1)
    first = here(*command)
    transcript = load_transcript(out).digest
    second = here(*command)
    assert (second.exit_code, second.stdout) == (first.exit_code, first.stdout)
    assert "0 new calls" in second.stderr
    (out / "answer.json").unlink()
    (out / "transcript.json").unlink()
    third = here(*command)
    assert "0 new calls" in third.stderr
    assert load_transcript(out).digest == transcript
    cut = {**json.loads(first.stdout), "ledger": None}
    assert {**json.loads(third.stdout), "ledger": None} == cut


def test_a_folder_keeps_one_debate(here: Here, tmp_path: Path) -> None:
    """Other flags in the same folder are refused, and the difference is named."""
    out = tmp_path / "run"
    here(*asked("agree_at_once", "--out", out))
    other = here(*asked("agree_at_once", "--out", out, "--rounds", 2))
    assert other.exit_code == 2
    assert "debate.max_rounds (3 there, 2 here)" in other.stderr
    assert load_debate(out).question.startswith("[agree_at_once]")


def test_a_pause_is_gone_on_with(here: Here, tmp_path: Path) -> None:
    """Everybody down: exit 3, nothing final stored; the next run asks again."""
    out = tmp_path / "run"
    first = here(*asked("everybody_is_down", "--out", out))
    assert first.exit_code == 3
    assert "run the same command again" in first.stderr
    assert not (out / "answer.json").exists()
    assert here(*asked("everybody_is_down", "--out", out)).exit_code == 3


def test_every_event_has_its_debate_number_and_times(here: Here, tmp_path: Path) -> None:
    """Ids, times and tokens are in the trace; the debate's own events beside those of any conversation."""
    out = tmp_path / "run"
    here(*asked("planted_false_consensus", "--beliefs", "--options", "41,42", "--out", out))
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert all(line["time"] > 0 and "monotonic" in line for line in lines)
    assert all(line["event"]["about"]["conversation"] == "1" for line in lines)
    kinds = [line["event"]["type"] for line in lines]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("DebateStarted", "Selected", "DebateEnded")
    assert (kinds.count("BeliefRead"), kinds.count("Ruled")) == (3, 1)
    finished = [line["event"] for line in lines if line["event"]["type"] == "GenerationFinished"]
    assert all(event["completion"]["usage"]["input_tokens"] > 0 for event in finished)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--rouds", "2"], "--rounds"),
        (["--stop", "fixed:x"], "expected fixed:R"),
        (["--seats", "evidence,practise"], "did you mean 'practice'"),
        (["--seats", "evidence,"], "--seats 'evidence,'"),
        (["--team", "A", "--seats", "evidence,practice"], "got --team and --seats"),
        (["--seat", "nobody=m"], "unknown seat 'nobody'"),
        (["--seat", "evidence"], "expected NAME=MODEL"),
        (["--tools", "calculater"], "did you mean 'calculator'"),
        (["--protocol", "tool_grounded"], "add --tools"),
        (["--protocol", "paralel_consensus"], "did you mean 'parallel_consensus'"),
        (["--captain", "none"], "needs a captain"),
        (["--max-calls", "0"], "--max-calls: expected at least 1"),
        (["--max-cost", "1"], "--max-cost needs a price"),
        (["--temperature", "-1"], "temperature"),
        (["--beliefs", "--model", MODEL.replace("reply", "words_only")], "leave out --beliefs"),
        (["--file", "nowhere.txt"], "one question"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(here: Here, flags: list[str], says: str) -> None:
    """Exit 2 before any call, naming what was expected and the nearest known name."""
    done = here(*asked("agree_at_once", *flags))
    assert done.exit_code == 2
    assert says in done.stderr
    assert not done.stdout


def test_the_question_may_come_from_stdin_or_a_file(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text("[agree_at_once] What is 6 times 7?\n")
    assert here("debate", "--file", file, "--model", MODEL).stdout == "42\n"
    assert here("debate", "-", "--model", MODEL, stdin=file.read_text()).stdout == "42\n"
    empty = here("debate", "-", "--model", MODEL, stdin=" \n")
    assert empty.exit_code == 2
    assert "question is empty" in empty.stderr


TEAM = f"""team: mixed
model: {MODEL}
captain: {{sampling: {{temperature: 0}}}}
seats:
  - {{disposition: evidence}}
  - {{disposition: derivation, model: "{MODEL}"}}
  - {{name: practice, disposition: practice, profile: steered.yaml}}
"""


def test_a_team_file_gives_every_seat_its_own_profile(here: Here, tmp_path: Path) -> None:
    """Model, sampling and system text of a seat; what is left out is the team's."""
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "steered.yaml").write_text(
        'system: "Be brief."\nsampling: {temperature: 0.2, max_tokens: 64}\n'
    )
    out = tmp_path / "run"
    done = here(
        "debate", "[agree_at_once] What is 6 times 7?", "--team-file", tmp_path / "team.yaml", "--out", out
    )
    assert done.stdout == "42\n", done.stderr
    debate = load_debate(out).debate
    practice = debate.profile_of("practice")
    assert (practice.system, practice.sampling.temperature) == ("Be brief.", 0.2)
    assert (debate.captain.sampling.temperature, debate.team.name) == (0, "mixed")


@pytest.mark.parametrize(
    ("wrong", "line", "says"),
    [
        ("disposition: evidence", 5, "did you mean 'evidence'"),
        ("team: mixed", 1, "did you mean 'team'"),
        ("name: practice", 7, "'evidence' stands twice"),
        ("profile: steered.yaml", 7, "there is no file"),
    ],
)
def test_a_team_file_that_is_wrong_is_pointed_at(
    here: Here, tmp_path: Path, wrong: str, line: int, says: str
) -> None:
    """File, line and what was expected."""
    changed = {
        "disposition: evidence": "disposition: evidense",
        "team: mixed": "taem: mixed",
        "name: practice": "name: evidence",
        "profile: steered.yaml": "profile: nowhere.yaml",
    }[wrong]
    (tmp_path / "team.yaml").write_text(TEAM.replace(wrong, changed, 1))
    (tmp_path / "steered.yaml").write_text("system: x\n")
    done = here("debate", "x", "--team-file", tmp_path / "team.yaml")
    assert done.exit_code == 2
    assert f"team.yaml:{line}:" in done.stderr
    assert says in done.stderr


def test_prices_make_costs_and_bound_them(here: Here, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(f'"{MODEL}": {{input: 1, output: 2}}\n')
    done = here(*asked("agree_at_once", "--prices", prices, "--max-cost", 1, "--json"))
    totals = json.loads(done.stdout)["ledger"]["totals"]
    rows = totals["prompt_tokens"], totals["completion_tokens"]
    assert float(totals["cost"]) == pytest.approx((rows[0] + 2 * rows[1]) / 1e6)
    assert totals["unpriced_calls"] == 0


def test_baselines_are_asked_as_often_as_the_debate(here: Here) -> None:
    """Once, and by the vote of as many samples as the debate made calls."""
    done = here(*asked("baseline", "--baseline", "--json"))
    printed = json.loads(done.stdout)
    single, voted = printed["baselines"]
    assert (single["method"], single["calls"], single["answer"]) == ("single", 1, "42")
    assert (voted["method"], voted["calls"]) == ("sc@calls", printed["ledger"]["totals"]["calls"])


def test_the_roster_names_dispositions_and_teams(here: Here) -> None:
    done = here("debate-roster")
    assert "cross_examination" in done.stdout
    assert "team A      evidence, derivation, practice  (default)" in done.stdout
    assert "ask what follows in practice" in here("debate-roster", "practice", "--prompts", "short").stdout
    assert "did you mean 'practice'" in here("debate-roster", "practise").stderr
