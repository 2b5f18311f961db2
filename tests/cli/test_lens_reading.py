"""`symposia lens tokens | logits | project | patch` over the transcripts in examples/ and over saved conversations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia import Conversation, Participant, Profile, Sampling
from symposia.facade import fit
from tests.cli.process import ROOT, Process

Here = Callable[..., Result]
CLEAN, CORRUPT = ROOT / "examples" / "clean.json", ROOT / "examples" / "corrupt.json"
TINY = ("-m", "symposia:tiny")


def told(done: Result) -> dict:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_acceptance_line(symposia: Process) -> None:
    """The peak is the planted word, whose state brings all of the answer; other positions bring nothing."""
    done = symposia("lens", "patch", CLEAN, CORRUPT, *TINY, "--metric", "logprob:answer")
    assert done.returncode == 0, done.stderr
    head, *cells = done.stdout.splitlines()
    assert head.startswith("clean -")
    assert cells[0].split()[0].startswith("+1.0")
    assert "' paddle'" in cells[0]


def test_a_grid_for_programs_and_for_a_browser(here: Here, tmp_path: Path) -> None:
    """Every cell in JSON, its peak named; a page without a script; the estimate with its correlation."""
    page = tmp_path / "g.html"
    args = ("lens", "patch", CLEAN, CORRUPT, *TINY, "--layers", "0,3,5", "--json")
    exact = told(here(*args, "--metric", "logprob:answer", "--html", page))
    assert exact["peak"]["text"] == " paddle"
    assert exact["align"] == "index"
    assert len(exact["cells"]) == 3 * len(exact["tokens"])
    assert max(c["value"] for c in exact["cells"]) == exact["peak"]["value"] == pytest.approx(1.0, abs=0.02)
    assert "<script" not in page.read_text()
    assert "rgba(" in page.read_text()
    near = told(here(*args, "--metric", "logprob:answer", "--estimate"))
    assert near["peak"]["text"] == " paddle"
    assert near["correlation"] > 0.9
    assert len(near["checked"]) == 20
    by_head = told(here(*args, "--metric", "diff: candle| paddle", "--site", "z", "--heads", "all"))
    assert {c["head"] for c in by_head["cells"]} == {0, 1, 2, 3}
    broken = told(here(*args, "--metric", "kl", "--mode", "break", "--align", "last"))
    assert len(broken["tokens"]) == 1


def test_tokens_by_author(here: Here, tmp_path: Path) -> None:
    """Every token but the first has a surprisal and an entropy; the page shades the text and escapes it."""
    page = tmp_path / "t.html"
    found = told(here("lens", "tokens", CLEAN, *TINY, "--json", "--html", page))
    said = "".join(t["text"] for t in found["tokens"] if t["author"] == "tiny" and t["turn"] == 3)
    assert said == "The magic word is candle."
    assert {t["phase"] for t in found["tokens"] if t["author"] == "ann"} == {"prompt"}
    assert all(t["surprisal"] == -t["logprob"] for t in found["tokens"])
    assert found["means"]["tiny"]["surprisal"] < found["means"]["ann"]["surprisal"]
    assert "&lt;|im_end|&gt;" in page.read_text()
    plain = here("lens", "tokens", CLEAN, *TINY, "--as", "ann")
    assert "prompt" in plain.stdout
    assert any(line.split()[1:3] == ["tiny", "prompt"] for line in plain.stdout.splitlines())


def test_logits_by_layer(here: Here, tmp_path: Path) -> None:
    """Layers by tokens, a named token's rank; nothing left of KL at the last layer."""
    page = tmp_path / "l.html"
    found = told(here("lens", "logits", CLEAN, *TINY, "--token", " candle", "--json", "--html", page))
    assert len(found["tokens"]) == 12
    before = next(t for t in found["tokens"] if t["text"] == " is")
    assert before["top"][-1][0]["text"] == " candle"
    assert before["named"][" candle"]["rank"][-1] == 1
    assert before["named"][" candle"]["rank"][0] > 1
    assert all(t["kl_to_final"][-1] == pytest.approx(0.0, abs=1e-5) for t in found["tokens"])
    assert "candle" in page.read_text()
    some = told(here("lens", "logits", CLEAN, *TINY, "--where", "author=tiny,turn=3", "--json"))
    assert "".join(t["text"] for t in some["tokens"]) == "The magic word is candle."
    assert "rank of ' candle'" in here("lens", "logits", CLEAN, *TINY, "--token", " candle").stdout


def test_projections_of_a_saved_conversation(here: Here, tmp_path: Path) -> None:
    """A steered speaker's own words lie further along the direction it was steered with."""
    warmth = fit(ROOT / "examples" / "warm.jsonl", "symposia:tiny", name="warmth")
    warmth.save(tmp_path / "warmth.safetensors")
    likeliest = Sampling(max_tokens=24, temperature=0)  # the same words on every machine
    profile = Profile(model="symposia:tiny", sampling=likeliest, interventions=(warmth.add(1.0, (3,)),))
    plain = Participant(name="bob", profile=Profile(model="symposia:tiny", sampling=likeliest))
    talk = Conversation([Participant(name="alice", profile=profile), plain])
    talk.run(3, prompt="Is tea better than coffee?")
    talk.save(tmp_path / "c.json")
    args = ("--vector", tmp_path / "warmth.safetensors", "--layer", "3", "--json")
    mine = told(here("lens", "project", tmp_path / "c.json", *TINY, *args, "--as", "alice"))
    hers = told(here("lens", "project", tmp_path / "c.json", *TINY, *args, "--as", "bob"))
    assert mine["means"]["alice"]["warmth@3"] > hers["means"]["alice"]["warmth@3"] + 0.5
    assert {t["phase"] for t in mine["tokens"] if t["author"] == "alice"} == {"answer"}
    table = here("lens", "project", tmp_path / "c.json", *TINY, *args[:-1], "--measure", "cosine")
    assert "warmth@3" in table.stdout
    some = told(here("lens", "project", tmp_path / "c.json", *TINY, *args, "--where", "author=bob,last=2"))
    assert {t["author"] for t in some["tokens"]} == {"bob"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("tokens", CLEAN, "-m", "openai:gpt-5"), "local model"),
        (("tokens", CLEAN, *TINY, "--as", "zoe"), "zoe"),
        (("tokens", ROOT / "README.md", *TINY), "no JSON"),
        (("logits", CLEAN, *TINY, "--token", "two words"), "expected one token"),
        (("logits", CLEAN, *TINY, "--last", "-3"), "--last >= 0"),
        (("patch", CLEAN, CLEAN, *TINY, "--metric", "kl"), "do not differ"),
        (("patch", CLEAN, CORRUPT, *TINY, "--metric", "best"), "logprob:TEXT"),
        (("patch", CLEAN, CORRUPT, *TINY, "--metric", "kl", "--layers", "x"), "as in 0,3"),
        (("patch", CLEAN, CORRUPT, *TINY, "--metric", "kl", "--layers", "9"), "expected 0..5"),
        (("patch", CLEAN, CORRUPT, *TINY, "--metric", "kl", "--site", "nose"), "resid_post"),
        (("patch", CLEAN, CORRUPT, *TINY, "--metric", "kl", "--as", "ann"), "last message"),
        (("patch", CLEAN, CORRUPT, *TINY, "--metric", "kl", "--heads", "0"), "heads narrow"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(args: tuple[object, ...], words: str, here: Here) -> None:
    """What was expected, what came, and what to do."""
    done = here("lens", *args)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stdout == ""
