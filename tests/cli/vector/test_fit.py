"""`symposia vector fit`: a file and its diagnosis from the command line; what is wrong is said, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import Result

from symposia.facade import fit
from symposia.interp.latent import latent
from symposia.interp.vector import SteeringVector, load_vector
from tests.cli.process import ROOT
from tests.interp.formats.files import sae

Here = Callable[..., Result]
WARM = ROOT / "examples" / "warm.jsonl"
TINY = ("-m", "symposia:tiny")


@pytest.fixture
def fitted(here: Here, tmp_path: Path) -> Callable[..., dict]:
    """`fitted(*options)`: the JSON that the command tells, its file at `out`."""

    def run(*options: object, data: Path = WARM) -> dict:
        done = here("vector", "fit", data, *TINY, "-o", tmp_path / "v.safetensors", "--json", *options)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def same(one: SteeringVector, other: SteeringVector) -> None:
    """The same directions, as far as batches that came together otherwise let them be."""
    assert one.layers == other.layers
    for layer in one.layers:
        assert torch.allclose(one.directions[layer], other.directions[layer], atol=1e-4)


def test_a_table_a_suggestion_and_a_file(here: Here, tmp_path: Path) -> None:
    """Every layer with its diagnosis; the file is what the library's `fit` makes, named by its own name."""
    out = tmp_path / "warm.safetensors"
    done = here("vector", "fit", WARM, *TINY, "-o", out)
    assert done.exit_code == 0, done.output
    vector = load_vector(out)
    rows = [line.split() for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert [int(row[0]) for row in rows] == list(vector.layers) == [0, 1, 2, 3, 4, 5]
    for row in rows:
        notes = vector.notes(int(row[0]))
        assert [float(cell) for cell in row[1:3]] == pytest.approx(
            [notes.fitted_norm, notes.reference_norm], abs=0.005
        )
        assert float(row[6]) == pytest.approx(notes.auroc, abs=0.005)
    assert sum("suggested" in row for row in rows) == 1
    assert vector.digest in done.stdout
    assert vector.header.name == "warm"
    assert vector.header.created.startswith("20")
    assert "warning: 16 pairs; 32 or more" in done.stderr
    made = fit(WARM, "symposia:tiny", name="warm").vector
    same(made, vector)
    assert made.header.data == vector.header.data


def test_options_reach_the_method_and_the_reading(fitted: Callable[..., dict]) -> None:
    """Method options, positions, pool, layers, site and name stand in the file."""
    told = fitted(
        "--method", "logistic:pattern,c=0.5", "--read", "answer_start", "--layers", "3-4", "--name", "w"
    )
    assert told["method"] == {"type": "logistic", "params": {"c": 0.5, "pattern": True}}
    assert sorted(told["layers"]) == ["3", "4"]
    assert told["suggested"] in (3, 4)
    assert told["use"] == "lever"
    assert told["name"] == "w"
    assert told["read"]["where"]["any"][0]["lead"] is True
    other = fitted(
        "--method", "pca:centre", "--pool", "last", "--site", "mlp_out", "--read", "phase=answer,last=3"
    )
    assert other["read"]["site"] == "mlp_out"
    assert other["read"]["pool"] == "last"
    assert other["read"]["where"]["any"][0]["tokens"] == [{"start": -3, "stop": None}]
    assert fitted("--method", "logistic")["use"] == "readout"


def test_pca_is_read_at_the_answers_end_unless_said(fitted: Callable[..., dict]) -> None:
    """The default reading follows the method."""
    assert fitted("--method", "pca")["read"]["where"]["any"][0]["within"] == "sequence"
    assert fitted()["read"]["where"] == fitted("--read", "answer")["read"]["where"]


def caa(path: Path, count: int = 10, **changed: str) -> Path:
    """A/B questions; `changed` replaces fields of the third."""
    items = [
        {
            "question": f"Is it {n}?\n\nChoices:\n (A) yes\n (B) no",
            "answer_matching_behavior": ("(A)", " (B)", "A", "B.")[n % 4],
            "answer_not_matching_behavior": ("(B)", " (A)", "B", "A.")[n % 4],
            "source": "not read",
        }
        for n in range(count)
    ]
    items[2] |= changed
    path.write_text(json.dumps(items) if path.suffix == ".json" else "\n".join(map(json.dumps, items)) + "\n")
    return path


@pytest.mark.parametrize("name", ["ab.json", "ab.jsonl"])
def test_caa_questions_end_at_the_letter(fitted: Callable[..., dict], tmp_path: Path, name: str) -> None:
    """A list or lines; the method is caa, read at the token of the letter: the same as pairs cut there by hand."""
    told = fitted("--format", "caa", "--layers", "2", data=caa(tmp_path / name))
    assert told["method"]["type"] == "caa"
    assert told["data"]["pairs"] == 10
    one = load_vector(tmp_path / "v.safetensors")
    by_hand = tmp_path / "pairs.jsonl"
    cut = {"(A)": "(A", " (A)": "(A", "A": "A", "A.": "A", "(B)": "(B", " (B)": "(B", "B": "B", "B.": "B"}
    pairs = [
        {
            "id": str(n),
            **{
                side: {
                    "messages": [
                        {"role": "user", "content": one["question"]},
                        {"role": "assistant", "content": cut[one[f"answer_{key}_behavior"]]},
                    ]
                }
                for side, key in (("positive", "matching"), ("negative", "not_matching"))
            },
        }
        for n, one in enumerate(json.loads(caa(tmp_path / "again.json").read_text()), start=1)
    ]
    by_hand.write_text("\n".join(map(json.dumps, pairs)))
    assert fitted("--method", "caa", "--layers", "2", data=by_hand)["data"] == told["data"]
    same(load_vector(tmp_path / "v.safetensors"), one)


def line(number: int, **changed: object) -> dict:
    """A good pair, or what it becomes."""
    said = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": f"{number}"}]
    other = [*said[:1], {"role": "assistant", "content": f"not {number}"}]
    return {"id": str(number), "positive": {"messages": said}, "negative": {"messages": other}} | changed


SAME = line(3)["positive"]
BAD_LINES = [
    (line(3, positve={}), r":4: .*positve"),
    (line(3, positive={"messages": [{"role": "robot", "content": "x"}]}), r":4: .*robot"),
    (line(3, positive={"messages": []}), r":4: contrast pair '3' has a side without messages"),
    (line(3, negative=SAME), r":4: contrast pair '3' has the same text on both sides"),
    (line(3, weight=0.0), r":4: contrast pair '3' has the weight 0.0"),
    (line(1), r":4: contrast pair id '1' stands on 2 already"),
]


@pytest.mark.parametrize(("bad", "text"), BAD_LINES)
def test_a_bad_pair_is_named_by_its_line(here: Here, tmp_path: Path, bad: dict, text: str) -> None:
    """Exit 2, before any model is asked, and no file."""
    data = tmp_path / "pairs.jsonl"
    data.write_text("\n".join(json.dumps(bad if n == 3 else line(n)) for n in range(10)) + "\n\n")
    refused(here, tmp_path, text, data)


def refused(here: Here, tmp_path: Path, text: str, data: Path, *options: object) -> None:
    import re

    done = here("vector", "fit", data, *TINY, "-o", tmp_path / "v.safetensors", *options)
    assert done.exit_code == 2, done.output
    assert re.search(text, done.stderr), done.stderr
    assert not (tmp_path / "v.safetensors").exists()
    assert done.stdout == ""


def test_other_data_is_refused(here: Here, tmp_path: Path) -> None:
    """No JSON, too few, no letter, another format, no text, no file."""
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(json.dumps(line(n)) for n in range(5)))
    refused(here, tmp_path, "at least 8 contrast pairs; got 5", few)
    (tmp_path / "no.jsonl").write_text("{\n")
    refused(here, tmp_path, r"no\.jsonl:1", tmp_path / "no.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    refused(here, tmp_path, "UTF-8", tmp_path / "bytes.jsonl")
    refused(here, tmp_path, "none.jsonl", tmp_path / "none.jsonl")
    wordy = caa(tmp_path / "yes.json", answer_matching_behavior=" Yes")
    refused(here, tmp_path, r"yes\.json:3: expected an answer letter .*' Yes'", wordy, "--format", "caa")
    refused(here, tmp_path, "question", few, "--format", "caa")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--method", "mean"), r"expected one of diff_mean, .*pca\[:centre\]"),
        (("--method", "pca:center"), "center"),
        (("--method", "lda:shrink=much"), "shrink"),
        (("--read", "answr"), "did you mean 'answer'"),
        (("--read", "phase=thought"), "thought"),
        (("--layers", "4,9"), r"expected 0\.\.5; got 9"),
        (("--layers", "last"), "block indexes"),
        (("--site", "resid"), "resid_pre"),
        (("-o", "v.gguf"), r"\.safetensors"),
        (("-m", "openai:gpt-5"), "local model"),
    ],
)
def test_options_that_are_not_understood(
    here: Here, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    """Exit 2 with what could stand there."""
    refused(here, tmp_path, text, WARM, *options)


def test_a_latent_is_a_source_too(here: Here, fitted: Callable[..., dict], tmp_path: Path) -> None:
    """From SAELens' folder or from our file of it: the decoder row, which the model can be steered with."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 256, generator=generator)
    weights = {"W_enc": rows.T.contiguous(), "W_dec": rows, "b_dec": torch.zeros(256)}
    folder = sae(tmp_path / "sae", {"d_in": 256}, **weights)
    told = fitted("--method", "latent:3", data=folder)
    vector = load_vector(tmp_path / "v.safetensors")
    assert np.allclose(vector.directions[2] * told["layers"]["2"]["fitted_norm"], rows[3], atol=1e-5)
    whole = tmp_path / "sae.safetensors"
    assert here("vector", "convert", folder, whole, *TINY).exit_code == 0
    again = fitted("--method", "latent:3", data=whole)
    assert again["layers"] == told["layers"]
    assert again["method"]["params"]["sae"] == load_vector(whole).digest
    assert latent(load_vector(whole), 3, name="v").digest == again["digest"]
    (tmp_path / "v.safetensors").unlink()
    refused(here, tmp_path, r"latents 0\.\.4; got 5", folder, "--method", "latent:5")
    refused(here, tmp_path, "latent:INDEX", folder, "--method", "latent:x")
    refused(here, tmp_path, "own site and layer", folder, "--method", "latent:1", "--layers", "3")
    alone = tmp_path / "alone.safetensors"
    assert here("vector", "convert", folder, alone).exit_code == 0
    refused(here, tmp_path, "convert it from its folder with -m", alone, "--method", "latent:1")
