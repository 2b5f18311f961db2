"""Secrets out of text, JSON and streams. Pure: what is secret is passed in.

A match is anything known (exact, base64, URL-encoded, JSON-escaped) or of a known shape. Overlapping matches
are replaced as one, so no part of a secret survives beside another.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

import msgspec

from .errors import NotSerialisable

SHORTEST = 8
"""Shorter values are not replaced: they would hit ordinary words."""

_NAME = r"(?<![A-Z0-9_])[A-Z0-9_]*(?:TOKEN|KEY|SECRET|PASSWORD)"
_KEPT = r"(?!\[redacted:)"
_SHAPES = (  # kind, what every match or the text before it has, the letter of that to look for first, shape
    ("github_token", "gh", "_", re.compile(r"gh[pousr]_\w{16,}")),
    ("github_token", "github_pat_", "_", re.compile(r"github_pat_\w{16,}")),
    ("api_key", "sk-", "-", re.compile(r"(?<![a-z])sk-[\w-]{16,}")),
    ("langsmith_key", "lsv2_", "_", re.compile(r"lsv2_\w{16,}")),
    ("aws_key", "AKIA", "K", re.compile(r"AKIA[0-9A-Z]{16}")),
    ("url", "://", "/", re.compile(rf"(?<=://){_KEPT}[^\s/?#@\"']+(?=@)")),
)
_BEARER = re.compile(rf"(?<=bearer )[ \t]*{_KEPT}[^\s\"',;]{{8,}}", re.IGNORECASE)
_ASSIGNED = re.compile(rf"({_NAME})=(?:\"{_KEPT}([^\"\n]+)|'{_KEPT}([^'\n]+)|{_KEPT}([^\s\"']\S*))")
_UNFINISHED = re.compile(rf"(?:bearer[ \t]+|{_NAME}=(?:\"[^\"\n]*|'[^'\n]*))$", re.IGNORECASE)
_PASSES = 3  # a replacement can set free a neighbour that had a letter before it
_HOLD = 65_536  # characters a stream keeps at most while it waits for a place to cut

Span = tuple[int, int, str]


class Secret:
    """A value to use, never to show: `***` in text, refused by every serialiser, in no digest."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise NotSerialisable(
            "secret", "a key is never stored; store the name it is read from, such as env:NAME"
        )


class Redactor:
    """Replaces every known secret by `[redacted:NAME]`, and whatever has the shape of one by its kind."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        forms = {
            form: name for name, value in secrets.items() if len(value) >= SHORTEST for form in _forms(value)
        }
        self._names = forms
        self._longest = max(map(len, forms), default=0)
        ordered = sorted(forms, key=len, reverse=True)
        self._known = re.compile(f"(?=({'|'.join(map(re.escape, ordered))}))") if forms else None
        self._signs = tuple((min(form, key=_rarity), form) for form in ordered)

    def text(self, text: str) -> str:
        """The text with everything secret replaced. Doing it twice changes nothing more."""
        if not text:
            return text
        for _ in range(_PASSES):
            once = self._once(text)
            if once == text:
                break
            text = once
        return text

    def _once(self, text: str) -> str:
        out, end = [], 0
        for start, stop, name in self._matches(text):
            out += [text[end:start], f"[redacted:{name}]"]
            end = stop
        return "".join(out) + text[end:]

    def value(self, value: Any) -> Any:
        """The same JSON value with every string redacted, keys too."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.value(key): self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value

    def json(self, raw: bytes) -> bytes:
        """The same JSON with every string redacted; the very bytes where there is nothing secret.

        Strings are searched as they are: in JSON a line break is a letter, which hides the key that follows it.
        """
        text = raw.decode()
        value = msgspec.json.decode(raw) if "\\" in text else None
        if next(self._matches(text if value is None else "\n".join(_strings(value))), None) is None:
            return raw
        value = msgspec.json.decode(raw)
        redacted = self.value(value)
        return raw if redacted == value else msgspec.json.encode(redacted)

    def lines(self, raw: bytes) -> bytes:
        """JSON Lines with `json` of each line; many at once cost less than each by itself."""
        text = raw.decode()
        if "\\" not in text and next(self._matches(text), None) is None:  # no shape ends beyond its line
            return raw
        return b"\n".join(map(self.json, raw.split(b"\n")))

    def stream(self) -> RedactingStream:
        """A redactor of bytes that come in pieces."""
        return RedactingStream(self)

    def _matches(self, text: str) -> Iterator[Span]:
        """Disjoint spans in order; overlapping ones joined under the first known name."""
        found = sorted([*self._exact(text), *_shaped(text)], key=lambda span: (span[0], -span[1]))
        start, stop, name = -1, -1, ""
        for low, high, label in found:
            if low < stop:
                stop = max(stop, high)
                continue
            if stop > start:
                yield start, stop, name
            start, stop, name = low, high, label
        if stop > start:
            yield start, stop, name

    def _exact(self, text: str) -> Iterator[Span]:
        if self._known is not None and any(letter in text and form in text for letter, form in self._signs):
            for match in self._known.finditer(text):
                yield match.start(1), match.end(1), self._names[match[1]]

    def _safe(self, text: str) -> int:
        """How much of `text` can be let go: no match, found or still to come, crosses that place."""
        cut = len(text) - self._longest
        while cut > 0:
            while cut > 0 and not text[cut - 1].isspace():
                cut -= 1
            line = text.rfind("\n", 0, cut) + 1
            if unfinished := _UNFINISHED.search(text[line:cut]):
                cut = line + unfinished.start()
                continue
            crossing = next((start for start, stop, _ in self._matches(text) if start < cut < stop), None)
            if crossing is None:
                break
            cut = crossing
        if cut <= 0 and len(text) > _HOLD + self._longest:
            return self._forced(text)
        return max(cut, 0)

    def _forced(self, text: str) -> int:
        """A place to cut text that never pauses: outside every match found so far."""
        cut = len(text) - max(self._longest, _HOLD // 2)
        return next((start for start, stop, _ in self._matches(text) if start < cut < stop), cut)


class RedactingStream:
    """Bytes in, redacted text out; holds back what could still become part of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def feed(self, piece: bytes) -> str:
        """Redacted text that is certain by now, possibly none."""
        self._held += self._decoder.decode(piece)
        safe = self._redactor._safe(self._held)  # noqa: SLF001  one mechanism in two classes of one file
        out, self._held = self._held[:safe], self._held[safe:]
        return self._redactor.text(out)

    def flush(self) -> str:
        """The rest, redacted; the stream is empty after it."""
        out, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return self._redactor.text(out)


def _strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _shaped(text: str) -> Iterator[Span]:
    for name, sign, letter, shape in _SHAPES:
        if letter in text and sign in text:  # one letter is found, or not, ten times faster than two
            yield from ((match.start(), match.end(), name) for match in shape.finditer(text))
    if " " in text and "bearer " in text.lower():
        yield from ((match.start(), match.end(), "bearer") for match in _BEARER.finditer(text))
    if "=" not in text:
        return
    for match in _ASSIGNED.finditer(text):
        group = next(i for i in (2, 3, 4) if match[i] is not None)
        yield match.start(group), match.end(group), match[1]


def _rarity(letter: str) -> int:
    """Lower for letters that fewer texts have: capitals, from the end of the alphabet."""
    return -ord(letter) if letter.isupper() else 0


def _forms(value: str) -> Iterator[str]:
    """The value as itself, URL-encoded, JSON-escaped, and inside base64 at each of the three alignments."""
    yield from (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1])
    raw = value.encode()
    for offset in range(3):
        padded = bytes(offset) + raw
        whole = len(padded) // 3 * 4  # characters that do not depend on what follows
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            inner = encode(padded).decode().rstrip("=")
            if offset == 0:
                yield inner
            inner = inner[(offset * 8 + 5) // 6 : whole]
            if len(inner) >= SHORTEST:
                yield inner
