"""A rendered prompt with its spans: who said which tokens, in which phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symposia.core.models import resolve
from symposia.core.request import Prompt
from symposia.core.span import Phase, Span

from .lines import show_lines
from .terminal import Terminal

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation

_STYLE: dict[Phase, str] = {"answer": "bold ", "prompt": "", "reasoning": "italic ", "tool": "underline "}


def show_prompt(out: Terminal, conversation: Conversation, name: str) -> None:
    """The exact prompt of `name`'s next turn: coloured text on a terminal, a line a span elsewhere.

    Where the tokenizer is elsewhere, the lines that would be sent and a safe estimate of their tokens.
    """
    prompt = conversation.prompt(name)
    if not prompt.exact:
        out.line(f"at most {prompt.tokens:,} tokens; the endpoint renders the prompt itself", "dim")
        show_lines(out, conversation.view(name))
        return
    pieces = list(spelled(prompt, conversation[name].profile.model))
    if out.tty:
        _coloured(out, pieces, prompt)
    else:
        for span, text in pieces:
            out.line(f"{span.start:>5} {span.stop:>5}  {_label(span):<32}  {text!r}")


def spelled(prompt: Prompt, model: str) -> Iterator[tuple[Span, str]]:
    """Each span with its text; the texts together are the prompt."""
    from transformers import AutoTokenizer

    from symposia.engine.detokenise import Detokeniser
    from symposia.engine.locate import Place

    tokenizer = AutoTokenizer.from_pretrained(Place(resolve(model)).fetch(), trust_remote_code=False)
    decoder = Detokeniser(tokenizer)
    for span in prompt.spans:
        text = "".join(decoder.push(token) for token in prompt.token_ids[span.start : span.stop])
        yield span, text + (decoder.flush() if span.stop == len(prompt.token_ids) else "")


def _coloured(out: Terminal, pieces: list[tuple[Span, str]], prompt: Prompt) -> None:
    seen: dict[str, str] = {}
    for span, text in pieces:
        style = _style(out, span)
        seen.setdefault(_legend(span), style)
        out.piece(text, style)
    out.line()
    out.line()
    out.piece(f"{prompt.tokens:,} tokens   ", "dim")
    for label, style in seen.items():
        out.piece(f"■ {label}   ", style)
    out.line()


def _style(out: Terminal, span: Span) -> str:
    if span.phase == "markup":
        return "dim"
    return f"{_STYLE[span.phase]}{out.colour(span.author or span.role or '')}"


def _legend(span: Span) -> str:
    return "markup" if span.phase == "markup" else f"{span.author or span.role or 'start'}, {span.phase}"


def _label(span: Span) -> str:
    turn = "-" if span.turn is None else str(span.turn)
    return f"{span.role or 'start':<9} {span.phase:<9} {turn:>2} {span.author or '-'}"
