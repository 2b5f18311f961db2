"""Reading a task file: JSONL or CSV, every row or none. Nothing is downloaded, nothing is skipped."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec

from symposia.core.errors import InvalidInput, UnknownName

from .item import Item
from .rows import FORMS, Form, Place, Row


def load(path: Path, form: str = "native", *, seed: int = 0) -> tuple[Item, ...]:
    """The items of a file. `seed` decides the order of options where a form shuffles them, item by item.

    Raises `UnknownName` for a form, and `InvalidInput` naming the line, the keys expected and the keys found.
    """
    if form not in FORMS:
        raise UnknownName("format", form, FORMS)
    items: list[Item] = []
    lines: dict[str, int] = {}
    for line, row in _rows(path, FORMS[form]):
        place = Place(f"{path.stem}-{len(items) + 1:03d}", seed)
        item = _item(FORMS[form], row, place, f"{path}:{line}")
        if item.id in lines:
            raise InvalidInput(f"{path}:{line}: id {item.id!r} stands in line {lines[item.id]} already")
        lines[item.id] = line
        items.append(item)
    if not items:
        raise InvalidInput(f"{path}: expected at least one row; got an empty file")
    return tuple(items)


def _item(form: Form, row: Row, place: Place, where: str) -> Item:
    missing = [key for key in form.keys if key not in row]
    if missing:
        raise InvalidInput(
            f"{where}: expected keys {', '.join(form.keys)}; got {', '.join(map(str, row)) or 'none'}"
        )
    try:
        return form.read(row, place)
    except (msgspec.ValidationError, InvalidInput) as error:
        raise InvalidInput(f"{where}: {error}; keys expected {', '.join(form.keys)}") from error


def _rows(path: Path, form: Form) -> Iterator[tuple[int, Row]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="(beyond the last column)")
            for row in reader:
                yield reader.line_num, {key: value for key, value in row.items() if value is not None}
        return
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            decoded = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InvalidInput(
                f"{path}:{number}: expected a JSON object with keys {', '.join(form.keys)}; {error}"
            ) from error
        if not isinstance(decoded, dict):
            raise InvalidInput(
                f"{path}:{number}: expected a JSON object with keys {', '.join(form.keys)}; "
                f"got {type(decoded).__name__}"
            )
        yield number, decoded
