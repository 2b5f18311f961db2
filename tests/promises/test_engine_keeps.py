"""An engine with a store on disk: what it delivers is kept, it never waits for the disk, and a full disk is data."""

from __future__ import annotations

import asyncio
import resource
import sqlite3

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.intervention import Add, Replace
from symposia.core.positions import everything
from symposia.core.request import About
from symposia.engine import Engine, EngineOptions
from symposia.interp.acts.options import StoreOptions
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import ActivationWriteFailed
from symposia.interp.acts.shard import HEADER
from symposia.interp.acts.store import ActivationStore
from symposia.interp.acts.verify import verify
from tests.interp.acts import draft, source
from tests.reference.asking import answer, engine_of, pieces, request
from tests.reference.families import build, tokenizer
from tests.reference.steering import random_vector

CAPTURE = Capture(layers=(1, 2), where=everything())


def engine_on(store, **options):
    chosen = EngineOptions(kv_bytes=1 << 24, **options)
    return Engine.adopt(build("llama"), tokenizer(), "llama", store=store, options=chosen)


def test_disk_holds_what_memory_holds(tmp_path):
    """The same requests, one engine each: equal rows, equal answers; the words of every token are there."""
    asks = [{"about": About(conversation=str(i)), "captures": (CAPTURE,), "seed": i} for i in range(3)]
    with ActivationStore.open(tmp_path / "acts", write=True) as disk, engine_of("llama") as plain:
        with engine_on(disk) as engine:
            kept = [answer(engine, request(engine, **ask)) for ask in asks]
        held = [answer(plain, request(plain, **ask)) for ask in asks]
        for a, b in zip(kept, held, strict=True):
            assert [r.digest for r in a.activations] == [r.digest for r in b.activations]
        mine, theirs = disk.query(ActivationQuery(layer=2)), plain.store.query(ActivationQuery(layer=2))
        assert mine.tensors().equal(theirs.tensors())
        assert [t.text for t in mine.tokens()] == [t.text for t in theirs.tokens()]
        done = kept[0]
        words = [t.text for t in disk.of(done.activations[:1]).tokens() if t.span.generated]
        assert "".join(words) == done.text
        source = mine.records[0].source
        assert source.shape == engine.shape
        assert (source.request, source.reader) == (request(engine, **asks[0]).digest, "alice")
    assert verify(tmp_path / "acts").faults == ()


def test_steered_says_whether_something_was_written(tmp_path):
    """Not whether it was asked for; what was asked for stands beside it."""
    with ActivationStore.open(tmp_path / "acts", write=True) as disk, engine_on(disk) as engine:
        vector = random_vector(engine, 1)
        add = Add(vector=vector.digest, layers=(1,))
        with_it = answer(engine, request(engine, captures=(CAPTURE,), interventions=(add,)))
        answer(engine, request(engine, captures=(CAPTURE,)))
        assert disk.query(ActivationQuery(steered=True)).records[0].ref == with_it.activations[0]
        assert vector.digest in disk.query(ActivationQuery(steered=True)).records[0].source.interventions
        assert len(disk.query(ActivationQuery(steered=False)).records) == 2


def test_a_completion_comes_after_its_commit_and_nobody_else_waits(tmp_path):
    """While the index is held, a capturing request waits; others, and the engine, do not. `lazy` does not wait."""

    async def scene(engine, index, *, waits):
        index.execute("BEGIN IMMEDIATE")
        capturing = asyncio.ensure_future(pieces(engine, request(engine, captures=(CAPTURE,))))
        for _ in range(3):
            assert (await pieces(engine, request(engine)))[-1].text
        if waits:
            assert not capturing.done()
        else:
            assert (await capturing)[-1].activations
        index.execute("ROLLBACK")
        return (await capturing)[-1]

    for durability in ("turn", "lazy"):
        folder = tmp_path / durability
        options = StoreOptions(durability=durability)
        with ActivationStore.open(folder, write=True, options=options) as disk, engine_on(disk) as engine:
            index = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
            done = asyncio.run(scene(engine, index, waits=durability == "turn"))
            index.close()
            assert disk.at(done.activations[0]).shape[0] == len(done.prompt_token_ids) + len(done.token_ids)


def test_a_full_disk_fails_the_request_and_no_other(tmp_path):
    """As data, with the way out; what was kept is read, plain requests go on, and so does capturing with room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ActivationStore.open(tmp_path / "acts", write=True) as disk, engine_on(disk) as engine:
        first = answer(engine, request(engine, captures=(CAPTURE,)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER + 20_000, hard))
        try:
            with pytest.raises(ActivationWriteFailed, match="make room"):
                answer(engine, request(engine, captures=(CAPTURE,)))
            assert answer(engine, request(engine)).text == first.text
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        again = answer(engine, request(engine, captures=(CAPTURE,)))
        assert disk.at(again.activations[0]).equal(disk.at(first.activations[0]))
    assert verify(tmp_path / "acts").faults == ()


def test_more_than_the_folder_may_hold_is_refused_at_admission(tmp_path):
    """With the estimate, before the first token; smaller wishes still work, until nothing is left."""
    options = StoreOptions(most_bytes=30_000)
    with (
        ActivationStore.open(tmp_path / "acts", write=True, options=options) as disk,
        engine_on(disk) as engine,
    ):
        assert disk.free == 30_000
        with pytest.raises(UnsupportedRequest, match=r"captures of up to [\d,]+ bytes.*30,000 free"):
            answer(engine, request(engine, captures=(Capture(layers=(0, 1, 2, 3), where=everything()),)))
        answer(engine, request(engine, captures=(Capture(layers=(1,)),)))
        assert disk.free == 30_000 - 16 * 64 * 8
        with pytest.raises(ActivationWriteFailed, match="30,008 bytes to store; 21,808 free"):
            disk.put(source(), [draft(torch.zeros(3751, 1, dtype=torch.float64))])


def test_rows_on_disk_can_be_written_back(tmp_path):
    """`replace` takes captured rows from the folder: patched by itself, a run stays what it was."""
    with ActivationStore.open(tmp_path / "acts", write=True) as disk, engine_on(disk) as engine:
        done = answer(engine, request(engine, captures=(CAPTURE,)))
        [ref] = [ref for ref in done.activations if ref.layer == 1]
        prompt = len(done.prompt_token_ids)
        patch = Replace(source=ref, pairs=tuple((p, p) for p in range(1, prompt)))
        again = answer(engine, request(engine, captures=(CAPTURE,), interventions=(patch,)))
        assert again.text == done.text


def test_an_engine_wants_a_store_to_write_to(tmp_path):
    """Not one that was opened to read."""
    ActivationStore.open(tmp_path / "acts", write=True).close()
    with (
        ActivationStore.open(tmp_path / "acts") as reader,
        pytest.raises(InvalidInput, match="write=True"),
    ):
        engine_on(reader)
