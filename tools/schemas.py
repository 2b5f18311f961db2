"""Write the JSON Schema of every stored format to `docs/schema/`; `--check` only compares.

`symposia.cli.schemas` knows them all: it is the one place that sees every package.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from symposia.cli.schemas import files

FOLDER = Path(__file__).parents[1] / "docs" / "schema"


def schemas() -> Mapping[str, str]:
    """The text of each schema by file name."""
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in files().items()}


def stale(folder: Path) -> list[str]:
    """Files that are missing, superfluous or differ from what the types say."""
    wanted = schemas()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write, or compare with `--check`; 1 if anything is stale."""
    if "--check" in arguments:
        for name in (old := stale(folder)):
            print(f"{folder / name} differs from the types; run `make schemas`", file=sys.stderr)
        return int(bool(old))
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        path.unlink()
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
