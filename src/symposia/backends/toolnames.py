"""Names of tools as the hosted protocols allow them: letters, digits, `_` and `-`, at most 64.

Ours may hold dots (`files.read_file`). The mapping is one to one within a request, so a call comes back under the name
it was offered by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from symposia.core.request import Request

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_MOST = 64


class ToolNames:
    """Names of one request's tools, those of earlier calls among them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._sent: dict[str, str] = {}
        ordered = tuple(dict.fromkeys(names))
        taken = {name for name in ordered if _allowed(name)}
        for name in ordered:
            self._sent[name] = name if _allowed(name) else _free(_FORBIDDEN.sub("_", name)[:_MOST], taken)
            taken.add(self._sent[name])
        self._ours = {sent: name for name, sent in self._sent.items()}

    @classmethod
    def of(cls, request: Request) -> ToolNames:
        """The names a request offers and mentions."""
        names = [tool.name for tool in request.tools] if request.tools else []
        if request.force:
            names.append(request.force.name)
        for line in request.lines:
            if line.calls:
                names += [call.name for call in line.calls]
        return cls(names) if names else _NONE

    def sent(self, name: str) -> str:
        """The name on the wire."""
        return self._sent[name]

    def ours(self, sent: str) -> str:
        """The name a call meant; one that was never offered stays as it came."""
        return self._ours.get(sent, sent)


def _allowed(name: str) -> bool:
    return 0 < len(name) <= _MOST and not _FORBIDDEN.search(name)


def _free(wanted: str, taken: set[str]) -> str:
    name, n = wanted or "tool", 2
    while name in taken:
        suffix = f"_{n}"
        name, n = wanted[: _MOST - len(suffix)] + suffix, n + 1
    return name


_NONE = ToolNames(())
