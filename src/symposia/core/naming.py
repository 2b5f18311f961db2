"""Digests of requests that go on from one another, at the price of what is new in them.

A digest is a hash of canonical JSON, and JSON is made of its parts: a request's bytes are those of the request without
lines, with the lines' own bytes in their place. A conversation's next request has the lines of the one before and two
more; the hash of what they share is kept, and goes on from there.
"""

from __future__ import annotations

import hashlib
from operator import attrgetter, is_
from typing import Final

from msgspec.structs import replace

from .errors import InvalidInput
from .lines import Line
from .request import About, Request
from .value import canonical, settled, title

_LINES: Final = b'"lines":['
_NUMBERS: Final = ("seed", "turn")
_OTHERS: Final = attrgetter(
    *(name for name in Request.__struct_fields__ if name not in (*_NUMBERS, "lines", "about"))
)
_PASSING: Final = ("trail", "cue", "opener")
_NO_ABOUT: Final = About()


class Namer:
    """Names the requests of one speaker's turns; what it gives is `Request.digest`, which it also fills in.

    Lines, and fields, count as the same if they are the very same objects. It remembers those of the newest request.
    """

    def __init__(self) -> None:
        self._head = b""
        self._lines: tuple[Line, ...] = ()
        self._hash = hashlib.sha256()
        self._checked: tuple[object, ...] = ()

    def name(self, request: Request) -> str:
        """The request's digest; refused is what `Request.digest` refuses, with the same words."""
        if "digest" not in vars(request):
            found = self._spliced(request)
            if found is not None:
                vars(request)["digest"] = found
        return request.digest

    def _spliced(self, request: Request) -> str | None:
        """The digest made of its parts; None where that cannot be done, or where a part is refused."""
        lines = request.lines
        if type(lines) is not tuple or any(type(line) is not Line for line in lines):
            return None
        try:
            head, _, tail = self._bare(request).partition(_LINES)
            if _LINES in tail:  # a tool's parameters may have that key too: which one is ours?
                return None
            whole = self._hashed(title(Request) + head + _LINES, lines)
        except InvalidInput:
            return None
        whole.update(tail)
        return "sha256:" + whole.hexdigest()

    def _bare(self, request: Request) -> bytes:
        """The request without its lines. One that differs from the last in two whole numbers needs no second check."""
        bare = replace(request, lines=(), about=_NO_ABOUT)
        others, numbers = _OTHERS(bare), (bare.seed, bare.turn)
        whole = all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
        if whole and self._checked and all(map(is_, others, self._checked)):
            return canonical(bare)
        raw = settled(bare, Request)
        mutable = request.told or request.schema is not None
        self._checked = () if mutable or not whole or raw != canonical(bare) else others
        return raw

    def _hashed(self, head: bytes, lines: tuple[Line, ...]) -> hashlib._Hash:
        """The hash of the head and the lines. What is hashed of those that stay is kept."""
        stay, known = len(lines), len(self._lines)
        while stay and lines[stay - 1].kind in _PASSING:
            stay -= 1
        if head == self._head and all(map(is_, self._lines, lines[:known])) and known <= stay:
            whole = self._hash.copy()
        else:
            whole, known = hashlib.sha256(head), 0
        _take(whole, lines[known:stay], first=not known)
        passed = whole.copy()
        _take(passed, lines[stay:], first=not stay)
        self._head, self._lines, self._hash = head, lines[:stay], whole
        return passed


def _take(whole: hashlib._Hash, lines: tuple[Line, ...], *, first: bool) -> None:
    """Hash more lines, the very first ones or not."""
    if lines:
        between = b"" if first else b","
        whole.update(between + settled(lines, tuple[Line, ...])[1:-1])
