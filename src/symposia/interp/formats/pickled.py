"""What a pickle would import, read without running any of it: to say by name why a file is refused."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from pathlib import Path

_STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "SHORT_BINSTRING", "BINSTRING")


def words_of(path: Path) -> tuple[str, ...]:
    """Every text in a pickle, module and class names among them, in order; none of a file that is no pickle."""
    raw = path.read_bytes()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
                raw = archive.read(name) if name else b""
        found: list[str] = []
        for code, argument, _ in pickletools.genops(raw):
            if code.name == "GLOBAL":
                found += str(argument).split(" ")
            elif code.name in _STRINGS:
                found.append(str(argument))
        return tuple(found)
    except (ValueError, EOFError, LookupError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error):  # torn
        return ()
