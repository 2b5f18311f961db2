"""Write the server's OpenAPI document to `docs/openapi.json`; `--check` only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from symposia.serve.openapi import document

PATH = Path(__file__).parents[1] / "docs" / "openapi.json"


def text() -> str:
    """The document as it is published."""
    return json.dumps(msgspec.to_builtins(document()), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str], path: Path = PATH) -> int:
    """Write, or compare with `--check`; 1 if it is stale."""
    if "--check" in arguments:
        stale = not path.exists() or path.read_text(encoding="utf-8") != text()
        if stale:
            print(f"{path} differs from the routes; run `make schemas`", file=sys.stderr)
        return int(stale)
    path.write_text(text(), encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
