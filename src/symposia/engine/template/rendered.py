"""A rendered prompt: text, token ids, and who said which token."""

from __future__ import annotations

from dataclasses import dataclass, field

from symposia.core.request import Prompt
from symposia.core.span import Span

from .assemble import Part, token_runs
from .codec import Codec


@dataclass(frozen=True)
class Rendered:
    """`spans` partition the tokens. `omitted` names what the template is known to leave out, by conformed line.

    `opens_thinking`: the generation prompt opened a think block. `tools`: the model was told of tools.
    """

    text: str
    token_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    omitted: tuple[tuple[int, str], ...]
    opens_thinking: bool
    tools: bool = False
    _parts: tuple[Part, ...] = field(default=(), repr=False)
    _content: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    _codec: Codec | None = field(default=None, repr=False, compare=False)

    def prompt(self) -> Prompt:
        """The same as a value for the text column."""
        return Prompt(
            tokens=len(self.token_ids),
            exact=True,
            text=self.text,
            token_ids=self.token_ids,
            spans=self.spans,
            omitted=self.omitted,
        )

    def find(self, text: str) -> tuple[tuple[int, int], ...]:
        """Token runs, half-open, of every place where given content says `text`; a straddling token is included."""
        hits: list[tuple[int, int]] = []
        for start, stop in self._content if text else ():
            at = self.text.find(text, start, stop)
            while at >= 0:
                hits.append((at, at + len(text)))
                at = self.text.find(text, at + len(text), stop)
        if not hits or self._codec is None:
            return ()
        return token_runs(self._parts, self._codec, hits)
