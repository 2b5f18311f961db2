"""`where` in words (`author=bob,phase=answer`) in captures and interventions: the clauses it means take its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.selector import selection

from .located import Path
from .tree import Tree


def select_in_words(tree: Tree) -> None:
    """Replace every such text in the tree. `ScenarioFileError` points at one that means no selection."""
    for path, holder in _holders(tree.data):
        where = holder.get("where")
        if isinstance(where, str):
            try:
                holder["where"] = msgspec.to_builtins(selection(where))
            except InvalidInput as error:
                raise tree.error((*path, "where"), str(error)) from error


def _holders(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    if not isinstance(data, dict):
        return
    yield from _mappings(("captures",), data.get("captures"))
    people = data.get("participants")
    for name, seat in people.items() if isinstance(people, dict) else ():
        if isinstance(seat, dict):
            yield from _mappings(("participants", name, "interventions"), seat.get("interventions"))


def _mappings(path: Path, several: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, each in enumerate(several if isinstance(several, list) else ()):
        if isinstance(each, dict):
            yield (*path, index), each
