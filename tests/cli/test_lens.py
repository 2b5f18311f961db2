"""`symposia lens check`: the self-tests of a model as a table, as JSON, as an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.interp.check import ALL
from tests.cli.process import Process
from tests.reference.families import FAMILIES, build, save, unlisted

Here = Callable[..., Result]


def test_the_bundled_model_passes(symposia: Process) -> None:
    """Exit 0; every check by name with its error and its bar, and where the model can be looked into."""
    done = symposia("lens", "check", "symposia:tiny")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert {line[0] for line in lines if line[0] in ALL} == set(ALL)
    assert not [line for line in lines if "failed" in line]
    assert ["resid_post", "0-5"] in lines
    assert ["z", "0-5"] in lines


def test_json_is_for_programs(here: Here) -> None:
    """The same, as one JSON value."""
    done = here("lens", "check", "symposia:tiny", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["understood"] is True
    assert {one["name"] for one in told["checks"]} == set(ALL)
    assert told["supported"]["resid_mid"] == [0, 1, 2, 3, 4, 5]
    assert told["supported"]["logits"] == []


def test_rounded_weights_pass_and_are_told(symposia: Process) -> None:
    """What is inside holds, of the weights as they are now; that they were rounded is one line on stderr."""
    done = symposia("lens", "check", "symposia:tiny?quant=8bit")
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    (told,) = done.stderr.splitlines()
    assert told.startswith(
        "warning: symposia:tiny?quant=8bit: the weights of 42 linear layers are rounded to 8bit"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_from_a_folder(family: str, tmp_path: Path, here: Here) -> None:
    """Random weights of each listed family, saved and loaded as any checkpoint."""
    done = here("lens", "check", save(build(family, "float32"), tmp_path / family), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {one["status"] for one in told["checks"]} <= {"passed", "not_applicable"}
    assert told["supported"]["z"] == [0, 1, 2, 3]


def test_an_unlisted_family_is_refused_with_the_list(tmp_path: Path, here: Here) -> None:
    """Exit 1: what was looked at, what was not run, the families there are, and the way out."""
    where = save(unlisted(), tmp_path / "unlisted")
    done = here("lens", "check", where)
    assert done.exit_code == 1
    assert "anatomy" in done.stdout
    assert all(name in done.stdout for name in ALL)
    assert "starcoder2" in done.stderr
    assert "white_box=False" in done.stderr
    told = json.loads(here("lens", "check", where, "--json").stdout)
    assert told["understood"] is False
    assert told["checks"][0]["status"] == "failed"


def test_an_endpoint_has_no_inside(here: Here) -> None:
    """Exit 2: refused, and nothing is sent anywhere."""
    done = here("lens", "check", "openai:gpt-5")
    assert done.exit_code == 2
    assert "local model" in done.stderr
