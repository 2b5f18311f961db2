"""Promise 12: whatever ends the writer, at any byte, only what was not delivered is lost; the rest is what it was."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from symposia.core.request import About
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import (
    ActivationWriteFailed,
    NoActivation,
    StoreLocked,
    UnreadableActivations,
)
from symposia.interp.acts.recover import ActivationsCut
from symposia.interp.acts.shard import HEADER
from symposia.interp.acts.store import ActivationStore
from symposia.interp.acts.verify import verify
from tests.interp.acts import draft, put, source, store_of
from tests.promises.activations_writer import OPTIONS, rows_of

ROOT = Path(__file__).parents[2]


def reopened(folder, options=OPTIONS):
    """Taken up by a new writer, whatever it has to cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ActivationsCut)
        return ActivationStore.open(folder, write=True, options=options)


def sealed(folder):
    """Every tensor of every shard, by plain safetensors."""
    found = {}
    for path in sorted((folder / "shards").glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return found


def check(folder, delivered):
    """A new writer finds everything that was delivered; nothing is amiss; every shard is an ordinary file."""
    with reopened(folder) as store:
        for ref, rows in delivered:
            assert store.at(ref).equal(rows)
    told = verify(folder)
    assert told.faults == ()
    assert (told.open, told.unknown) == (0, 0)
    tensors = sealed(folder)
    for ref, rows in delivered:
        assert tensors["record." + ref.record.rpartition(":")[2]].equal(rows)
    assert sum(name.startswith("record.") for name in tensors) == told.records


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """25 times `kill -9` on a process that writes as fast as it can into one folder: all it delivered is there."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    script = ROOT / "tests" / "promises" / "activations_writer.py"
    folder, cut = tmp_path / "acts", 0
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        said: list[list[str]] = []
        for seed in range(25):
            process.stdin.write(f"{folder} {seed} {seed * 3}\n")
            process.stdin.flush()
            while (line := process.stdout.readline()) != "killed\n":
                assert line, "the writer's parent died"
                said.append(line.split())
            with reopened(folder) as store:
                cut += sum(each.bytes for each in store.recovered)
                now = {record.ref.record: record for record in store.query().records}
                for _, turn, layer, record, digest in said[-20:]:
                    assert now[record].ref.digest == digest
                    assert now[record].source.about.turn == int(turn)
                    assert now[record].ref.layer == int(layer)
        process.stdin.close()
    assert len(said) >= 25 * 24 / 2 * 3
    assert cut > 0, "no kill came in the middle of a write; the test shows nothing"
    with ActivationStore.open(folder) as store:
        now = {record.ref.record: record for record in store.query().records}
        for seed, turn, layer, record, _ in said:
            assert now[record].rows.equal(rows_of(int(seed), int(turn), int(layer)))
    check(folder, [])


@contextmanager
def photographed(folder, tmp_path):
    """`take(name)` copies a folder that is being written, as a machine that stops would leave it."""

    def take(name):
        copy = tmp_path / name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm", "writer.lock"))
        return copy

    yield take


def test_cut_at_every_byte_of_a_write(tmp_path):
    """Bytes without index: lost, and cut. A torn transaction: it was not delivered. Whole: it is there."""
    folder = tmp_path / "acts"
    with photographed(folder, tmp_path) as take, store_of("disk", folder, shard_tensors=100) as store:
        rows = [torch.randn(3, 3), torch.randn(3, 5)]
        first = [(put(store, rows[0]), rows[0])]
        before = take("before")
        second = (put(store, rows[1], 2, of=source(texts=tuple("abcde"))), rows[1])
        after = take("after")
    start = (before / "shards/00000.safetensors").stat().st_size
    stop = (after / "shards/00000.safetensors").stat().st_size
    assert (start, stop) == (HEADER + 36, HEADER + 40 + 60)
    whole = (after / "shards/00000.safetensors").read_bytes()
    for size in range(start, stop + 1):
        torn = shutil.copytree(before, tmp_path / f"bytes-{size}")
        (torn / "shards/00000.safetensors").write_bytes(whole[:size])
        check(torn, first)
    log = (after / "index.sqlite-wal").read_bytes()
    old = (before / "index.sqlite-wal").stat().st_size
    points = sorted({*range(old, len(log), 997), *(len(log) - n for n in (0, 1, 2, 23, 24, 25, 4096))})
    kept = []
    for size in points:
        torn = shutil.copytree(after, tmp_path / f"log-{size}")
        (torn / "index.sqlite-wal").write_bytes(log[:size])
        check(torn, first)
        with ActivationStore.open(torn) as store:
            kept.append(len(store))
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (1, 2)
    check(after, [*first, second])


def test_cut_while_a_shard_is_begun_or_sealed(tmp_path):
    """A file that no index knows goes; a header half written is written again; a lost state is set again."""
    folder = tmp_path / "acts"
    with photographed(folder, tmp_path) as take, store_of("disk", folder) as store:
        rows = torch.randn(3, 4)
        delivered = [(put(store, rows), rows)]
        opened = take("opened")
    header = (folder / "shards/00000.safetensors").read_bytes()[:HEADER]
    body = (opened / "shards/00000.safetensors").read_bytes()[HEADER:]
    for size in (0, 1, 8, 9, 100, HEADER - 1, HEADER):
        torn = shutil.copytree(opened, tmp_path / f"header-{size}")
        (torn / "shards/00000.safetensors").write_bytes(header[:size] + bytes(HEADER - size) + body)
        check(torn, delivered)
    for size in (0, 1, HEADER, HEADER + 100):
        torn = shutil.copytree(opened, tmp_path / f"begun-{size}")
        (torn / "shards/00001.safetensors").write_bytes(bytes(size))
        check(torn, delivered)
        assert not (torn / "shards/00001.safetensors").exists()


def test_a_tail_is_told(tmp_path):
    """How much was cut, where: in a warning, and on the store."""
    folder = tmp_path / "acts"
    with photographed(folder, tmp_path) as take, store_of("disk", folder) as store:
        put(store)
        torn = take("torn")
    with (torn / "shards/00000.safetensors").open("ab") as file:
        file.write(b"half a record")
    assert verify(torn).unknown == 13
    with pytest.warns(ActivationsCut, match="13 bytes of no record cut off 00000.safetensors"):
        store = ActivationStore.open(torn, write=True)
    with store:
        assert [(cut.shard, cut.bytes) for cut in store.recovered] == [("00000.safetensors", 13)]
    assert verify(torn).unknown == 0


def test_what_was_changed_or_lost_is_found(tmp_path):
    """`verify` names the record whose bytes changed, the short shard, the file that is gone; the rest is read."""
    folder = tmp_path / "acts"
    with store_of("disk", folder, shard_tensors=1) as store:
        refs = [put(store, torch.randn(3, 4) + i) for i in range(4)]
    paths = sorted((folder / "shards").iterdir())
    with paths[0].open("r+b") as file:
        file.seek(HEADER + 3)
        file.write(b"\xff")
    os.truncate(paths[1], HEADER + 5)
    paths[2].unlink()
    told = verify(folder)
    assert told.records == 4
    assert [fault.where for fault in told.faults[:3]] == [ref.record for ref in refs[:3]]
    assert "not those of its digest" in told.faults[0].what
    assert any(fault.where == "00001.safetensors" for fault in told.faults)
    with ActivationStore.open(folder) as store:
        assert store.at(refs[3]).shape == (3, 4)
        with pytest.raises(UnreadableActivations, match="the file ends before"):
            store.at(refs[1])
        with pytest.raises(NoActivation, match="is gone"):
            store.at(refs[2])


def test_sealed_shards_are_ordinary_files(tmp_path):
    """At so many tensors or bytes; dropped records leave named gaps; every dtype."""
    folder = tmp_path / "acts"
    rows = {}
    with store_of("disk", folder, shard_tensors=5) as store:
        for i, dtype in enumerate([torch.float32, torch.bfloat16, torch.float16, torch.float64] * 3):
            made = torch.randn(3, 5).to(dtype)
            ref = put(store, made)
            rows["record." + ref.record.rpartition(":")[2]] = made
            if i == 6:
                store.drop([ref])
                del rows["record." + ref.record.rpartition(":")[2]]
        store.flush()
        assert len(sealed_so_far(folder)) >= 2
    tensors = sealed(folder)
    assert {
        name: tensor for name, tensor in tensors.items() if not name.startswith("gap.")
    }.keys() == rows.keys()
    for name, made in rows.items():
        assert tensors[name].equal(made)
    assert verify(folder).faults == ()
    with store_of("disk", tmp_path / "small", shard_bytes=100) as store:
        for _ in range(4):
            put(store, torch.randn(3, 5))
    assert len(list((tmp_path / "small/shards").iterdir())) == 4


def sealed_so_far(folder):
    index = sqlite3.connect(folder / "index.sqlite")
    found = index.execute("SELECT number FROM shard WHERE state = 'sealed'").fetchall()
    index.close()
    return found


def test_readers_beside_the_writer(tmp_path):
    """A reader sees what is committed, each time it asks; rows it holds stay what they were, also when sealed."""
    folder = tmp_path / "acts"
    with store_of("disk", folder) as store:
        rows = [torch.randn(3, 4) for _ in range(3)]
        first = put(store, rows[0])
        with ActivationStore.open(folder) as reader:
            held = reader.at(first)
            assert len(reader) == 1
            second = put(store, rows[1], 2)
            assert len(reader) == 2
            assert reader.at(second).equal(rows[1])
            assert reader.at(ActivationQuery(layer=2)).equal(rows[1])
            mine = reader.at(first)
            mine.zero_()  # one's own view: neither the file nor the writer see it
            assert store.at(first).equal(rows[0])
            store.close()
            assert held.storage_offset() == 0 or held.shape == (3, 4)
            assert reader.at(second).equal(rows[1])
    assert verify(folder).faults == ()
    assert held.shape == (3, 4)


def test_one_writer(tmp_path):
    """The second is told who the first is; when it has gone, even by a crash, there may be another."""
    folder = tmp_path / "acts"
    store = store_of("disk", folder)
    with pytest.raises(StoreLocked, match=rf"process {os.getpid()}.*one writer"):
        ActivationStore.open(folder, write=True)
    ActivationStore.open(folder).close()
    store.close()
    store_of("disk", folder).close()


def test_folders_of_several_workers_are_one(tmp_path):
    """In the order given; a reference is found wherever it lies; a folder and its copy are not two."""
    refs = []
    for i, name in enumerate("ab"):
        with store_of("disk", tmp_path / name) as store:
            refs.append(put(store, torch.full((3, 1), float(i)), of=source(about=About(conversation=name))))
    with ActivationStore.open(tmp_path / "b", tmp_path / "a") as both:
        assert len(both) == 2
        assert both.query().tensors().flatten().tolist() == [1, 1, 1, 0, 0, 0]
        assert both.at(refs[0]).sum() == 0
        assert [r.ref for r in both.of(refs).records] == refs
        assert both.query().records[-1].ref == refs[0]
        with pytest.raises(IndexError):
            both.query().records[2]
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    with pytest.raises(ValueError, match="copies of one"):
        ActivationStore.open(tmp_path / "a", tmp_path / "copy")


def test_a_folder_that_cannot_be_written_is_read(tmp_path):
    """As on a medium that is read only, or another person's."""
    folder = tmp_path / "acts"
    with store_of("disk", folder) as store:
        ref = put(store)
    for path in (folder, folder / "shards", folder / "index.sqlite"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with ActivationStore.open(folder) as reader:
            assert reader.at(ref).shape == (3, 2)
    finally:
        for path in (folder, folder / "shards"):
            path.chmod(0o755)


def test_folders_that_are_none(tmp_path):
    """Each is said: nothing there, another format, no index."""
    with pytest.raises(UnreadableActivations, match=r"format.json; found none"):
        ActivationStore.open(tmp_path / "nothing")
    (tmp_path / "format.json").write_text('{"format": "symposia.activations/2", "id": "x"}')
    with pytest.raises(
        UnreadableActivations, match=r"expected symposia.activations/1; got symposia.activations/2"
    ):
        ActivationStore.open(tmp_path)
    (tmp_path / "format.json").write_text('{"format": "symposia.activations/1", "id": "x"}')
    (tmp_path / "index.sqlite").write_text("not a database at all, as anybody can see" * 10)
    with pytest.raises(UnreadableActivations, match="expected an index of activations"):
        ActivationStore.open(tmp_path)
    with pytest.raises(ValueError, match="one folder can be written"):
        ActivationStore.open(tmp_path / "a", tmp_path / "b", write=True)


@contextmanager
def no_file_larger_than(size):
    """As on a full disk: writes beyond fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("durability", ["turn", "lazy"])
def test_a_full_disk_is_said_and_nothing_else_is_lost(tmp_path, durability):
    """The generation whose rows did not fit hears it; what was there stays; with room again, writing goes on."""
    folder = tmp_path / "acts"
    with store_of("disk", folder, durability=durability, shard_tensors=2) as store:
        rows = torch.randn(3, 100)
        kept = [put(store, rows) for _ in range(3)]
        with no_file_larger_than(HEADER + 2000):
            told = []
            refs = store.put(source(), [draft(torch.randn(3, 400))])
            store.when_kept(refs, told.append)
            if durability == "turn":
                store.flush()
                assert isinstance(told[0], ActivationWriteFailed)
                assert "make room" in str(told[0])
            else:
                with pytest.raises(ActivationWriteFailed, match="make room"):
                    store.flush()
                assert told == [None]
            with pytest.raises(NoActivation):
                store.at(refs[0])
        again = put(store, rows)
        for ref in (*kept, again):
            assert store.at(ref).equal(rows)
    check(folder, [(ref, rows) for ref in (*kept, again)])


def test_more_than_may_be_pending_waits_and_nothing_is_dropped(tmp_path):
    """Also a single generation larger than all that may be on its way."""
    with store_of("disk", tmp_path / "acts", pending_bytes=100, durability="lazy") as store:
        rows = [torch.full((3, 1 + i), float(i)) for i in range(40)]
        refs = [store.put(source(about=About(turn=i)), [draft(each)])[0] for i, each in enumerate(rows)]
        for ref, each in zip(refs, rows, strict=True):
            assert store.at(ref).equal(each)
    check(tmp_path / "acts", list(zip(refs, rows, strict=True)))


def test_a_folder_that_is_gone_is_said(tmp_path):
    """Nothing can be stored, and nobody waits for it."""
    store = store_of("disk", tmp_path / "acts")
    put(store)
    shutil.rmtree(tmp_path / "acts")
    assert store.free == 0
    with pytest.raises(ActivationWriteFailed, match="0 free"):
        put(store)
    store.close()
    with pytest.raises(ActivationWriteFailed, match=r"0 free|closed"):
        put(store)


def test_an_index_that_cannot_grow_fails_the_same_way(tmp_path):
    """Bytes are written, the index is not: the bytes are taken back."""
    folder = tmp_path / "acts"
    with store_of("disk", folder) as store:
        rows = torch.randn(3, 2)
        kept = put(store, rows)
        size = (folder / "shards/00000.safetensors").stat().st_size
        other = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
        other.execute("CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'no room'); END")
        told = []
        refs = store.put(source(), [draft(torch.randn(3, 400))])
        store.when_kept(refs, told.append)
        store.flush()
        assert "no room" in str(told[0])
        assert (folder / "shards/00000.safetensors").stat().st_size == size
        other.execute("DROP TRIGGER full")
        other.close()
        again = put(store, rows + 1, of=source(texts=tuple("abcde")))
        assert store.query().tokens()[0].text == "b"
    check(folder, [(kept, rows), (again, rows + 1)])


def test_parquet_is_the_index(tmp_path):
    """A row a record, each column what the record says."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'symposia[parquet]'")
    from symposia.interp.acts.parquet import row_of

    with store_of("disk", tmp_path / "acts", shard_tensors=2) as store:
        for turn in range(5):
            about = About(run="r", conversation="c", turn=turn, profile="sha256:p")
            put(store, torch.randn(3, 2), layer=None if turn == 3 else turn, of=source(about=about))
        acts = store.query()
        acts.to_parquet(tmp_path / "index.parquet")
        rows = parquet.read_table(tmp_path / "index.parquet").to_pylist()
        assert rows == [dict(row_of(record)) for record in acts.records]
        assert rows == sorted(rows, key=lambda row: int(row["record"].rpartition(":")[2]))
        assert {row["profile"] for row in rows} == {"sha256:p"}
        assert [row["layer"] for row in rows] == [0, 1, 2, None, 4]
        with pytest.raises(ValueError, match="nothing to write"):
            store.query(ActivationQuery(layer=9)).to_parquet(tmp_path / "none.parquet")
