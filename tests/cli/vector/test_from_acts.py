"""`symposia vector fit --from-acts`: a direction from a folder of activations, and no model is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.cli.questions import question
from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, Where, answer, everything, said_by
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.vector import load_vector
from tests.interp.acts import store_of
from tests.interp.test_groups import TRUTH, filled

Here = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of made-up conversations with labels beside it."""
    with store_of("disk", tmp_path / "acts") as store:
        labels, _ = filled(store)
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    return tmp_path


def test_labels_make_two_sides(folder: Path, here: Here) -> None:
    """The file is a vector of the model that the store names; its diagnosis is printed."""
    out = folder / "warm.safetensors"
    sides = ("--positive", "label=warm,author=alice", "--negative", "label=cold,author=alice")
    where = ("--from-acts", folder / "acts", "--labels", folder / "labels.jsonl")
    done = here("vector", "fit", *where, *sides, "--layers", "2", "-o", out, "--json")
    assert done.exit_code == 0, done.output
    vector = load_vector(out)
    assert vector.layers == (2,)
    assert float(vector.directions[2] @ TRUTH) > 0.9
    assert vector.header.model.name == "loaded:m"
    assert vector.header.data["source"] == "groups"
    assert json.loads(done.stdout)["suggested"] == 2
    pairs = ("--positive", "author=alice", "--negative", "author=bob", "--pair-by", "turn", "--method", "caa")
    done = here("vector", "fit", "--from-acts", folder / "acts", *pairs, "-o", out)
    assert done.exit_code == 0, done.output
    assert load_vector(out).header.method["type"] == "caa"


def test_what_is_missing_is_said(folder: Path, here: Here) -> None:
    """Exit 2: no sides, a model beside a store, nothing at all, labels that were not joined."""
    out, acts = ("-o", folder / "v.safetensors"), ("--from-acts", folder / "acts")
    sides = ("--positive", "label=warm", "--negative", "label=cold")
    for arguments, said in (
        (acts, "two sides"),
        ((*acts, *sides, "-m", "symposia:tiny"), "leave DATA, -m"),
        ((), "expected DATA and -m MODEL"),
        ((*acts, *sides), "join labels first"),
        ((*acts, "--positive", "lable=warm", "--negative", "author=bob"), "lable=warm"),
    ):
        done = here("vector", "fit", *arguments, *out)
        assert done.exit_code == 2, (arguments, done.output)
        assert said in done.stderr


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ActivationQuery()),
        ("reader=alice, label=warm", ActivationQuery(reader="alice", label="warm")),
        ("steered,author=bob", ActivationQuery(steered=True, where=said_by("bob"))),
        ("clean,everything - answer", ActivationQuery(steered=False, where=everything() - answer())),
        (
            "conversation=c,author=bob,phase=answer",
            ActivationQuery(
                conversation="c", where=Positions(any=(Where(authors=("bob",), phases=("answer",)),))
            ),
        ),
    ],
)
def test_a_question_is_a_query(text: str, meant: ActivationQuery) -> None:
    """Forward first, tokens after."""
    assert question(text) == meant


def test_a_question_that_means_nothing_is_refused() -> None:
    """The part is named."""
    for text in ("reader=", "reader=a,reader=b", "steered=yes", "autor=bob"):
        with pytest.raises(InvalidInput, match=text.rpartition(",")[2]):
            question(text)
