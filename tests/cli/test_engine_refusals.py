"""What a local model cannot do is refused before anybody speaks: exit 2, with the numbers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from symposia.interp.taps import ModelShape
from symposia.interp.vector import FittedOn, Header, LayerNotes, SteeringVector
from tests.cli.process import ROOT

Here = Callable[..., Result]
DEBATE = ROOT / "examples" / "tiny_debate.yaml"
TINY = Path(str(files("symposia"))) / "weights" / "tiny"


def vector(folder: Path, shape: ModelShape, width: int) -> str:
    """A file beside the scenario, as if it had been fitted on the bundled model; its name."""
    direction = torch.zeros(width)
    direction[0] = 1.0
    model = FittedOn(
        name="symposia:tiny", digest=shape.digest, type=shape.type, layers=shape.layers, width=width
    )
    header = Header(name="warmth", model=model, layers={"3": LayerNotes(fitted_norm=2.0)})
    path = folder / f"warmth-{width}.safetensors"
    SteeringVector(header, {3: direction}).save(path)
    return path.name


@pytest.fixture
def shape() -> ModelShape:
    """The bundled model's sizes."""
    from symposia.facade import engines

    return engines().engine("symposia:tiny").shape


@pytest.fixture
def steered(tmp_path: Path) -> Callable[[str], Path]:
    """The debate with bob, who speaks second, steered."""

    def make(intervention: str) -> Path:
        path = tmp_path / "steered.yaml"
        text = DEBATE.read_text().replace("  bob:\n", f"  bob:\n    interventions: [{intervention}]\n")
        path.write_text(text)
        return path

    return make


def refused(done: Result, *words: str) -> None:
    assert done.exit_code == 2, done.output
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_layer_out_of_range(
    here: Here, steered: Callable[[str], Path], tmp_path: Path, shape: ModelShape
) -> None:
    """The layers there are, are said; the first speaker, who is not steered, has not spoken either."""
    name = vector(tmp_path, shape, shape.width)
    path = steered(f"{{op: add, vector: {name}, layers: [3, 99]}}")
    refused(here("run", path, "--out", tmp_path / "r"), "layer 99", f"0..{shape.layers - 1}")
    assert not (tmp_path / "r").exists()


def test_a_vector_of_another_width(
    here: Here, steered: Callable[[str], Path], tmp_path: Path, shape: ModelShape
) -> None:
    """Both widths are said."""
    name = vector(tmp_path, shape, shape.width + 8)
    done = here("run", steered(f"{{op: add, vector: {name}}}"))
    refused(done, f"width {shape.width + 8}", str(shape.width))


def test_a_vector_nobody_has(here: Here, steered: Callable[[str], Path]) -> None:
    """A digest that no library holds is refused."""
    refused(here("run", steered(f'{{op: add, vector: "sha256:{"1" * 64}"}}')), "sha256:1111")


def test_a_file_that_is_no_vector(here: Here, steered: Callable[[str], Path], tmp_path: Path) -> None:
    """The error stands at the line that names the file."""
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    refused(
        here("run", steered("{op: add, vector: bad.safetensors}")), "interventions[0].vector", "safetensors"
    )


def test_a_steered_run_has_receipts(
    here: Here, steered: Callable[[str], Path], tmp_path: Path, shape: ModelShape
) -> None:
    """A vector named by file steers, and every steered turn says where and on how many tokens."""
    name = vector(tmp_path, shape, shape.width)
    path = steered(f"{{op: add, vector: {name}, scale: 0.5}}")
    done = here("run", path, "--turns", 2, "--json", "--set", "participants.bob.sampling.max_tokens=12")
    assert done.exit_code == 0, done.stderr
    made = json.loads(done.stdout)["messages"][-1]["provenance"]
    assert made["receipts"][0]["status"] == "applied"
    assert made["receipts"][0]["tokens"]["generated"] > 0
    assert "steered (1 of 1 applied" in done.stderr


def test_other_weights_are_told(here: Here, tmp_path: Path) -> None:
    """A resumed run that meets other weights than it began with says so, and its log holds it."""
    run = ("run", DEBATE, "--out", tmp_path / "r", "--set", "participants.alice.sampling.max_tokens=8")
    assert here(*run, "--turns", 1).exit_code == 0
    events = tmp_path / "r" / "events.jsonl"
    events.write_text(re.sub(r'"weights":"sha256:.{8}', '"weights":"sha256:' + "0" * 8, events.read_text()))
    done = here(*run, "--turns", 2, "--resume")
    assert done.exit_code == 0, done.stderr
    assert "symposia:tiny has other weights than this run began with: 00000000" in done.stderr
    assert events.read_text().count('"type":"ModelMoved"') == 1


def test_a_model_without_a_chat_template(here: Here, tmp_path: Path) -> None:
    """A folder whose tokenizer has no template cannot hold a conversation."""
    bare = tmp_path / "bare"
    shutil.copytree(TINY, bare, ignore=shutil.ignore_patterns("*.jinja"))
    path = tmp_path / "s.yaml"
    path.write_text(
        f'symposia: 1\nparticipants: {{a: {{model: "{bare}"}}}}\nprompt: hi\nuntil: {{type: turns, n: 1}}\n'
    )
    refused(here("run", path), "template")


def test_a_context_that_overflows(here: Here, tmp_path: Path) -> None:
    """Tokens, reserve, limit and the largest line are said; nothing is cut."""
    text = DEBATE.read_text().replace("Let us talk about the sea.", "the sea " * 2500)
    (tmp_path / "long.yaml").write_text(text)
    refused(
        here("run", tmp_path / "long.yaml"),
        "the limit is 2048",
        "60 are reserved",
        "drop_oldest",
        "characters",
    )


def test_a_folder_that_is_no_model(here: Here, tmp_path: Path) -> None:
    """An address that leads nowhere is bad input."""
    path = tmp_path / "s.yaml"
    path.write_text(
        f'symposia: 1\nparticipants: {{a: {{model: "{tmp_path}"}}}}\nuntil: {{type: turns, n: 1}}\n'
    )
    refused(here("run", path), "config.json")
