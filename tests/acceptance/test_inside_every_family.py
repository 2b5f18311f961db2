"""Twins, transplants and mutes of real conversations on every family, under its own template."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("torch")

from symposia.core.intervention import Add
from symposia.engine.families import FAMILIES
from symposia.interp.patch import Model, mute, transplant
from symposia.interp.twin import twin
from tests.acceptance.test_company_of_families import company, engine
from tests.reference.steering import random_vector


@pytest.mark.parametrize("name", ["tiny", *FAMILIES])
def test_a_steered_turn_has_a_twin(name: str) -> None:
    """Its KL is known at every token, markup and all, whatever the template would show again."""
    inside = engine(name)
    vector = random_vector(inside, 1, layers=range(inside.shape.layers))
    push = Add(vector=vector.digest, layers=(1,), scale=4.0, unit="relative", name="push")
    talk = company(name, 2)
    talk.run(2, prompt="Is a hot dog a sandwich?")
    talk.step("alice", interventions=[push])
    done = talk.completion(-1)
    found = asyncio.run(twin(talk.request(-1), done, "push", model=Model(inside, inside.store, inside)))
    assert [t.token_id for t in found.readings.tokens] == list(done.token_ids)
    assert min(found.readings.array("kl")) >= 0.0
    assert found.readings.array("kl").mean() > 1e-3
    assert found.diverges is not None


@pytest.mark.parametrize("name", ["tiny", *FAMILIES])
def test_a_reader_can_be_given_other_states(name: str) -> None:
    """Muted, or of its own branch again: every receipt says applied; from itself the words stay."""
    inside = engine(name)
    talk, model = company(name, 3), Model(inside, inside.store, inside)
    talk.run(3, prompt="Is a hot dog a sandwich?")
    asked = talk.next_request("alice")
    same = asyncio.run(transplant(asked, asked, model=model, author="bob"))
    plain, again = (
        talk.branch(fresh=False).step("alice"),
        talk.branch(fresh=False).step("alice", interventions=same),
    )
    quiet = talk.branch(fresh=False).step("alice", interventions=asyncio.run(mute(asked, "bob", model=model)))
    assert plain is not None
    assert again is not None
    assert quiet is not None
    assert again.text == plain.text
    for message in (again, quiet):
        assert {receipt.status for receipt in message.provenance.receipts} == {"applied"}
