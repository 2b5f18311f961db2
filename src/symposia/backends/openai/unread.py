"""Which fields of a server's replies no value of ours holds, by name: they are dropped, and nobody should wonder where.

Chunks are decoded once, by types that know every field of the protocol and refuse others. Only a reply that has others
is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from .chunks import (
    CallPiece,
    Choice,
    ChosenToken,
    Chunk,
    Function,
    PromptDetails,
    ReplyDetails,
    Said,
    TokenScores,
    TopToken,
    Used,
    decode,
)

Unknown = Callable[[str], None]
"""Told the path of a field, such as `choices.delta.annotations`; once a reply."""

MOST_NAMED = 20
_LONGEST = 100


class _Function(Function, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class _Call(CallPiece, frozen=True, gc=False, forbid_unknown_fields=True):
    type: str | None = None
    function: _Function | None = None


class _Said(Said, frozen=True, gc=False, forbid_unknown_fields=True):
    role: str | None = None
    tool_calls: Sequence[_Call] | None = None


class _Top(TopToken, frozen=True, gc=False, forbid_unknown_fields=True):
    bytes: msgspec.Raw = msgspec.Raw()


class _Chosen(ChosenToken, frozen=True, gc=False, forbid_unknown_fields=True):
    bytes: msgspec.Raw = msgspec.Raw()
    top_logprobs: Sequence[_Top] | None = None


class _Scores(TokenScores, frozen=True, gc=False, forbid_unknown_fields=True):
    content: Sequence[_Chosen] | None = None


class _Choice(Choice, frozen=True, gc=False, forbid_unknown_fields=True):
    index: int | None = None
    delta: _Said | None = None
    message: _Said | None = None
    logprobs: _Scores | None = None


class _PromptDetails(PromptDetails, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class _ReplyDetails(ReplyDetails, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class _Used(Used, frozen=True, gc=False, forbid_unknown_fields=True):
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _ReplyDetails | None = None


class _Chunk(Chunk, frozen=True, gc=False, forbid_unknown_fields=True):
    """What is known besides is made anew for every reply of ours, or says nothing of the answer."""

    object: str | None = None
    created: float | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    obfuscation: str | None = None
    choices: Sequence[_Choice] | None = None
    usage: _Used | None = None


_known = msgspec.json.Decoder(_Chunk).decode
_FORM = inspect.type_info(_Chunk)


class Reading:
    """Reads the chunks of one reply and tells `unknown` what it leaves out.

    Every chunk up to the first with a field of its own; from then on those that end the reply or say what it used.
    """

    def __init__(self, unknown: Unknown) -> None:
        self._unknown = unknown
        self._named: set[str] = set()
        self._strange = False

    def __call__(self, raw: bytes) -> Chunk:
        """The chunk; raises what `decode` raises."""
        if not self._strange:
            try:
                return _known(raw)
            except msgspec.ValidationError:
                pass
        chunk = decode(raw)
        ends = chunk.usage is not None or any(choice.finish_reason for choice in chunk.choices or ())
        if ends or not self._strange:
            self._strange = True
            self._tell(raw)
        return chunk

    def _tell(self, raw: bytes) -> None:
        for name in unread(raw):
            if name not in self._named and len(self._named) < MOST_NAMED:
                self._named.add(name)
                self._unknown(name)


def unread(raw: bytes) -> Iterator[str]:
    """Paths of the fields that hold something and have no place here. A name that is no plain word is "other"."""
    return _unread(msgspec.json.decode(raw), _FORM, "")


def _unread(value: Any, form: inspect.Type, path: str) -> Iterator[str]:
    match form, value:
        case inspect.UnionType(types=forms), _:
            for one in forms:
                yield from _unread(value, one, path)
        case inspect.ListType(item_type=item) | inspect.CollectionType(item_type=item), list():
            for one in value:
                yield from _unread(one, item, path)
        case inspect.StructType(fields=fields, forbid_unknown_fields=True), dict():
            known = {field.name: field.type for field in fields}
            for name, held in value.items():
                if name in known:
                    yield from _unread(held, known[name], f"{path}{name}.")
                elif held not in (None, "", 0, [], {}):
                    plain = name.isascii() and name.isidentifier() and len(name) <= _LONGEST
                    yield f"{path}{name if plain else 'other'}"
