"""Seeds: documented, stable, one random stream a generation."""

from __future__ import annotations

import hashlib
import json
import random

from symposia.backends import Scripted
from symposia.core.profile import Sampling
from symposia.talk.protocols import RoundRobin
from symposia.talk.seeds import turn_seed, with_root
from symposia.talk.stop import Turns
from tests.company import party, person, talk

RING = RoundRobin(speakers=("ann", "bob"))


def test_the_formula_is_the_documented_one() -> None:
    """The first 8 bytes of sha256 of the compact JSON array, top bit cleared; a golden value pins it."""
    raw = json.dumps([7, "c0ffee", 3, "ann"], separators=(",", ":")).encode()
    whole = int.from_bytes(hashlib.sha256(raw).digest()[:8], "big")
    assert turn_seed((7, "c0ffee"), 3, "ann") == whole % 2**63
    assert turn_seed((7, "c0ffee"), 3, "ann") == GOLDEN
    assert turn_seed((7, "c0ffee"), 3, "ann", call=0) == GOLDEN
    assert turn_seed((7, "c0ffee"), 3, "ann", call=1) != GOLDEN


GOLDEN = 1631297713666109899


def test_every_turn_speaker_and_branch_has_its_own_stream() -> None:
    """No two generations of a conversation and its branch share a seed."""
    seeds = {
        turn_seed(key, turn, name, call=call)
        for key in ((7, "c"), (7, "c", "1"), (8, "c"))
        for turn in range(4)
        for name in ("ann", "bob")
        for call in range(3)
    }
    assert len(seeds) == 3 * 4 * 2 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_requests_carry_the_formulas_seed() -> None:
    """The turn in the formula is as_of; a profile's own seed replaces the root and becomes a demand."""
    backend = Scripted(lambda _: "x")
    people = (*party("ann"), person("bob", sampling=Sampling(seed=99)))
    outcome = talk(RING, people, backend, until=Turns(4), seed_key=(7, "c"))
    wanted = [turn_seed((root, "c"), i, name) for i, (root, name) in enumerate([(7, "ann"), (99, "bob")] * 2)]
    assert [r.seed for r in backend.requests] == wanted == [m.provenance.seed for m in outcome.transcript]
    assert [r.seed_required for r in backend.requests] == [False, True, False, True]
    assert with_root((7, "c"), None) == (7, "c")


def test_the_global_generator_is_neither_read_nor_set() -> None:
    """A conversation leaves `random` in the state it found."""
    random.seed(1)
    before = random.getstate()
    talk(RING, party("ann", "bob"), until=Turns(4))
    assert random.getstate() == before
