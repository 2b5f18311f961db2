"""Token ids to text, piece by piece: pieces are never taken back, and together they are the whole text.

A piece that ends inside a character waits for its rest. For bytes that are valid UTF-8 the pieces concatenate to
`tokenizer.decode(ids)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

_HALF = "\ufffd"


class Detokeniser:
    """Decodes a window that begins where text was last complete; control tokens are kept."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._spell = _speller(tokenizer)
        self._ids: list[int] = []
        self._start = 0  # the window: ids before it are done and no longer needed as context
        self._done = 0  # ids whose text has been given out

    def push(self, token_id: int) -> str:
        """Text that became certain with this token; empty while a character is incomplete."""
        self._ids.append(token_id)
        return self._advance(final=False)

    def flush(self) -> str:
        """What is left, incomplete characters as U+FFFD."""
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> str:
        shown = self._decode(self._start, self._done)
        whole = self._decode(self._start, len(self._ids))
        if self._done == len(self._ids) or (not final and whole.endswith(_HALF)):
            return ""
        # where later bytes change how earlier ones read, what was given out stands
        fits = whole.startswith(shown)
        piece = whole[len(shown) :] if fits else self._decode(self._done, len(self._ids))
        self._start, self._done = self._done, len(self._ids)
        return piece

    def _decode(self, start: int, stop: int) -> str:
        return "" if start == stop else self._spell(self._ids[start:stop])


class Words:
    """Each token as it reads after others; part of a character is U+FFFD. Spelled once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._spell = _speller(tokenizer)
        plain = tokenizer.encode("a", add_special_tokens=False)
        self._before: list[int] = list(plain[-1:])
        self._shown = self._spell(self._before) if plain else ""
        self._known: dict[int, str] = {}

    def texts(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """The words of some tokens."""
        for token_id in set(token_ids) - self._known.keys():
            whole = self._spell([*self._before, token_id])
            fits = whole.startswith(self._shown)
            self._known[token_id] = whole[len(self._shown) :] if fits else self._spell([token_id])
        return tuple([self._known[token_id] for token_id in token_ids])


def _speller(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[int]], str]:
    """`tokenizer.decode` of everything, tidied by nobody; without transformers' wrapping where it adds nothing."""
    own = PreTrainedTokenizerFast._decode  # noqa: SLF001  a tokenizer may have its own
    if isinstance(tokenizer, PreTrainedTokenizerFast) and type(tokenizer)._decode is own:  # noqa: SLF001
        decode = tokenizer.backend_tokenizer.decode
        return lambda ids: str(decode(ids, skip_special_tokens=False))
    return lambda ids: str(
        tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    )
