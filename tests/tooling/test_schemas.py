"""The published JSON Schemas are the types."""

from __future__ import annotations

from pathlib import Path

from tools.schemas import FOLDER, main, schemas, stale


def test_published_schemas_are_current() -> None:
    """docs/schema holds exactly what the types say; `make schemas` rewrites it."""
    assert stale(FOLDER) == []


def test_check_sees_each_difference(tmp_path: Path) -> None:
    """A missing, changed or superfluous file fails the check, and writing mends it."""
    assert main(["--check"], tmp_path) == 1
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    first = next(iter(schemas()))
    (tmp_path / first).write_text("{}")
    (tmp_path / "old.v0.json").write_text("{}")
    assert stale(tmp_path) == sorted([first, "old.v0.json"])
    main([], tmp_path)
    assert stale(tmp_path) == []
