"""Whether the shards hold everything that the index promises, and sealed ones are what anybody can open."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from symposia.core.value import Count, Value

from .folder import Folder
from .index import State, shape_of
from .record import NoActivation, Record, UnreadableActivations, digest_of, raw_bytes
from .shard import HEADER, Entry, shard_name, tensor_name

_TOGETHER = 256


class Fault(Value, frozen=True, kw_only=True):
    """Something that is not as promised, with what to do."""

    where: str
    what: str


class Verified(Value, frozen=True, kw_only=True):
    """What was looked at: every record's bytes against its digest, every sealed shard as a safetensors file.

    `open` shards are being written, or were when their writer ended; `unknown` bytes belong to no record: on their way,
    or left by a crash, and cut by the next writer.
    """

    records: Count
    generations: Count
    bytes: Count
    sealed: Count
    open: Count
    unknown: Count
    faults: tuple[Fault, ...]


def verify(path: Path | str) -> Verified:
    """Read everything in a folder once. Works beside its writer."""
    folder = Folder(Path(path))
    try:
        states: dict[int, State] = dict(folder.ask("SELECT number, state FROM shard ORDER BY number"))
        faults = list(_unread(folder)) + _orphans(folder)
        unknown = 0
        for number, state in states.items():
            at = folder.path / "shards" / shard_name(number)
            kept = _entries(folder, number)
            size = at.stat().st_size if at.exists() else 0
            unknown += max(size - max((e.stop for e in kept), default=HEADER), 0)
            if state == "sealed":
                faults += _unlike(at, kept)
            elif state == "damaged":
                faults.append(
                    Fault(where=at.name, what="lost bytes that were on the disk; restore it from a copy")
                )
        [(records, size, generations)] = folder.ask(
            "SELECT count(*), coalesce(sum(bytes), 0), count(DISTINCT turn_id) FROM record"
        )
    finally:
        folder.close()
    return Verified(
        records=records,
        generations=generations,
        bytes=size,
        sealed=sum(state == "sealed" for state in states.values()),
        open=sum(state == "open" for state in states.values()),
        unknown=unknown,
        faults=tuple(faults),
    )


def _unread(folder: Folder) -> list[Fault]:
    """Records whose bytes are not those of their digest."""
    found = []
    numbers = [number for (number,) in folder.ask("SELECT id FROM record ORDER BY id")]
    for at in range(0, len(numbers), _TOGETHER):
        found += [
            Fault(where=record.ref.record, what=why)
            for record in folder.load(numbers[at : at + _TOGETHER])
            if (why := _wrong(record))
        ]
    return found


def _wrong(record: Record) -> str:
    try:
        rows = record.place.read()
    except (UnreadableActivations, NoActivation) as error:
        return str(error)
    if digest_of(record.ref.dtype, record.ref.shape, raw_bytes(rows)) == record.ref.digest:
        return ""
    return "its bytes are not those of its digest: the shard was changed; restore it from a copy"


def _entries(folder: Folder, shard: int) -> list[Entry]:
    rows = folder.ask("SELECT id, dtype, shape, offset, bytes FROM record WHERE shard = ?", (shard,))
    return [Entry(number, dtype, shape_of(shape), at, size) for number, dtype, shape, at, size in rows]


def _orphans(folder: Folder) -> list[Fault]:
    """Sealed or not, every file has its row; a writer makes the file a moment before."""
    known = {shard_name(number) for (number,) in folder.ask("SELECT number FROM shard")}
    return [
        Fault(where=each.name, what="no record is in it; the next writer removes it")
        for each in sorted((folder.path / "shards").glob("*.safetensors"))
        if each.name not in known and each.stat().st_size > HEADER
    ]


def _unlike(path: Path, kept: list[Entry]) -> list[Fault]:
    """Whether a sealed shard opens as a safetensors file, with the index's records in it."""
    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        return [Fault(where=path.name, what=f"is sealed, and no safetensors file: {error}")]
    return [
        Fault(
            where=f"{path.name}: {tensor_name(entry.number)}", what="is not in the header as the index says"
        )
        for entry in kept
        if shapes.get(tensor_name(entry.number)) != entry.shape
    ]
