"""`symposia lens drift` on a real conversation whose second half is steered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import symposia
from symposia.core.drift import FirstTurns
from symposia.interp.drift import meter
from tests.cli.process import ROOT

Here = Callable[..., Result]


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten turns read out on a direction, the last four of them pushed along it; and the direction's file."""
    folder = tmp_path_factory.mktemp("drift")
    warmth = symposia.fit(str(ROOT / "examples" / "warm.jsonl"), "symposia:tiny", name="warmth")
    warmth.save(folder / "warmth.safetensors")
    read = meter([warmth.vector], warmth.layer, reference=FirstTurns(3))
    talk = symposia.Conversation.from_models(
        ["symposia:tiny"] * 2, names=["ann", "bob"], sampling=symposia.Sampling(max_tokens=24)
    )
    with talk.capture(*read.captures):
        talk.run(6, prompt="What do you think of the rain?")
        for _ in range(4):
            talk.step(interventions=[warmth.add(2.0)])
    talk.save(folder / "conversation.json")
    return folder


def test_a_push_halfway_is_seen(here: Here, steered: Path) -> None:
    """Exit 1; both speakers cross at their first steered turn and not before."""
    done = here("lens", "drift", steered, "--json")
    assert done.exit_code == 1, done.stderr
    found = json.loads(done.stdout)
    assert len(found["turns"]) == 10
    assert sorted(one["turn"] for one in found["crossed"]) == [7, 8]
    shown = here("lens", "drift", steered / "conversation.json")
    assert "2 crossed 3 standard deviations" in shown.stdout
    assert here("lens", "drift", steered, "--limit", "1e6").exit_code == 0


def test_turns_against_what_a_vector_was_fitted_on(here: Here, steered: Path) -> None:
    """With the file there is no beginning to wait for; a file that read nothing is refused."""
    found = json.loads(
        here("lens", "drift", steered, "--vector", steered / "warmth.safetensors", "--json").stdout
    )
    assert all(one["z"] is not None for one in found["turns"])
    other = symposia.fit(str(ROOT / "examples" / "warm.jsonl"), "symposia:tiny", name="other")
    other.save(steered / "other.safetensors")
    refused = here("lens", "drift", steered, "--vector", steered / "other.safetensors")
    assert refused.exit_code == 2
    assert "none of" in refused.stderr


def test_a_conversation_that_was_not_read_is_refused(here: Here, tmp_path: Path) -> None:
    """Exit 2, and the way to read one."""
    assert here("run", ROOT / "examples" / "moderated.yaml", "--out", tmp_path / "m", "-q").exit_code == 0
    refused = here("lens", "drift", tmp_path / "m")
    assert refused.exit_code == 2
    assert "conversation.capture" in refused.stderr
