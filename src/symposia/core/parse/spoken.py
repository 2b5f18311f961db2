"""A reply in one voice: thinking at its start, then the answer, with calls where its syntax marks them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from symposia.core.request import Delta

from .forms import CallForm, NoCalls
from .gathered import Gathered

THINK, END_THINK = "<think>", "</think>"
State = Literal["start", "thinking", "answering", "calling"]


class Spoken:
    """Reasoning stands between think tags at the start, or is opened by the prompt; a think tag later is text."""

    def __init__(self, gathered: Gathered, form: CallForm, *, opens_thinking: bool) -> None:
        self._gathered, self._form = gathered, form
        self._held = ""
        self.state: State = "thinking" if opens_thinking else "start"
        self._fresh = opens_thinking  # blank lines after reasoning or calls belong to neither
        self._may_be_whole = True  # nothing was answered yet: all of it may still be calls

    @property
    def settled(self) -> bool:
        """Whether what follows is answer whatever it is."""
        return (
            self.state == "answering" and isinstance(self._form, NoCalls) and not (self._held or self._fresh)
        )

    def feed(self, chunk: str, *, final: bool) -> Iterator[Delta]:
        """What may be shown now that `chunk` came."""
        self._held += chunk
        before: tuple[State, int] | None = None
        while self._held and before != (before := (self.state, len(self._held))):
            if self.state == "start":
                self._start(final)
            elif self.state == "thinking":
                yield from self._think(final)
            elif self.state == "answering":
                yield from self._answer(final)
            else:
                yield from self._call(final)

    def _start(self, final: bool) -> None:
        stripped = self._held.lstrip()
        if stripped.startswith(THINK):
            self._held, self.state, self._fresh = stripped[len(THINK) :], "thinking", True
        elif final or not THINK.startswith(stripped):
            self.state = "answering"

    def _think(self, final: bool) -> Iterator[Delta]:
        at = self._held.find(END_THINK)
        ready = at if at >= 0 else len(self._held) - (0 if final else _overlap(self._held, END_THINK))
        if ready:
            yield self._gathered.say(self._held[:ready], "reasoning")
        if at >= 0:
            ready, self.state = at + len(END_THINK), "answering"
        self._held = self._held[ready:]

    def _answer(self, final: bool) -> Iterator[Delta]:
        if self._fresh:
            self._held = self._held.lstrip("\n")
            self._fresh = not self._held
        if not self._held:
            return
        if self._may_be_whole:
            begins = self._form.begins(self._held, final=final)
            if begins is None:
                return
            if begins:
                self.state = "calling"
                return
        opening = self._form.opening
        ready = self._held.find(opening) if opening else -1
        if ready >= 0:
            self.state = "calling"
        else:
            ready = len(self._held) - (_overlap(self._held, opening) if opening and not final else 0)
        if ready:
            self._may_be_whole = False
            piece, self._held = self._held[:ready], self._held[ready:]
            yield self._gathered.say(piece, "answer")

    def _call(self, final: bool) -> Iterator[Delta]:
        taken = self._form.take(self._held, len(self._gathered.calls), final=final)
        if taken is None:
            return
        self.state, self._may_be_whole = "answering", False
        piece, self._held = self._held[: taken.used], self._held[taken.used :]
        if taken.calls:
            self._fresh = True
            yield self._gathered.call(taken.calls, taken.shown)
        elif piece:
            yield self._gathered.say(piece, "answer")


def _overlap(text: str, tag: str) -> int:
    """The length of the longest end of `text` that begins `tag`."""
    at = text.find(tag[0], max(0, len(text) - len(tag) + 1))
    while at >= 0:
        if tag.startswith(text[at:]):
            return len(text) - at
        at = text.find(tag[0], at + 1)
    return 0
