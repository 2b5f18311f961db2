"""From conversations on the bundled model to a direction, through a folder: no forward is run for the fit."""

from __future__ import annotations

import json

import pytest

from symposia import (
    ActivationQuery,
    Capture,
    Conversation,
    Groups,
    Participant,
    Profile,
    Sampling,
    Scenario,
    activations,
    fit,
    keeping,
)
from symposia.core.errors import InvalidInput
from symposia.core.positions import everything
from symposia.facade import engines_keeping
from symposia.interp.acts.record import NoActivation, StoreLocked
from symposia.interp.acts.store import ActivationStore
from symposia.interp.vector import Reading


def people():
    sampling = Sampling(temperature=0.8, max_tokens=16)
    told = {
        "alice": "You are alice. You are warm and kind.",
        "bob": "You are bob. You are cold and unfriendly.",
    }
    return [
        Participant(name=name, profile=Profile(model="symposia:tiny", system=system, sampling=sampling))
        for name, system in told.items()
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve short conversations, captured whole; labels by who spoke."""
    where = tmp_path_factory.mktemp("kept")
    backend = keeping(where / "acts")
    labels = []
    for seed in range(12):
        scenario = Scenario(participants=tuple(people()), seed=seed)
        talk = Conversation(scenario=scenario, backend=backend)
        with talk.capture(Capture(layers=(2, 4), where=everything())) as caught:
            talk.run(2, prompt="Do you like the sea?")
        assert len(activations(caught).records) == 4
        talk.save(where / f"{seed}.json")
        labels += [
            {"conversation": talk.id, "turn": i, "label": m.author}
            for i, m in enumerate(talk.transcript)
            if m.provenance
        ]
    (where / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    engines_keeping(where / "acts").store.close()
    return where


def test_a_loaded_conversation_finds_its_rows(folder):
    """By naming the folder; without, it is said what to do."""
    talk = Conversation.load(folder / "3.json")
    rows = activations(talk, store=folder / "acts")
    assert len(rows.records) == 4
    spoken = [t.text for t in rows.tokens() if t.span.generated and t.record == rows.records[0].ref.record]
    assert talk.transcript[1].text.strip() in "".join(spoken)
    with pytest.raises(NoActivation, match="name its folder"):
        activations(talk)


def test_labels_make_groups_and_groups_a_direction(folder):
    """Warm speakers against cold ones, over what each said; folds of conversations; a vector of this model."""
    from symposia.interp.acts.labels import load_labels

    groups = Groups(
        ActivationQuery(label="alice", phase="answer"),
        ActivationQuery(label="bob", phase="answer"),
        labels=load_labels(folder / "labels.jsonl"),
    )
    made = fit(groups, store=folder / "acts", name="warmth")
    assert made.vector.layers == (2, 4)
    assert made.vector.header.model.name == "symposia:tiny"
    notes = made.vector.notes(4)
    assert notes.auroc > notes.null_auroc
    assert notes.auroc > 0.9
    steered = Conversation(people()).set(participants={"bob": {"interventions": (made.add(1.0),)}})
    steered.run(2, prompt="Do you like the sea?")
    assert steered.transcript[2].provenance.receipts[0].status == "applied"


def test_what_one_holds_while_reading_the_other(folder):
    """`reader="bob", author="alice"`: rows of alice's words in bob's forwards, one a turn."""
    with ActivationStore.open(folder / "acts") as store:
        reading = store.query(ActivationQuery(reader="bob", author="alice", layer=4))
        rows, of = reading.pool("mean")
        assert rows.shape == (12, 256)
        assert {(each.reader, each.authors, each.turn) for each in of} == {("bob", ("alice",), 2)}
        assert len({each.conversation for each in of}) == 12


def test_a_fit_needs_a_model_or_a_store(folder, tmp_path):
    """Pairs one, groups the other; one writer a folder."""
    sides = Groups(ActivationQuery(author="alice"), ActivationQuery(author="bob"), pair_by="turn")
    with pytest.raises(NoActivation, match=r"layer 4: no stored rows answer query\(.*'none'"):
        fit(
            Groups(ActivationQuery(turn=1, conversation="none"), ActivationQuery()),
            store=folder / "acts",
            read=Reading(layers=(4,), where=everything()),
        )
    with pytest.raises(InvalidInput, match="name it, and no store"):
        fit("examples/warm.jsonl", store=folder / "acts")
    assert fit(sides, store=folder / "acts").diagnosis.pairs == 24
    engine = engines_keeping(tmp_path / "acts")
    with pytest.raises(StoreLocked, match="one writer"):
        ActivationStore.open(tmp_path / "acts", write=True)
    engine.store.close()
