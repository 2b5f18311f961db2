"""What a record is of, by name, and in what some records differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .record import Record


def facts(record: Record) -> Mapping[str, object]:
    """Forward and place of a record."""
    source, ref = record.source, record.ref
    about = source.about
    return {
        "run": about.run,
        "conversation": about.conversation,
        "branch": about.branch,
        "turn": about.turn,
        "call": about.call,
        "reader": source.reader,
        "model": source.model,
        "request": source.request,
        "steered": source.steered,
        "site": ref.site,
        "layer": ref.layer,
        "at": record.at,
        "reduce": record.reduce,
        "name": ref.name,
        "positions": ref.runs,
    }


def differences(records: Iterable[Record]) -> list[str]:
    """`field: value, value` wherever the records are not alike."""
    seen: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in facts(record).items():
            seen.setdefault(name, {})[str(value)] = None
    return [f"{name}: {', '.join(values)}" for name, values in seen.items() if len(values) > 1]
