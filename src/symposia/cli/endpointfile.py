"""Endpoints as a file of their own, for commands that read no scenario."""

from __future__ import annotations

from pathlib import Path

from symposia.backends.endpoint import Endpoint
from symposia.core.errors import InvalidInput
from symposia.core.value import Value

from .scenario.convert import convert
from .scenario.tree import read_tree


class EndpointsForm(Value, frozen=True, kw_only=True):
    """A file of endpoints by name, written as in a scenario file."""

    endpoints: dict[str, Endpoint]


def read_endpoints(path: Path | None) -> dict[str, Endpoint]:
    """The endpoints a file declares; none without a file. What is wrong is pointed at by its line."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: expected a file of endpoints; {error}") from error
    return convert(read_tree(text, str(path)), EndpointsForm).endpoints
