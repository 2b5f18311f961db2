"""A reply's text as it grows: stop strings are found, never leak, and cut text and tokens exactly.

`stop` ends the text before the match, `stop_after` right after it. Tokens whose text lies wholly before the cut
stay; one that straddles it goes, so that no kept token says more than the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from symposia.core.request import Delta
from symposia.core.span import Phase

from .detokenise import Detokeniser

Shown = Literal["answer", "reasoning", "tool"]


def shown_phase(phase: Phase, before: Shown, following: Phase) -> Shown:
    """Where a listener shows a token: delimiters go with what they open, or else close."""
    if phase in ("answer", "reasoning", "tool"):
        return phase
    if following in ("reasoning", "tool"):
        return following
    return before if phase == "markup" else "answer"


@dataclass
class _Piece:
    token_id: int
    end: int
    phase: Shown


class Stream:
    """Feeds on sampled tokens; hands out deltas whose texts concatenate to `text`."""

    def __init__(self, detokeniser: Detokeniser, stop: tuple[str, ...], stop_after: tuple[str, ...]) -> None:
        self._detokeniser = detokeniser
        self._stop, self._stop_after = stop, stop_after
        self._longest = max((len(s) for s in stop + stop_after), default=0)
        self._grown = ""
        self._pieces: list[_Piece] = []
        self._shown, self._released = 0, 0
        self._kept: int | None = None
        self._from = 0

    @property
    def text(self) -> str:
        """All text so far; after a match, up to the cut."""
        return self._grown

    @property
    def kept(self) -> int:
        """How many of the pushed tokens belong to the text."""
        return len(self._pieces) if self._kept is None else self._kept

    def push(self, token_id: int, phase: Shown, *, armed: bool = True) -> bool:
        """Add a token; True if a stop string is complete. Unarmed text (`min_tokens`) matches nothing, now or later."""
        self._grow(self._detokeniser.push(token_id))
        self._pieces.append(_Piece(token_id, len(self._grown), phase))
        if not armed:
            self._from = len(self._grown)
            return False
        return self._longest > 0 and self._match()

    def close(self, end_token: int | None = None, phase: Shown = "answer") -> bool:
        """No more text comes; `end_token` ended the turn and says nothing. True if the last bytes completed a stop."""
        rest = self._detokeniser.flush()
        if rest:
            self._grow(rest)
            self._pieces[-1].end = len(self._grown)
        stopped = self._kept is None and self._match()
        if end_token is not None and not stopped:
            self._pieces.append(_Piece(end_token, len(self._grown), phase))
        return stopped

    def release(self, *, final: bool) -> list[Delta]:
        """Text and tokens that can no longer be cut, one delta a phase."""
        safe = len(self._grown) if final else len(self._grown) - self._held_back()
        deltas: list[Delta] = []
        stop = self.kept
        while self._released < stop and self._pieces[self._released].end <= safe:
            piece = self._pieces[self._released]
            _extend(deltas, self._grown[self._shown : piece.end], piece.phase, (piece.token_id,))
            self._shown = max(self._shown, piece.end)
            self._released += 1
        if self._shown < safe:
            phase = self._pieces[min(self._released, len(self._pieces) - 1)].phase
            _extend(deltas, self._grown[self._shown : safe], phase, ())
            self._shown = safe
        return deltas

    def _grow(self, piece: str) -> None:
        self._grown += piece

    def _match(self) -> bool:
        begin = max(self._from, self._searched_to())
        best: tuple[int, int] | None = None
        for strings, after in ((self._stop, False), (self._stop_after, True)):
            for string in strings:
                at = self._grown.find(string, begin)
                if at >= 0 and (best is None or at < best[0]):
                    best = (at, at + len(string) if after else at)
        if best is None:
            return False
        cut = best[1]
        self._grown = self._grown[:cut]
        kept = sum(piece.end <= cut for piece in self._pieces)
        while kept and self._says_nothing(kept - 1):  # the beginning of a character that was cut away
            kept -= 1
        self._kept = kept
        return True

    def _searched_to(self) -> int:
        """Where a match not yet found could begin: within reach of the newest piece."""
        previous = self._pieces[-2].end if len(self._pieces) > 1 else 0
        return max(0, previous - self._longest + 1)

    def _says_nothing(self, index: int) -> bool:
        start = self._pieces[index - 1].end if index else 0
        return self._pieces[index].end == start

    def _held_back(self) -> int:
        if self._kept is not None or not self._longest:
            return 0
        tail = (
            self._grown[max(self._from, len(self._grown) - self._longest + 1) :] if self._longest > 1 else ""
        )
        return next((n for n in range(len(tail), 0, -1) if self._begins_stop(tail[-n:])), 0)

    def _begins_stop(self, text: str) -> bool:
        return any(s.startswith(text) for s in self._stop + self._stop_after)


def _extend(deltas: list[Delta], text: str, phase: Shown, ids: tuple[int, ...]) -> None:
    if deltas and deltas[-1].phase == phase:
        last = deltas[-1]
        deltas[-1] = Delta(text=last.text + text, phase=phase, token_ids=last.token_ids + ids)
    elif text or ids:
        deltas.append(Delta(text=text, phase=phase, token_ids=ids))
