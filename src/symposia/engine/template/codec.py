"""Text to token ids in sections, so that what a participant typed can never become a control token.

Control strings are the tokenizer's special tokens, and those other added tokens that the template writes, that the
tokenizer declares, that have the delimiters of a special token (`<|...|>`), or that open or close one of these. Other
added tokens, such as runs of newlines, are ordinary text. `plain` encodes a section of ordinary text; control tokens
come only from `cuts` of text the template itself wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import PreTrainedTokenizerFast

from symposia.core.errors import TemplateError

from .memo import Memo

_CHARACTERS = 8_000_000  # of section text remembered
Cut = tuple[str, int | None]  # text, and its id if it is a control token


class Encoded(NamedTuple):
    """Ids of a section and the character each ends at, relative to the section."""

    ids: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Control:
    """A control string; `left` and `right` say whether it swallows neighbouring white space, as the tokenizer does."""

    text: str
    id: int
    left: bool
    right: bool


class Codec:
    """One tokenizer, taken apart. Thread-safe: nothing changes after construction but bounded memos."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, template_source: str) -> None:
        self._whole: Tokenizer = tokenizer.backend_tokenizer
        self.controls = {c.text: c for c in _controls(tokenizer, template_source)}
        self.control_ids = frozenset(c.id for c in self.controls.values())
        self.pattern = _alternatives(self.controls)
        outer = self._whole.pre_tokenizer
        inner = _inner(outer)
        self._first = _without_controls(self._whole, self.controls, outer)
        self._inner = self._first if inner is outer else _without_controls(self._whole, self.controls, inner)
        self._live = _without_controls(self._whole, (), outer)
        self._live.encode_special_tokens = False
        self._cuts: Memo[str, tuple[Cut, ...]] = Memo(limit=_CHARACTERS, cost=len)
        self._typed: Memo[str, bool] = Memo(limit=_CHARACTERS, cost=len)
        self._plain: Memo[tuple[str, bool], Encoded] = Memo(limit=_CHARACTERS, cost=lambda key: len(key[0]))
        self._decoded: Memo[tuple[int, ...], str] = Memo(limit=_CHARACTERS, cost=len)

    def plain(self, text: str, *, first: bool) -> Encoded:
        """Ordinary text, whatever it looks like. `first`: it opens the sequence."""
        return self._plain.get((text, first and self._inner is not self._first), self._encode)

    def whole(self, text: str) -> Encoded:
        """Text with every control string in it taken for what it spells, as the tokenizer alone would."""
        encoding = self._live.encode(text, add_special_tokens=False)
        return Encoded(tuple(encoding.ids), tuple(end for _, end in encoding.offsets))

    def cuts(self, literal: str) -> tuple[Cut, ...]:
        """Text the template wrote, cut at its control tokens."""
        return self._cuts.get(literal, self._cut)

    def typed(self, text: str) -> bool:
        """Whether a control string stands in the text."""
        return self._typed.get(text, lambda t: self.pattern.search(t) is not None)

    def decoded(self, ids: tuple[int, ...]) -> str:
        """What ids spell, control tokens by name."""
        return self._decoded.get(ids, lambda held: self._whole.decode(list(held), skip_special_tokens=False))

    def piece(self, token_id: int) -> str:
        """One token as text, control tokens by name."""
        return self.decoded((token_id,))

    def _cut(self, literal: str) -> tuple[Cut, ...]:
        parts: list[Cut] = []
        end = 0
        for found in self.pattern.finditer(literal):
            if found.start() > end:
                parts.append((literal[end : found.start()], None))
            parts.append((found[0], self.controls[found[0]].id))
            end = found.end()
        if end < len(literal):
            parts.append((literal[end:], None))
        return tuple(parts)

    def _encode(self, key: tuple[str, bool]) -> Encoded:
        text, first = key
        encoder = self._first if first else self._inner
        encoding = encoder.encode(text, add_special_tokens=False)
        if self.control_ids.isdisjoint(encoding.ids):
            return Encoded(tuple(encoding.ids), tuple(end for _, end in encoding.offsets))
        return self._broken(text, first)

    def _broken(self, text: str, first: bool) -> Encoded:
        """The model's own vocabulary spells a control token: break each control string after its first character."""
        ids: list[int] = []
        ends: list[int] = []
        start = 0
        stops = [found.start() + 1 for found in self.pattern.finditer(text)]
        for stop in (*stops, len(text)):
            part = (self._first if first and start == 0 else self._inner).encode(
                text[start:stop], add_special_tokens=False
            )
            ids += part.ids
            ends += [start + end for _, end in part.offsets]
            start = stop
        if not self.control_ids.isdisjoint(ids):
            raise TemplateError(
                "this tokenizer spells a control token from ordinary text, so a participant could forge one; "
                "remove the control string from the text"
            )
        return Encoded(tuple(ids), tuple(ends))


def _controls(tokenizer: PreTrainedTokenizerFast, source: str) -> Iterable[Control]:
    declared = set(getattr(tokenizer, "chat_control_tokens", None) or ()) | set(tokenizer.all_special_tokens)
    added = {
        i: t for i, t in tokenizer.backend_tokenizer.get_added_tokens_decoder().items() if t.content.strip()
    }
    certain = {t.content for t in added.values() if t.special or t.content in declared}
    shapes = {(t[:2], t[-2:]) for t in certain if len(t) > 4}
    certain |= {t.content for t in added.values() if t.content in source}
    certain |= {
        t.content for t in added.values() if len(t.content) > 4 and (t.content[:2], t.content[-2:]) in shapes
    }
    names = {_tag_name(text) for text in certain} - {None}
    for token_id, token in added.items():
        if token.content in certain or _tag_name(token.content) in names:
            yield Control(text=token.content, id=token_id, left=token.lstrip, right=token.rstrip)


def _tag_name(text: str) -> str | None:
    """What an opening and a closing tag share: one of the two is no less a control string than the other."""
    named = re.fullmatch(r"<\|?/?([^<>|/\s]+)\|?>|\[/?([^\[\]/\s]+)\]", text)
    return (named[1] or named[2]) if named else None


def _alternatives(texts: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(texts, key=lambda t: (-len(t), t))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _without_controls(
    whole: Tokenizer, controls: Iterable[str], pre_tokenizer: PreTokenizer | None
) -> Tokenizer:
    """The same tokenizer, sharing its vocabulary, to which control strings are ordinary text."""
    plain = Tokenizer(whole.model)
    if whole.normalizer is not None:
        plain.normalizer = whole.normalizer
    if pre_tokenizer is not None:
        plain.pre_tokenizer = pre_tokenizer
    hidden = set(controls)
    added = sorted(whole.get_added_tokens_decoder().items())
    plain.add_tokens([_as_special(token, token.content in hidden) for _, token in added])
    plain.encode_special_tokens = True
    if {i: t.content for i, t in plain.get_added_tokens_decoder().items()} != {
        i: t.content for i, t in added
    }:
        raise TemplateError(
            "this tokenizer's added tokens have ids that cannot be given again (a gap, or one text twice); "
            "save and load it once with tokenizers, or use another"
        )
    return plain


def _as_special(token: AddedToken, special: bool) -> AddedToken:
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=special,
    )


def _inner(pre_tokenizer: PreTokenizer | None) -> PreTokenizer | None:
    """For a section that does not open the sequence: a mark prepended only at the very start is left out."""
    if pre_tokenizer is None or "prepend_scheme=first" not in repr(pre_tokenizer):
        return pre_tokenizer
    stored = json.loads(Tokenizer(BPE()).to_str())
    stored["pre_tokenizer"] = json.loads(pre_tokenizer.__getstate__())
    _never(stored["pre_tokenizer"])
    return Tokenizer.from_str(json.dumps(stored)).pre_tokenizer


def _never(step: dict[str, Any]) -> None:
    if step["type"] == "Metaspace" and step["prepend_scheme"] == "first":
        step["prepend_scheme"] = "never"
    for inner in step.get("pretokenizers", []):
        _never(inner)
