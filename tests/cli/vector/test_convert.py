"""`symposia vector convert`: in, out and in again; every move printed; what is open is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from typer.testing import Result

from symposia.interp.vector import load_vector
from tests.cli.process import ROOT, Process
from tests.interp.formats.files import rows, svec
from tests.interp.vectors import vector

Here = Callable[..., Result]


def test_the_way_of_the_documents(here: Here, symposia: Process, tmp_path: Path) -> None:
    """Fit, look, export, import: equal to 1e-6 at every block that gguf has; an open convention ends with exit 2."""
    warm, gguf, back = (tmp_path / name for name in ("warm.safetensors", "warm.gguf", "back.safetensors"))
    tiny = ("-m", "symposia:tiny")
    for command in (
        ("fit", ROOT / "examples" / "warm.jsonl", *tiny, "-o", warm),
        ("inspect", warm, *tiny),
        ("convert", warm, gguf),
        ("convert", gguf, back, *tiny),
        ("inspect", warm, back, *tiny),
    ):
        ran = here("vector", *command)
        assert ran.exit_code == 0, ran.stderr
    one, other = load_vector(warm), load_vector(back)
    assert other.layers == one.layers[1:]
    for layer in other.layers:
        a, b = (v.directions[layer].double() * v.notes(layer).fitted_norm for v in (one, other))
        assert float((a - b).norm() / a.norm()) < 1e-6
    assert other.header.model == one.header.model
    torch.save(rows(7, width=256), tmp_path / "persona.pt")
    done = symposia("vector", "convert", tmp_path / "persona.pt", tmp_path / "x.safetensors")
    assert done.returncode == 2
    assert "--convention block_output" in done.stderr
    assert "--convention hidden_states" in done.stderr
    assert not (tmp_path / "x.safetensors").exists()


def test_moves_are_printed_and_stored(here: Here, tmp_path: Path) -> None:
    """Line by line, and as JSON; doubts go to stderr."""
    torch.save(rows(7, width=256), tmp_path / "p.pt")
    command = (
        "vector",
        "convert",
        tmp_path / "p.pt",
        tmp_path / "p.safetensors",
        "--convention",
        "hidden_states",
    )
    done = here(*command)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:2] == [
        "row 0 left out: the embedding, no block's output",
        "row 1 -> block 0",
    ]
    assert "foreign=True" in done.stderr
    told = json.loads(here(*command, "--json").stdout)
    assert told["changes"] == load_vector(tmp_path / "p.safetensors").header.origin["changes"]
    owned = here(*command, "-m", "symposia:tiny", "--name", "evil", "--json")
    assert json.loads(owned.stdout)["warnings"] == []
    assert load_vector(tmp_path / "p.safetensors").header.model.name == "symposia:tiny"


def test_out_and_in_again_by_torch(here: Here, tmp_path: Path) -> None:
    """A dict by block, and steering-vectors' fields."""
    vector(layers=(1, 2)).save(tmp_path / "v.safetensors")
    for convention in ("block_output", "steering_vectors"):
        out, back = tmp_path / f"{convention}.pt", tmp_path / f"{convention}.safetensors"
        assert (
            here("vector", "convert", tmp_path / "v.safetensors", out, "--convention", convention).exit_code
            == 0
        )
        done = here("vector", "convert", out, back, "--convention", convention)
        assert done.exit_code == 0, done.output
        assert torch.allclose(load_vector(back).directions[2], vector(layers=(1, 2)).directions[2], atol=1e-6)


def test_where_ibm_applied_is_asked_for(here: Here, tmp_path: Path) -> None:
    """--as-read is the default; --as-applied is a block earlier; not both."""
    source = svec(tmp_path / "v.svec", {2: rows(1)[0]}, explained_variances={"2": 0.5})
    found = {}
    for options in ((), ("--as-read",), ("--as-applied",)):
        out = tmp_path / f"{len(found)}.safetensors"
        assert here("vector", "convert", source, out, *options).exit_code == 0
        found[options] = load_vector(out).layers
    assert list(found.values()) == [(2,), (2,), (1,)]
    assert here("vector", "convert", source, out, "--as-read", "--as-applied").exit_code == 2


def test_what_makes_no_sense_is_refused(here: Here, tmp_path: Path) -> None:
    """Exit 2 and no file: ours to ours, theirs to theirs, options for the other way, a model too narrow."""
    ours, pt = tmp_path / "v.safetensors", tmp_path / "v.pt"
    vector(layers=(1,)).save(ours)
    torch.save({1: rows(1)[0]}, pt)
    out = tmp_path / "out"
    for arguments, text in (
        ((ours, out.with_suffix(".safetensors")), "already"),
        ((pt, out.with_suffix(".gguf")), "safetensors"),
        ((ours, out.with_suffix(".npz")), "'.npz'"),
        ((ours, out.with_suffix(".gguf"), "-m", "symposia:tiny"), "-m is about a file that is imported"),
        ((ours, out.with_suffix(".gguf"), "--as-read"), "--as-read"),
        ((ours, out.with_suffix(".gguf"), "--convention", "hidden_states"), "block_output"),
        (
            (pt, out.with_suffix(".safetensors"), "--convention", "block_output", "-m", "symposia:tiny"),
            "got 8",
        ),
        (
            (pt, out.with_suffix(".safetensors"), "--convention", "block_output", "--layers", "x"),
            "layers 'x'",
        ),
        ((tmp_path / "none.pt", out.with_suffix(".safetensors")), "no such file"),
    ):
        done = here("vector", "convert", *arguments)
        assert done.exit_code == 2, done.output
        assert text in done.stderr
    assert not list(tmp_path.glob("out.*"))
