"""The index as a Parquet file: a row a record, with its forward and its place; the numbers stay in their shards."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

import msgspec

from symposia.core.errors import InvalidInput

from .apart import facts
from .folder import Slice
from .record import Record, size_of
from .shard import shard_name

_TOGETHER = 4096


def row_of(record: Record) -> Mapping[str, object]:
    """A record as plain values. `shard`, `offset` and `bytes` say where it lies; in memory there is no shard."""
    source, ref, place = record.source, record.ref, record.place
    on_disk = place if isinstance(place, Slice) else None
    return {
        "record": ref.record,
        **{name: value for name, value in facts(record).items() if name != "positions"},
        "speaker": source.about.speaker,
        "purpose": source.about.purpose,
        "profile": source.about.profile,
        "interventions": source.interventions,
        "created": source.created,
        "tokens": len(source.token_ids),
        "capture": record.capture,
        "dtype": ref.dtype,
        "shape": list(ref.shape),
        "runs": msgspec.json.encode(ref.runs).decode(),
        "made": record.made,
        "shard": None if on_disk is None else shard_name(on_disk.shard),
        "offset": None if on_disk is None else on_disk.entry.offset,
        "bytes": size_of(place.view()) if on_disk is None else on_disk.entry.bytes,
        "digest": ref.digest,
    }


def write_parquet(records: Iterable[Record], path: Path) -> None:
    """Write the file; a few thousand rows are held at a time."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InvalidInput("writing Parquet needs pyarrow: pip install 'symposia[parquet]'")
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups = _grouped(map(row_of, records))
    first = next(groups, None)
    if first is None:
        raise InvalidInput("no stored record answers the query; nothing to write")
    kinds = {
        **dict.fromkeys(("turn", "call", "layer", "tokens", "capture", "offset", "bytes"), pa.int64()),
        **dict.fromkeys(("steered", "made"), pa.bool_()),
        "created": pa.float64(),
        "shape": pa.list_(pa.int64()),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in first[0]])
    with pq.ParquetWriter(path, schema) as writer:
        for rows in chain([first], groups):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _grouped(rows: Iterator[Mapping[str, object]]) -> Iterator[list[Mapping[str, object]]]:
    while some := list(islice(rows, _TOGETHER)):
        yield some
