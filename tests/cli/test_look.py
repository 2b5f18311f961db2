"""Commands that look: view, models, schema, doctor, version."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from typer.testing import Result

from symposia import __version__
from symposia.core.errors import InvalidInput
from symposia.talk.conversation_file import read
from tests.cli.process import ROOT

Here = Callable[..., Result]
TINY = ROOT / "examples" / "tiny_debate.yaml"


@pytest.fixture
def scripted(here: Here, tmp_path: Path) -> Path:
    assert here("run", ROOT / "examples" / "moderated.yaml", "--out", tmp_path / "m", "-q").exit_code == 0
    return tmp_path / "m"


def test_view_shows_the_transcript(here: Here, scripted: Path, tmp_path: Path) -> None:
    """A folder, a conversation and a transcript file show the same messages; HTML is one page, all text escaped."""
    whole = here("view", scripted / "conversation.json").stdout
    assert whole == here("view", scripted).stdout
    assert "[2] rosa: It is a fruit." in whole
    stored = read((scripted / "conversation.json").read_bytes())
    from symposia.core.transcript import Transcript

    Transcript(stored.transcript).save(tmp_path / "t.json")
    assert here("view", tmp_path / "t.json").stdout == whole
    assert here("view", scripted, "--html", tmp_path / "m.html").exit_code == 0
    page = (tmp_path / "m.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page


def test_view_as_somebody(here: Here, scripted: Path) -> None:
    """One participant's view: what was whispered to others is not in it."""
    seen = here("view", scripted, "--as", "omar").stdout
    assert "You are a cook." in seen
    assert "NEXT:" not in seen
    assert "NEXT: rosa" in here("view", scripted, "--as", "chair").stdout
    assert here("view", scripted, "--as", "nobody").exit_code == 2


def test_view_prompt_of_a_script_is_an_estimate(here: Here, scripted: Path) -> None:
    """Where the tokenizer is elsewhere the lines are shown, with a safe estimate."""
    shown = here("view", scripted, "--prompt", "omar").stdout
    assert shown.startswith("at most ")
    assert "You are a cook." in shown


def test_view_prompt_has_every_token_in_one_span(here: Here, tmp_path: Path) -> None:
    """The rendered prompt of a local model: spans partition it, and each span's text stands with author and phase."""
    assert here("run", TINY, "--turns", 2, "--out", tmp_path / "c", "-q").exit_code == 0
    done = here("view", tmp_path / "c" / "conversation.json", "--prompt", "alice")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    ends = [(int(row[0]), int(row[1])) for row in rows]
    assert ends[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(ends))
    assert "You are alice. You are warm and kind." in done.stdout
    assert any(row[2:6] == ["assistant", "answer", "1", "alice"] for row in rows)
    assert any(row[2:6] == ["user", "prompt", "2", "bob"] for row in rows)


@pytest.mark.parametrize(
    "raw", [b"{}", b"[1]", b"not json", b'{"format": "symposia.conversation", "version": 9}']
)
def test_view_of_something_else(here: Here, tmp_path: Path, raw: bytes) -> None:
    """Another file is bad input, said without a traceback."""
    (tmp_path / "x.json").write_bytes(raw)
    assert here("view", tmp_path / "x.json").exit_code == 2


def test_models(here: Here) -> None:
    """The table; what the bundled model was seen to be; whether it works; an unknown name with its neighbours."""
    assert "symposia:tiny" in here("models", "list").stdout
    row = json.loads(here("models", "list", "--json").stdout)["qwen3-4b"]
    assert (row["hub"], row["family"]) == ("Qwen/Qwen3-4B", "qwen3")
    facts = json.loads(here("models", "show", "tiny", "--json").stdout)
    assert facts["address"]["short"] == "symposia:tiny"
    assert facts["card"]["context_window"] == 2048
    assert facts["template"]["system"] == "head"
    assert facts["card"]["syntax"] == facts["template"]["syntax"] == "hermes"
    shown = here("models", "show", "tiny").stdout
    assert re.search(r"^  syntax +hermes$", shown, re.MULTILINE)
    assert re.search(r"^    think +<think>, </think>$", shown, re.MULTILINE)
    assert facts["runs"]["runner"] == "lean"
    assert facts["runs"]["warnings"] == []
    checked = here("models", "check", "symposia:tiny", "--json")
    assert checked.exit_code == 0
    assert {c["what"]: c["works"] for c in json.loads(checked.stdout)["checks"]} == dict.fromkeys(
        ("render", "sample", "seed", "logprobs", "choices", "captures"), True
    )
    missing = here("models", "show", "tinny")
    assert missing.exit_code == 2
    assert "symposia:tiny" in missing.stderr


def test_schema(here: Here, scripted: Path) -> None:
    """Every name prints a JSON Schema that is one; what a run stores fits its own."""
    for name in here("schema").stdout.split():
        jsonschema.Draft202012Validator.check_schema(json.loads(here("schema", name).stdout))
    conversation = json.loads(here("schema", "conversation").stdout)
    jsonschema.validate(json.loads((scripted / "conversation.json").read_bytes()), conversation)
    event = json.loads(here("schema", "event").stdout)
    fits = jsonschema.Draft202012Validator(event)
    for line in (scripted / "events.jsonl").read_text().splitlines()[:4]:
        fits.validate(json.loads(line))
    assert here("schema", "scenaro").exit_code == 2


def test_doctor(here: Here) -> None:
    """Text for people; with --json exactly the published report. Nothing fails where everything is installed."""
    assert "weights.tiny" in here("doctor").stdout
    report = json.loads(here("doctor", "--json", "--strict").stdout)
    jsonschema.validate(report, json.loads((ROOT / "docs" / "schema" / "doctor-report.v1.json").read_text()))
    assert report["summary"]["fail"] == 0


def test_version_and_help(here: Here) -> None:
    """--version prints it; no command prints help; an unknown one is bad input."""
    assert here("--version").stdout == f"symposia {__version__}\n"
    assert "run" in here("--help").stdout
    assert here("frob").exit_code == 2


def test_errors_are_our_own() -> None:
    """What the command line refuses is `InvalidInput`, which Python callers can catch too."""
    from symposia.cli.scenario import ScenarioFileError

    assert issubclass(ScenarioFileError, InvalidInput)
