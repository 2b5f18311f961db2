"""JSON Schemas of stored formats, generated from the very types that read and write them.

Each package that stores something exports `stored_formats()`; whoever needs all of them concatenates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from .doctor import Report
from .trace import Trace
from .transcript import FORMAT, TranscriptFile


class StoredFormat(NamedTuple):
    """A format by name and version, and the type that is its whole definition."""

    name: str
    version: int
    type: type[msgspec.Struct]

    @property
    def file_name(self) -> str:
        """Where its schema lies in `docs/schema`."""
        return f"{self.name.removeprefix('symposia.')}.v{self.version}.json"


def stored_formats() -> tuple[StoredFormat, ...]:
    """What core stores."""
    return (
        StoredFormat(FORMAT, 1, TranscriptFile),
        StoredFormat("symposia.doctor-report", 1, Report),
        StoredFormat("symposia.trace", 1, Trace),
    )


def json_schema(form: StoredFormat) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a stored format."""
    body = msgspec.json.schema(form.type)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:symposia:schema:{form.file_name.removesuffix('.json')}",
        "title": f"{form.name}, version {form.version}",
        **body,
    }
