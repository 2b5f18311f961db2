"""Cross-agent probes: what a reader holds of an author's messages, each counted once, by conversation."""

from __future__ import annotations

import json

import pytest
import torch

from symposia.core.errors import InvalidInput
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.labels import labels_of, load_labels
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import Draft, Source
from symposia.interp.groups import Groups, side_of
from symposia.interp.probes import PLAIN, matrix, narrowed, probe, transfer
from tests.interp.acts import KINDS, store_of
from tests.interp.test_groups import SHAPE, TRUTH, D

LIES = (ActivationQuery(label="lie"), ActivationQuery(label="truth"))


def filled(store, told, conversations=24, *, seed=0, size=2.5):
    """Bob says messages 0, 2 and 4, lies by a coin; alice answers at 1, 3 and 5 and reads all that stands before.

    In alice's forwards bob's lies lie along `told`; in bob's own they do not show, and nothing shows of alice's words.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = []
    for c in range(conversations):
        lies = [bool(torch.rand(1, generator=generator) < 0.5) for _ in range(3)]
        labels += (
            {"conversation": f"{seed}-{c}", "turn": 2 * t, "label": "lie" if lie else "truth"}
            for t, lie in enumerate(lies)
        )
        for turn in range(6):
            reader = "bob" if turn % 2 == 0 else "alice"
            spans, rows = [], []
            for m in range(turn + 1):
                author = "bob" if m % 2 == 0 else "alice"
                spans.append(
                    Span(
                        start=3 * m,
                        stop=3 * m + 3,
                        role="assistant" if author == reader else "user",
                        phase="answer" if author == reader else "prompt",
                        author=author,
                        turn=m,
                        generated=m == turn,
                    )
                )
                shows = reader == "alice" and author == "bob" and lies[m // 2]
                later = (
                    9.0 if turn > m + 1 else 1.0
                )  # a message read again is another row, and must not count
                rows.append(torch.randn(3, D, generator=generator) + (size * later if shows else 0.0) * told)
            source = Source(
                about=About(conversation=f"{seed}-{c}", turn=turn),
                reader=reader,
                model=SHAPE.digest,
                request=f"{seed} {c} {turn}",
                token_ids=tuple(range(3 * turn + 3)),
                spans=tuple(spans),
                steered=False,
                shape=SHAPE,
            )
            whole = torch.cat(rows)
            store.put(source, [Draft(rows=whole, site="resid_post", layer=2, runs=((0, len(whole)),))])
    return labels


@pytest.fixture(params=KINDS)
def stored(request, tmp_path):
    with store_of(request.param, tmp_path / "acts") as store:
        labels = filled(store, TRUTH)
        (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
        yield store, Groups(*LIES, labels=load_labels(tmp_path / "labels.jsonl"))


def test_alice_holds_what_bob_does_not_show(stored):
    """Alice reading bob is far above chance; bob reading himself is not; nobody's words of alice have labels."""
    store, groups = stored
    cells = {
        (cell.reader, cell.author): cell
        for cell in matrix(groups, ["alice", "bob"], ["alice", "bob"], store=store)
    }
    assert cells["alice", "bob"].auroc > 0.95
    assert cells["alice", "bob"].above_chance
    assert cells["bob", "bob"].auroc < 0.75
    assert not cells["bob", "bob"].above_chance
    for reader in ("alice", "bob"):
        assert cells[reader, "alice"].auroc is None
        assert "alice" in cells[reader, "alice"].why_not


def test_a_message_counts_once_where_it_was_first_read(stored):
    """Every message of bob's, in the forward right after it, though later ones hold it too."""
    store, groups = stored
    there = narrowed(groups, "alice", "bob")
    sides = [side_of(query, there, store, PLAIN, 2) for query in (there.positive, there.negative)]
    notes = [note for side in sides for note in side.notes]
    assert len(notes) == 24 * 3
    assert {note.turn - note.message for note in notes} == {1}
    assert {note.label for note in sides[0].notes} == {"lie"}
    gap = sides[0].rows_ND.mean(dim=0) - sides[1].rows_ND.mean(dim=0)
    assert float(gap.norm()) < 3.5  # rows of later forwards are nine times as far along


def test_the_drop_on_other_conversations_is_shown(stored, tmp_path):
    """Lies that lie elsewhere are not found by the probe from here; alike ones are."""
    store, groups = stored
    fitted = probe(groups, store=store, reader="alice", author="bob")
    assert float(fitted.vector.directions[2].double() @ TRUTH.double()) > 0.9
    other = torch.nn.functional.normalize(torch.randn(D, generator=torch.Generator().manual_seed(5)), dim=0)
    other = torch.nn.functional.normalize(other - (other @ TRUTH) * TRUTH, dim=0)
    for told, expected in ((TRUTH, True), (other, False)):
        with store_of("memory", None) as away:
            labels = filled(away, told, seed=7)
            path = tmp_path / "away.jsonl"
            path.write_text("\n".join(map(json.dumps, labels)))
            [found] = transfer(
                fitted.vector,
                Groups(*LIES, labels=load_labels(path)),
                store=away,
                reader="alice",
                author="bob",
            )
        assert (found.away > 0.9) is expected
        assert found.drop == found.home - found.away
        assert sum(found.samples) == 72


def test_messages_are_no_pairs(stored):
    """Said before anything is read."""
    store, groups = stored
    with pytest.raises(InvalidInput, match="no pairs"):
        probe(Groups(*LIES, pair_by="turn", labels=groups.labels), store=store)


def test_labels_at_hand_are_the_files(tmp_path):
    """By conversation and turn, whatever the branch; the same labels have the same name."""
    path = tmp_path / "labels.jsonl"
    path.write_text('{"conversation": "c", "turn": 3, "label": "lie"}')
    made, about = labels_of({("c", 3): "lie"}), About(conversation="c", turn=3, branch="1")
    assert made.of(about) == load_labels(path).of(about) == "lie"
    assert made.at(about, 2) is None
    assert made.digest == labels_of({("c", 3): "lie"}).digest != labels_of({("c", 3): "truth"}).digest
