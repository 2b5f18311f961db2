"""A transcript as one HTML fragment: inline style, no script, no outside reference, all text escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape

from .message import Message, Part, Provenance, Reasoning, Scores, Signal, Text, ToolCall, ToolResult
from .palette import DARK, LIGHT, readable
from .receipt import Receipt
from .value import canonical, short

SHOWN = 200
"""Messages shown unfolded; beyond them the middle folds."""

_STYLE = f"""<style>
.symposia{{--bg:{LIGHT};--fg:#1a1a1a;--soft:#595959;--line:#d9d9d9;color-scheme:light dark;
background:var(--bg);color:var(--fg);font:14px/1.5 system-ui,sans-serif;padding:.75em 1em;
border:1px solid var(--line);border-radius:6px}}
@media (prefers-color-scheme:dark){{.symposia{{--bg:{DARK};--fg:#ececec;--soft:#a6a6a6;--line:#3d3d3d}}
.symposia b{{color:var(--d)}}}}
@media not all and (prefers-color-scheme:dark){{.symposia b{{color:var(--l)}}}}
.symposia article{{margin:.6em 0}}
.symposia p{{margin:.1em 0;white-space:pre-wrap;overflow-wrap:anywhere}}
.symposia pre{{margin:.2em 0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}}
.symposia i,.symposia summary{{color:var(--soft);font-style:normal;font-size:12px}}
.symposia mark{{background:none;color:var(--fg);border:1px solid var(--soft);border-radius:4px;
padding:0 .4em;margin-left:.4em;font-size:12px}}
</style>"""


def fragment(messages: Sequence[Message]) -> str:
    """One self-contained fragment; beyond 200 messages the middle is folded under its count."""
    blocks = [_article(index, message) for index, message in enumerate(messages)]
    if len(blocks) > SHOWN:
        head, tail = SHOWN // 2, len(blocks) - SHOWN // 2
        middle = _details(f"{tail - head} messages in between", "".join(blocks[head:tail]))
        blocks = [*blocks[:head], middle, *blocks[tail:]]
    return f'<div class="symposia">{_STYLE}{"".join(blocks)}</div>'


def _article(index: int, message: Message) -> str:
    badges = "".join(f"<mark>{escape(badge)}</mark>" for badge in _badges(message))
    body = "".join(_part(part) for part in message.parts)
    if message.provenance and message.provenance.receipts:
        body += _details("receipts", "".join(_receipt(r) for r in message.provenance.receipts))
    who = f'<b style="{_colours(message.author)}">{escape(message.author)}</b>'
    whole = f"{who} <i>[{index}]{_audience(message)}</i>{badges}{body}"
    if message.is_control:
        whole = _details(f"[{index}] {message.author}: control message", whole)
    return f"<article>{whole}</article>"


def _part(part: Part) -> str:
    match part:
        case Text(text=text):
            return f"<p>{escape(text)}</p>"
        case Reasoning(text=text):
            return _details("reasoning", f"<p>{escape(text)}</p>")
        case ToolCall(name=name, arguments=arguments, error=error):
            shown = error or canonical(arguments).decode()
            return _details(f"calls {name}", f"<pre>{escape(shown)}</pre>")
        case ToolResult(name=name, text=text, error=error):
            return _details(f"{'error' if error else 'result'} of {name}", f"<pre>{escape(text)}</pre>")
        case Signal(name=name, note=note):
            return f"<p>{escape(name)} {escape(note)}</p>"
        case Scores(choices=choices, logprobs=logprobs):
            rows = (f"{p:.3f}  {choice}" for choice, p in zip(choices, logprobs, strict=True))
            return _details("scores", f"<pre>{escape(chr(10).join(rows))}</pre>")


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def _audience(message: Message) -> str:
    if not message.audience:
        return ""
    return f" to {escape(', '.join(sorted(message.audience)))}"


def _badges(message: Message) -> Iterator[str]:
    if message.stands_for:
        yield f"summary of {message.stands_for[0]}–{message.stands_for[1] - 1}"
    if message.provenance:
        yield from _provenance_badges(message.provenance)


def _provenance_badges(made: Provenance) -> Iterator[str]:
    if made.finish_reason == "length":
        yield "cut at the token limit"
    if made.finish_reason in ("refusal", "content_filter"):
        yield made.finish_reason.replace("_", " ")
    if made.dropped:
        yield f"{sum(stop - start for start, stop in made.dropped)} earlier messages out of context"
    if made.edited_by:
        yield f"edited by {', '.join(made.edited_by)}"
    if made.interventions or made.receipts:
        yield _steering(made)


def _steering(made: Provenance) -> str:
    """Whether what was asked for was applied; an intervention without a receipt counts as not applied."""
    asked = max(len(made.interventions), len(made.receipts))
    applied = sum(receipt.status == "applied" for receipt in made.receipts)
    if applied == asked:
        return f"steered: {'; '.join(map(_in_short, made.receipts))}"
    others = sorted(
        {receipt.status.replace("_", " ") for receipt in made.receipts if receipt.status != "applied"}
    )
    return f"steering not applied: {asked - applied} of {asked} ({', '.join(others) or 'no receipt'})"


def _in_short(receipt: Receipt) -> str:
    layers = ", ".join(str(layer.layer) for layer in receipt.layers)
    return f"{receipt.name or receipt.op} at {layers}, {_tokens(receipt)} tokens{_size(receipt)}"


def _tokens(receipt: Receipt) -> int:
    return receipt.tokens.given + receipt.tokens.history + receipt.tokens.generated


def _size(receipt: Receipt) -> str:
    """How large the change was beside what it changed, over the layers."""
    norm = sum(layer.norm for layer in receipt.layers)
    return f", ‖δ‖ {sum(layer.delta_mean for layer in receipt.layers) / norm:.2f} of ‖h‖" if norm else ""


def _receipt(receipt: Receipt) -> str:
    where = ", ".join(
        f"{layer.layer}: ‖δ‖ {layer.delta_mean:.3g} of ‖h‖ {layer.norm:.3g}" for layer in receipt.layers
    )
    gate = receipt.gate
    gated = "" if gate is None else f"; gate {'open' if gate.open else 'closed'}"
    scored = "" if gate is None else f", {gate.score:.3g} against {gate.threshold:.3g}"
    text = (
        f"{receipt.op} {receipt.name} {short(receipt.vector)} at {receipt.site}: "
        f"{receipt.status.replace('_', ' ')}; {_tokens(receipt)} tokens; layers {where or 'none'}{gated}{scored}"
    )
    return f"<p>{escape(text)}</p>"


@lru_cache(maxsize=4096)
def _colours(author: str) -> str:
    hue = int.from_bytes(hashlib.sha256(author.encode()).digest()[:2]) / 65536
    return f"--l:{readable(hue, LIGHT)};--d:{readable(hue, DARK)}"
