"""Log-probabilities of a stream, gathered into columns."""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.request import Logprobs

from .chunks import ChosenToken


class Scored:
    """Tokens as they are received."""

    def __init__(self) -> None:
        self._tokens: list[ChosenToken] = []

    def feed(self, tokens: Sequence[ChosenToken]) -> None:
        """The tokens of one chunk."""
        self._tokens += tokens

    def columns(self, text: str, *, cut: bool) -> Logprobs | None:
        """One row a token; of a text that was cut, only the tokens that reach into it. None if nothing came."""
        if not self._tokens:
            return None
        kept = self._within(len(text)) if cut else self._tokens
        tops = [token.top_logprobs or [] for token in kept]
        asked = any(tops)
        return Logprobs(
            of="provider",
            tokens=tuple(token.token for token in kept),
            chosen=tuple(token.logprob for token in kept),
            top_tokens=tuple(tuple(top.token for top in row) for row in tops) if asked else (),
            top=tuple(tuple(top.logprob for top in row) for row in tops) if asked else (),
        )

    def _within(self, length: int) -> list[ChosenToken]:
        kept, at = [], 0
        for token in self._tokens:
            if at >= length:
                break
            kept.append(token)
            at += len(token.token)
        return kept
