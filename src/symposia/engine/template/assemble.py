"""Pieces to token ids and spans: ordinary text in sections, control tokens only where the template wrote them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from symposia.core.span import Span

from .codec import Codec, Control, Encoded
from .layout import Label, Piece


class Part(NamedTuple):
    """Consecutive tokens and the text they stand for. `ends` None: stored ids, whose offsets are found when asked."""

    text_start: int
    token_start: int
    ids: tuple[int, ...]
    ends: tuple[int, ...] | None
    length: int


class Assembly:
    """Tokens, spans and parts of a prompt, built piece by piece."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.ids: list[int] = []
        self.parts: list[Part] = []
        self._labels: list[tuple[Label, bool, int]] = []  # label, alone, tokens
        self._run: list[Piece] = []
        self._at = 0  # characters before the run
        self._swallow = False  # the control token before the run takes white space to its right

    def sections(self, pieces: Sequence[Piece]) -> None:
        """Encode cut at written control tokens and at stored ids."""
        for piece in pieces:
            if piece.ids is not None and self._usable(piece):
                self._flush()
                self._stored(piece)
            elif piece.written:
                self._written(piece)
            else:
                self._run.append(piece)
        self._flush()

    def whole(self, pieces: Sequence[Piece]) -> None:
        """Encode the joined text at once; control strings anywhere in it become control tokens."""
        text = "".join(piece.text for piece in pieces)
        self._place(self.codec.whole(text), pieces, 0, text)

    def spans(self) -> tuple[Span, ...]:
        """The spans, one for each segment and each stretch of markup of one line."""
        spans: list[Span] = []
        start = 0
        held: tuple[Label, bool, int] | None = None
        for label, alone, count in (*self._labels, None_LABEL):
            if held is not None and (alone or held[1] or label != held[0]):
                spans.append(_span(held[0], start, start + held[2]))
                start += held[2]
                held = None
            if count:
                held = (label, alone, count if held is None else held[2] + count)
        return tuple(spans)

    def _usable(self, piece: Piece) -> bool:
        ids = piece.ids or ()
        trusted = piece.label.origin == "sampled" or self.codec.control_ids.isdisjoint(ids)
        return trusted and self.codec.decoded(ids) == piece.text

    def _stored(self, piece: Piece) -> None:
        ids = piece.ids or ()
        self.parts.append(Part(self._at, len(self.ids), ids, None, len(piece.text)))
        self.ids += ids
        self._at += len(piece.text)
        self._labels.append((piece.label, True, len(ids)))

    def _written(self, piece: Piece) -> None:
        for text, control_id in self.codec.cuts(piece.text):
            if control_id is None:
                self._run.append(piece._replace(text=text))
                continue
            control = self.codec.controls[text]
            self._flush(control)
            self.parts.append(Part(self._at, len(self.ids), (control_id,), (len(text),), len(text)))
            self.ids.append(control_id)
            self._at += len(text)
            self._labels.append(
                (piece.label._replace(phase="markup", author=None, origin="scripted"), False, 1)
            )
            self._swallow = control.right

    def _flush(self, following: Control | None = None) -> None:
        run, self._run = self._run, []
        swallow, self._swallow = self._swallow, False
        if not run:
            return
        text = "".join(piece.text for piece in run)
        left = len(text) - len(text.lstrip()) if swallow else 0
        right = len(text) - len(text.rstrip()) if following is not None and following.left else 0
        kept = text[left : len(text) - right] if left + right < len(text) else ""
        encoded = self.codec.plain(kept, first=not self.ids) if kept else Encoded((), ())
        self._place(encoded, run, left, text)

    def _place(self, encoded: Encoded, run: Sequence[Piece], left: int, text: str) -> None:
        """Give each piece the tokens that end in it; the last takes what remains."""
        ids, ends = encoded
        done = 0
        boundary = -left
        for piece in run:
            boundary += len(piece.text)
            upto = len(ids) if piece is run[-1] else bisect_right(ends, boundary, lo=done)
            if upto > done:
                self._count(piece, ids[done:upto])
            done = upto
        self.parts.append(Part(self._at + left, len(self.ids), ids, ends, len(text) - left))
        self.ids += ids
        self._at += len(text)

    def _count(self, piece: Piece, ids: Sequence[int]) -> None:
        if not piece.written or self.codec.control_ids.isdisjoint(ids):
            self._labels.append((piece.label, piece.alone, len(ids)))
            return
        for token in ids:
            control = token in self.codec.control_ids
            self._labels.append((piece.label._replace(phase="markup") if control else piece.label, False, 1))


None_LABEL = (Label(None, "markup"), True, 0)


def _span(label: Label, start: int, stop: int) -> Span:
    return Span(
        start=start,
        stop=stop,
        role=label.role,
        phase=label.phase,
        author=label.author,
        turn=label.turn,
        origin=label.origin,
    )


def token_runs(
    parts: Sequence[Part], codec: Codec, hits: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """The tokens that stand for each character range."""
    ends: list[int] = []
    for part in parts:
        relative = part.ends if part.ends is not None else _stored_ends(part, codec)
        ends += [part.text_start + end for end in relative]
    return tuple(
        (bisect_right(ends, start), max(bisect_left(ends, stop) + 1, bisect_right(ends, stop)))
        for start, stop in hits
    )


def _stored_ends(part: Part, codec: Codec) -> tuple[int, ...]:
    """Where each stored token ends, by decoding ever longer prefixes; an unfinished character counts as its own end."""
    ends = [min(len(codec.decoded(part.ids[: n + 1])), part.length) for n in range(len(part.ids))]
    return (*ends[:-1], part.length) if ends else ()
