"""The activation store, in memory and on disk: exactly one record, or an error that says what differs."""

from __future__ import annotations

import pytest
import torch
from msgspec.structs import replace

from symposia.core.errors import InvalidInput
from symposia.core.positions import answer, everything, said_by
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import (
    ActivationWriteFailed,
    AmbiguousActivation,
    NoActivation,
)
from symposia.interp.acts.store import ActivationStore
from tests.interp.acts import KINDS, SPANS, put, source, store_of


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    with store_of(request.param, tmp_path / "acts") as made:
        yield made


def test_put_fills_in_record_digest_shape_and_dtype(store):
    """Equal rows have equal digests; records are their own; what is read is what was put."""
    rows = torch.arange(6.0).reshape(3, 2)
    one, two = put(store, rows), put(store, rows.clone())
    other = put(store, rows + 1)
    assert (one.shape, one.dtype, one.runs) == ((3, 2), "float32", ((1, 4),))
    assert one.digest == two.digest != other.digest
    assert one.record != two.record
    assert store.at(one).equal(rows)
    assert store.at(other).equal(rows + 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_dtype_and_shape_comes_back(store, dtype):
    """Rows of heads too, and of odd sizes, so that the next record must be aligned."""
    first = torch.randn(3, 5, 3).to(dtype)
    second = torch.randn(1, 7).to(dtype)
    refs = [put(store, first), put(store, second, runs=((2, 3),)), put(store, first.double())]
    assert [store.at(ref).dtype for ref in refs] == [dtype, dtype, torch.float64]
    assert store.at(refs[0]).equal(first)
    assert store.at(refs[1]).equal(second)
    assert store.at(refs[2]).equal(first.double())


def test_rows_line_up_with_tokens(store):
    """Row i is of position i of the runs, with its token and span; a query cuts rows by whose tokens they are."""
    put(store, torch.tensor([[1.0], [2.0], [3.0]]), of=source(texts=("a", "b", " c", "d", "e")))
    acts = store.query(ActivationQuery(author="alice"))
    assert [(t.position, t.token_id, t.span.author, t.text) for t in acts.tokens()] == [
        (2, 7, "alice", " c"),
        (3, 8, "alice", "d"),
    ]
    assert acts.tensors().tolist() == [[2.0], [3.0]]
    assert len(acts) == 2


def test_where_selects_as_it_does_in_captures(store):
    """By the definition of selectors: clauses, differences, first and last tokens, words of given content."""
    five = torch.arange(5.0)[:, None]
    put(store, five, runs=((0, 5),), of=source(texts=("Good", " day", " to", " you", "<end>"), specials={9}))

    def rows(where):
        return store.query(ActivationQuery(where=where)).tensors().flatten().tolist()

    assert rows(everything()) == [0, 1, 2, 3, 4]
    assert rows(answer()) == [2, 3]  # the special is none of its words
    assert rows(everything() - said_by("bob")) == [0, 2, 3, 4]  # position 0 is no word of bob's
    assert rows(replaced(answer(), lead=True)) == [1, 2, 3]
    assert rows(replaced(everything(), text=("d da",))) == [0, 1]
    with pytest.raises(NoActivation):
        rows(replaced(everything(), text=("you",)))  # not given: it was made here


def replaced(positions, **fields):
    return replace(positions, any=tuple(replace(clause, **fields) for clause in positions.any))


def test_rows_made_again_can_be_left_out(store):
    """Own words of an earlier turn, read anew by this turn's forward, are told from what this forward made."""
    earlier = Span(start=0, stop=2, role="assistant", phase="answer", author="alice", origin="sampled")
    ref = put(store, torch.arange(5.0)[:, None], runs=((0, 5),), of=source(spans=(earlier, SPANS[1])))
    assert store.of([ref]).records[0].made is False
    assert store.query(ActivationQuery(made=True)).tensors().flatten().tolist() == [2, 3, 4]
    assert store.query(ActivationQuery(made=False)).tensors().flatten().tolist() == [0, 1]
    assert store.of([put(store)]).records[0].made is True


def test_one_record_or_an_error(store):
    """None, and several, are both said; several with what differs."""
    with pytest.raises(NoActivation):
        store.at(ActivationQuery(layer=1))
    with pytest.raises(NoActivation):
        store.query(ActivationQuery()).tensors()
    first = put(store, torch.ones(3, 1), 1)
    put(store, torch.ones(3, 1), 2, of=source(about=About(conversation="c", turn=2)))
    assert store.at(ActivationQuery(layer=2)).shape == (3, 1)
    with pytest.raises(AmbiguousActivation, match=r"2 records .* turn: 1, 2; layer: 1, 2"):
        store.at(ActivationQuery(conversation="c"))
    store.drop([first])
    store.flush()
    for gone in (lambda: store.at(first), lambda: store.of([first])):
        with pytest.raises(NoActivation, match="dropped"):
            gone()
    assert store.at(ActivationQuery(conversation="c")).shape == (3, 1)
    assert len(store) == 1


def test_a_generation_made_again_answers_once(store):
    """As after a crash between the store's commit and the journal's: the newest of both; both stay by reference."""
    old, new = put(store, torch.zeros(3, 1)), put(store, torch.ones(3, 1))
    assert store.query().tensors().sum() == 3
    assert store.at(old).sum() == 0
    assert store.at(new).sum() == 3
    put(store, torch.ones(3, 1), of=source(request="another draw"))
    assert len(store.query()) == 6
    nobody = source(about=About())
    put(store, of=nobody)
    put(store, of=nobody)
    assert len(store.query(ActivationQuery(conversation=""))) == 6


def test_dropping_leaves_nothing_in_the_index(tmp_path):
    """The forward goes with its last record."""
    import sqlite3

    with store_of("disk", tmp_path / "acts") as store:
        refs = [put(store) for _ in range(2)]
        store.drop(refs[:1])
    index = sqlite3.connect(tmp_path / "acts" / "index.sqlite")
    counts = [
        index.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("record", "turn", "span")
    ]
    index.close()
    assert counts == [1, 1, 2]


def test_labels_are_joined_on_conversation_and_turn(store, tmp_path):
    """Forwards without a label are left out; a label can be asked for; numbers are read as text."""
    for turn in (1, 2, 3):
        put(store, torch.full((3, 1), float(turn)), of=source(about=About(conversation="c", turn=turn)))
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"conversation": "c", "turn": 1, "label": "warm"}\n\n{"conversation": "c", "turn": 2, "label": 0}\n'
    )
    assert store.query().labelled(path).tensors().unique().tolist() == [1, 2]
    assert store.query(ActivationQuery(label="0")).labelled(path).tensors().unique().tolist() == [2]
    assert [row.label for row in store.query().labelled(path).pool("mean")[1]] == ["warm", "0"]
    with pytest.raises(InvalidInput, match="join labels first"):
        store.query(ActivationQuery(label="0")).tensors()
    path.write_text(path.read_text() + '{"conversation": "c", "turn": 1, "label": "cold"}\n')
    with pytest.raises(InvalidInput, match=r"labels.jsonl:4: .*'cold' here and 'warm' above"):
        store.query().labelled(path)


def test_a_store_that_is_read_takes_nothing(tmp_path):
    """It says how to open it; an engine does not take it at all."""
    store_of("disk", tmp_path / "acts").close()
    with ActivationStore.open(tmp_path / "acts") as reader:
        assert not reader.writable
        assert reader.free == 0
        with pytest.raises(ActivationWriteFailed, match="write=True"):
            put(reader)


def test_the_limit_holds_and_dropping_gives_room():
    """A write over the limit fails whole, and counts are exact."""
    store = ActivationStore.memory(limit=40)
    kept = put(store, torch.ones(8), runs=((0, 8),))
    with pytest.raises(ActivationWriteFailed, match="12 bytes to store; 8 of 40 free"):
        put(store, torch.ones(3))
    store.drop([kept, kept])
    assert store.free == 40
    assert len(store) == 0
