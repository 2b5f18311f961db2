"""What flags, environment and `symposia.toml` say of a server: to itself, and to commands that look for its store."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from symposia.core.errors import InvalidInput
from symposia.serve.settings import FIELDS, Settings, read

FILE = Path("symposia.toml")


class Said(NamedTuple):
    """The settings, and the file they were read with, if there is one: its path and its table."""

    settings: Settings
    path: Path | None
    table: Mapping[str, Any]


def said(
    flags: Mapping[str, object],
    env: Mapping[str, str],
    file: Path | None = None,
    *,
    names: Collection[str] = FIELDS,
) -> Said:
    """Settings by the precedence of `read`; of all but `names` the defaults. Without a file, the one that lies here."""
    path = FILE if file is None and FILE.exists() else file
    table = {} if path is None else _table(path)
    return Said(read(flags, env, table, where=f"{path} [serve]", names=names), path, table)


def _table(path: Path) -> dict[str, Any]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: expected TOML; {error}") from error
    table = whole.get("serve", {})
    if not isinstance(table, dict):
        raise InvalidInput(f"{path}: [serve]: expected a table; got {type(table).__name__}")
    return table
