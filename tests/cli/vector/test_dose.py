"""`symposia vector calibrate` and `evaluate` on the bundled model: files, tables, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import Result

from symposia.core.value import canonical
from symposia.interp.dose.values import Choice, Column, Dose, Push, Response
from symposia.interp.vector import load_vector
from tests.cli.process import ROOT

Here = Callable[..., Result]
TINY = ("-m", "symposia:tiny")


@pytest.fixture
def warm(tmp_path: Path, here: Here) -> Path:
    path = tmp_path / "warm.safetensors"
    done = here("vector", "fit", ROOT / "examples/warm.jsonl", *TINY, "-o", path)
    assert done.exit_code == 0, done.output
    return path


def few(tmp_path: Path, n: int) -> Path:
    path = tmp_path / "few.jsonl"
    path.write_text("\n".join((ROOT / "examples/p.jsonl").read_text().splitlines()[:n]))
    return path


def test_a_vector_is_calibrated_and_evaluated_in_its_unit(tmp_path: Path, warm: Path, here: Here) -> None:
    """The file has a new digest and both sides; the evaluation takes its layers, keeps all, and does nothing twice."""
    made = tmp_path / "warm2.safetensors"
    done = here("vector", "calibrate", warm, *TINY, "--layers", "4", "-o", made, "--tokens", "4", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    vector = load_vector(made)
    assert told["vector"] == vector.digest != load_vector(warm).digest
    assert vector.header.calibration.layers == (4,)
    assert told["calibration"]["plus"] == vector.header.calibration.plus
    out = tmp_path / "dose"
    asked = ["vector", "evaluate", made, *TINY, "--prompts", few(tmp_path, 6), "--scales", "0,1", "-o", out]
    asked += ["--unit", "calibrated", "--random", "1", "--max-tokens", "24", "--trait", "You are warm."]
    done = here(*asked, "--json")
    assert done.exit_code in (0, 1), done.output
    told = json.loads(done.stdout)
    dose = msgspec.json.decode((out / "dose.json").read_bytes(), type=Dose)
    assert told["dose"] == json.loads(canonical(dose))
    assert bool(told["findings"]) == (done.exit_code == 1)
    assert dose.push.layers == (4,)
    assert dose.push.unit == "calibrated"
    assert {(r.kind, r.scale) for r in dose.responses} == {
        ("base", 0.0),
        ("prompt", 0.0),
        ("vector", 0.0),
        ("vector", 1.0),
        ("wrong_sign", -1.0),
        ("random", 1.0),
    }
    assert dose.left_out == ("matched",)
    assert {r.applied for r in dose.responses} == {None, 1.0}
    assert dose.at("vector", 1.0).kl > 0.01
    assert "<svg" in (out / "dose.svg").read_text()
    rows = (out / "dose.jsonl").read_bytes()
    again = here(*asked)
    assert again.exit_code == done.exit_code
    assert (out / "dose.jsonl").read_bytes() == rows
    assert "wrong sign" in again.stdout
    assert "baselines left out: matched" in again.stdout


def test_what_cannot_be_done_is_bad_input(tmp_path: Path, warm: Path, here: Here) -> None:
    """Exit 2 and the way out, before anything is generated."""
    prompts, out, start = few(tmp_path, 4), tmp_path / "o", tmp_path / "start.safetensors"
    assert not here(
        "vector", "fit", ROOT / "examples/warm.jsonl", *TINY, "--read", "answer_start", "-o", start
    ).exit_code
    calibrate = ("vector", "calibrate", warm, *TINY, "-o", out, "--layers")
    evaluate = ("vector", "evaluate", warm, *TINY, "-o", out, "--prompts", prompts)
    for command, told in (
        ((*calibrate, "4", "--prompts", prompts), "at least 64 prompts; got 4"),
        ((*calibrate, "four"), "expected block indexes"),
        ((*calibrate, "9"), "9"),
        ((*evaluate, "--unit", "calibrated", "--layers", "4"), "symposia vector calibrate"),
        ((*evaluate, "--scales", "1,x"), "expected numbers"),
        ((*evaluate, "--scales", "-1"), "scales"),
        ((*evaluate, "--logprob", "--scales", "1"), "has no options"),
        ((*evaluate, "--data", prompts), "few.jsonl:1"),
        (("vector", "evaluate", start, *evaluate[3:]), "one that was with --readout"),
    ):
        done = here(*command)
        assert done.exit_code == 2, (command, done.output)
        assert told in done.output, command
        assert not out.exists() or not (out / "dose.json").exists()


def test_a_target_out_of_reach_is_a_finding(tmp_path: Path, warm: Path, here: Here) -> None:
    """Exit 1, with what was measured."""
    asked = ("--layers", "4", "--target", "1e6", "--tokens", "2", "-o", tmp_path / "x.safetensors")
    done = here("vector", "calibrate", warm, *TINY, *asked)
    assert done.exit_code == 1
    assert "plus side at layers [4]" in done.output
    assert "measured" in done.output
    assert not (tmp_path / "x.safetensors").exists()


def test_the_prompts_of_the_examples_are_those_of_the_package() -> None:
    """What the page runs on is what `calibrate` takes by itself."""
    shipped = ROOT / "src/symposia/cli/vector/everyday.jsonl"
    assert (ROOT / "examples/p.jsonl").read_bytes() == shipped.read_bytes()


def response(kind: str, low: float, high: float, applied: float | None = 1.0) -> Response:
    middle = Column(mean=(low + high) / 2, low=low, high=high, n=9)
    fields = dict.fromkeys(("perplexity", "kl", "anti", "capability"))
    shares = dict.fromkeys(("empty", "loop", "salad"), 0.0)
    return Response(
        kind=kind,
        scale=1.0,
        samples=9,
        concept=middle,
        score=middle,
        unreadable=0,
        applied=applied,
        **fields,
        **shares,
    )


def dose(chosen: Choice | None, *responses: Response) -> Dose:
    return Dose(
        vector="v",
        name="v",
        model="m",
        push=Push(layers=(1,)),
        prompts="p",
        seeds=1,
        measure="m",
        responses=responses,
        chosen=chosen,
        tried=1,
        worse=2.0,
    )


def test_findings_are_what_keeps_a_reader_from_believing() -> None:
    """Nothing chosen; intervals that overlap those of the base or of random directions; missing receipts. Else none."""
    from symposia.cli.vector.evaluation import findings_of

    def on_b(*responses: Response) -> Choice:
        return Choice(scale=1.0, tried=1, on_a=responses[0], on_b=responses)

    base, random = response("base", 0.0, 0.2, None), response("random", 0.1, 0.3)
    assert findings_of(dose(on_b(response("vector", 0.4, 0.6), base, random))) == ()
    [told] = findings_of(dose(on_b(response("vector", 0.25, 0.6), base, random)))
    assert "does not stand out from random" in told
    assert len(findings_of(dose(on_b(response("vector", 0.1, 0.6), base, random)))) == 2
    [told] = findings_of(dose(None))
    assert "no scale keeps the text readable" in told
    [told] = findings_of(dose(on_b(response("vector", 0.4, 0.6), base), response("vector", 0.4, 0.6, 0.9)))
    assert "10% of samples have no receipt" in told
