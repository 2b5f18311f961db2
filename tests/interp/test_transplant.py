"""Transplants between branches, speakers and readers: laws on sampled text, in float64."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.interp.align import AlignmentError
from symposia.interp.patch import Model, mute, transplant
from tests.reference.asking import GREEDY, NO_CONTROL, answer, engine_of, line, request
from tests.reference.families import BARS, relative_l2

CLEAN = (
    line("user", "the red fox ran over seven hills", "bob", 0),
    line("assistant", "and then", "alice", 1),
)
CORRUPT = (
    line("user", "the fox red ran over seven hills", "bob", 0),
    line("assistant", "and then", "alice", 1),
)
NEXT = (line("user", "tea or rain", "carla", 2),)
HOT = Sampling(temperature=1.0, max_tokens=16, logit_bias=NO_CONTROL)


def asked(engine, lines, **fields):
    return request(engine, (*lines, *NEXT), turn=3, sampling=HOT, seed=5, **fields)


def given(engine, clean, corrupt, **fields):
    return asyncio.run(transplant(clean, corrupt, model=Model(engine, engine.store, engine), **fields))


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3_moe"])
def test_a_whole_prompt_from_the_other_branch_is_that_branch(family):
    """All layers at all positions: the very words the other branch would have said, and its logits."""
    with engine_of(family) as engine:
        clean, corrupt = asked(engine, CLEAN), asked(engine, CORRUPT)
        edits = given(engine, clean, corrupt, align="index")
        logits = (Capture(site="logits", where=everything()),)
        one, other, moved = (
            answer(engine, msgspec.structs.replace(ask, captures=logits, interventions=edits_of))
            for ask, edits_of in ((clean, ()), (corrupt, ()), (corrupt, edits))
        )
        assert moved.token_ids == one.token_ids
        assert moved.token_ids != other.token_ids
        rows = [engine.store.at(done.activations[0]) for done in (moved, one, other)]
        assert relative_l2(rows[0], rows[1]) <= BARS["float64"]
        assert relative_l2(rows[0], rows[2]) > 1e-3
        assert {receipt.status for receipt in moved.receipts} == {"applied"}
        assert len(edits) == 4


def test_from_itself_nothing_changes():
    """The same branch, the same words; only what one author said is written."""
    with engine_of("llama") as engine:
        ask = asked(engine, CLEAN)
        edits = given(engine, ask, ask, author="bob")
        done = answer(engine, msgspec.structs.replace(ask, interventions=edits))
        assert done.token_ids == answer(engine, ask).token_ids
        [said] = [s for s in done.spans if s.author == "bob" and s.phase == "prompt"]
        assert {receipt.runs for receipt in done.receipts} == {((said.start, said.stop),)}
        assert all(layer.delta_max < 1e-9 for receipt in done.receipts for layer in receipt.layers)


def test_muting_a_speaker_by_the_branch_where_it_said_something_else():
    """What one author said is replaced; the reader's own words, and the others', are computed as they were."""
    with engine_of("qwen3") as engine:
        loud, quiet = asked(engine, CORRUPT), asked(engine, CLEAN)
        edits = given(engine, quiet, loud, author="bob", align="index")
        read = (Capture(layers=(1,), where=everything()),)
        done = answer(engine, msgspec.structs.replace(loud, interventions=edits, captures=read))
        source = answer(engine, msgspec.structs.replace(quiet, captures=read))
        muted, silent = (engine.store.at(d.activations[0]) for d in (done, source))
        [said] = [s for s in done.spans if s.author == "bob" and s.phase == "prompt"]
        inside = slice(said.start, said.stop)
        assert relative_l2(muted[inside], silent[inside]) <= BARS["float64"]
        # whoever speaks after bob has now heard the other words: the states are those of the quiet branch
        after = slice(said.stop, len(done.prompt_token_ids))
        assert relative_l2(muted[after], silent[after]) <= BARS["float64"]


def test_another_speakers_words_under_a_name():
    """A pair of names: carla's states where bob spoke, if as many tokens; by order of turns otherwise."""
    with engine_of("llama") as engine:
        mine = asked(engine, (line("user", "the red fox", "bob", 0), line("assistant", "yes", "alice", 1)))
        hers = asked(engine, (line("user", "and red fox", "dan", 0), line("assistant", "yes", "alice", 1)))
        edits = given(
            engine, hers, mine, author=("dan", "bob"), align="index", layers=(1,), site="resid_post"
        )
        done = answer(engine, msgspec.structs.replace(mine, interventions=edits, sampling=GREEDY))
        assert [r.status for r in done.receipts] == ["applied"]
        assert edits[0].name == "transplant"
        common = given(engine, hers, mine, author=("dan", "bob"), layers=(1,))
        assert len(common[0].pairs) == len(edits[0].pairs) - 1
        free = engine.store.free
        with pytest.raises(AlignmentError, match="by alice, bob, carla"):
            given(engine, hers, mine, author="dan")
        assert engine.store.free == free


def test_a_listener_holds_what_the_speaker_held():
    """Two readers of one conversation: carla's states of alice's words are those that alice had of her own."""
    lines = {
        "alice": (line("user", "the red fox", "carla", 0), line("assistant", "well and then", "alice", 1)),
        "carla": (line("assistant", "the red fox", "carla", 0), line("user", "well and then", "alice", 1)),
    }
    with engine_of("llama") as engine:
        own = request(engine, (*lines["alice"], *NEXT), speaker="alice", turn=3)
        heard = request(engine, lines["carla"], speaker="carla", turn=2)
        edits = given(engine, own, heard, author="alice", layers=(2,), site="resid_post")
        read = (Capture(layers=(2,), where=everything()),)
        done = answer(engine, msgspec.structs.replace(heard, interventions=edits, captures=read))
        source = answer(engine, msgspec.structs.replace(own, captures=read))
        rows, theirs = (engine.store.at(d.activations[0]) for d in (done, source))
        pairs = edits[0].pairs
        assert len(pairs) == len(
            [s for s in done.spans if s.author == "alice" for _ in range(len(s)) if not s.generated]
        )
        for start, to in pairs:
            assert relative_l2(rows[to], theirs[start]) <= BARS["float64"]


def test_rotated_rows_stay_where_they_are():
    """Queries and keys hold their position; elsewhere they would be wrong, so they are refused there."""
    with engine_of("llama") as engine:
        mine = asked(
            engine, (line("user", "well the red fox", "bob", 0), line("assistant", "yes", "alice", 1))
        )
        hers = asked(engine, (line("user", "the red fox", "bob", 0), line("assistant", "yes", "alice", 1)))
        with pytest.raises(AlignmentError, match="turned by their position"):
            given(engine, hers, mine, site="k", author="bob")
        assert given(engine, hers, mine, site="v", author="bob")


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_muted_author_has_said_nothing(family):
    """Whatever it said, of as many tokens, the reader says the same; its words stay in the transcript's tokens."""
    with engine_of(family) as engine:
        first, other = asked(engine, CLEAN), asked(engine, CORRUPT)
        model = Model(engine, engine.store, engine)
        heard = [answer(engine, ask).token_ids for ask in (first, other)]
        assert heard[0] != heard[1]
        muted = [
            answer(
                engine,
                msgspec.structs.replace(ask, interventions=asyncio.run(mute(ask, "bob", model=model))),
            )
            for ask in (first, other)
        ]
        assert muted[0].token_ids == muted[1].token_ids
        assert muted[0].token_ids not in heard
        assert muted[0].prompt_token_ids == answer(engine, first).prompt_token_ids
        assert {r.name for r in muted[0].receipts} == {"mute bob"}
        assert {r.status for r in muted[0].receipts} == {"applied"}
        with pytest.raises(InvalidInput, match="is the reader"):
            asyncio.run(mute(first, "alice", model=model))
        with pytest.raises(AlignmentError, match="said by 'dan'"):
            asyncio.run(mute(first, "dan", model=model))
        with pytest.raises(InvalidInput, match="at least one token"):
            asyncio.run(mute(first, "bob", model=model, filler=""))
