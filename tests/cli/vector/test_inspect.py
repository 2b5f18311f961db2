"""`symposia vector inspect`: files as they are, how they agree, whether they fit a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import Result

from symposia.facade import engines, fit
from symposia.interp.vector import Calibration, SteeringVector
from tests.cli.process import ROOT
from tests.interp.vectors import of_kind, vector

Here = Callable[..., Result]
WARM = ROOT / "examples" / "warm.jsonl"


@pytest.fixture(scope="module")
def warm() -> SteeringVector:
    return fit(WARM, "symposia:tiny", name="warm").vector


def test_a_file_that_fits(here: Here, tmp_path: Path, warm: SteeringVector) -> None:
    """Its facts, its layers and its fitness; exit 0, also without a model."""
    calibration = Calibration(layers=(2,), plus=0.71, minus=0.83)
    header = msgspec.structs.replace(warm.header, calibration=calibration, description="by hand")
    one = SteeringVector(header, warm.directions)
    one.save(tmp_path / "w.safetensors")
    done = here("vector", "inspect", tmp_path / "w.safetensors", "-m", "symposia:tiny")
    assert done.exit_code == 0, done.output
    for text in (
        one.digest,
        "by hand",
        "16 pairs",
        "symposia:tiny",
        "width 256",
        "[2]: +0.71, -0.83",
        "diff_mean",
    ):
        assert text in done.stdout
    fits = [line.split() for line in done.stdout.splitlines() if line.startswith("  fits")]
    assert [line[1] for line in fits] == ["weights", "layers", "site", "width"]
    alone = here("vector", "inspect", tmp_path / "w.safetensors")
    assert alone.exit_code == 0
    assert "  fits" not in alone.stdout


def test_a_file_that_does_not_fit(here: Here, tmp_path: Path, warm: SteeringVector) -> None:
    """Exit 1, with each reason and its way out; another template is worth a note only."""
    shape = engines().engine("symposia:tiny").shape
    other = msgspec.structs.replace(
        vector(layers=(1, 9)).header,
        template="sha256:other",
        model=msgspec.structs.replace(vector().header.model, name="m"),
    )
    SteeringVector(other, vector(layers=(1, 9)).directions).save(tmp_path / "o.safetensors")
    header = msgspec.structs.replace(warm.header, template="sha256:other")
    SteeringVector(header, warm.directions).save(tmp_path / "t.safetensors")
    done = here("vector", "inspect", tmp_path / "o.safetensors", "-m", "symposia:tiny", "--json")
    assert done.exit_code == 1
    (told,) = json.loads(done.stdout)["files"]
    by_name = {one["name"]: one for one in told["fitness"]}
    assert {name: one["status"] for name, one in by_name.items()} == {
        "weights": "unfit",
        "layers": "unfit",
        "site": "fits",
        "width": "unfit",
        "template": "note",
    }
    assert "foreign=True" in by_name["weights"]["why"]
    assert by_name["layers"]["why"] == f"9: the model has 0..{shape.layers - 1}"
    assert by_name["width"]["why"].startswith("8; resid_post")
    shown = here("vector", "inspect", tmp_path / "o.safetensors", "-m", "symposia:tiny")
    assert "  unfit width" in shown.stdout
    assert here("vector", "inspect", tmp_path / "t.safetensors", "-m", "symposia:tiny").exit_code == 0


def test_files_are_compared_layer_by_layer(here: Here, tmp_path: Path) -> None:
    """Cosines of directions where two files have them; other kinds and widths have none."""
    one, other, plane = vector(0, layers=(0, 1, 2)), vector(1, layers=(1, 2, 3)), of_kind("plane")
    names = []
    for number, each in enumerate((one, other, plane)):
        names.append(tmp_path / f"{number}.safetensors")
        each.save(names[-1])
    told = json.loads(here("vector", "inspect", *names, "--json").stdout)
    first, *rest = told["cosines"]
    assert first["files"] == [str(names[0]), str(names[1])]
    expected = {str(layer): float(one.directions[layer] @ other.directions[layer]) for layer in (1, 2)}
    assert first["layers"] == pytest.approx(expected, abs=1e-6)
    assert [pair["layers"] for pair in rest] == [{}, {}]
    shown = here("vector", "inspect", *names[:2]).stdout
    assert f"{expected['1']:.2f}" in shown
    assert f"2: {names[1]}" in shown


@pytest.mark.parametrize("kind", ["subspace", "plane", "means", "latent"])
def test_every_kind_is_shown(here: Here, tmp_path: Path, kind: str) -> None:
    """By its name; JSON holds the whole header."""
    of_kind(kind).save(tmp_path / "v.safetensors")
    assert f"{kind}, to steer with" in here("vector", "inspect", tmp_path / "v.safetensors").stdout
    (told,) = json.loads(here("vector", "inspect", tmp_path / "v.safetensors", "--json").stdout)["files"]
    assert told["digest"] == of_kind(kind).digest
    assert told["kind"] == kind


def test_what_is_no_vector_file(here: Here, tmp_path: Path) -> None:
    """Exit 2, with the command that reads other formats."""
    from safetensors.torch import save_file

    save_file({"x": of_kind("plane").directions[1]}, tmp_path / "x.safetensors")
    done = here("vector", "inspect", tmp_path / "x.safetensors")
    assert done.exit_code == 2
    assert "symposia vector convert" in done.stderr
