"""The chat template in Python, piece by piece, so that every piece can carry a training weight.

The pieces' texts in a row are exactly what `chat_template.jinja` renders for the same sample.
"""

import json
from dataclasses import dataclass
from typing import Any

from training.grammar.view import THINK_OPEN, Line, Sample

START, END = "<|im_start|>", "<|im_end|>"
OTHERS = 0.3  # weight of what other speakers derived, beside 1.0 for the viewer's own replies


@dataclass(frozen=True)
class Piece:
    """Text with the weight of its tokens; `own` marks what the grammar derived as the viewer's reply."""

    text: str
    weight: float = 0.0
    own: bool = False


def tool_section(tools: tuple[dict[str, Any], ...]) -> str:
    """What the template says about tools."""
    specs = "".join("\n" + json.dumps(tool, ensure_ascii=False) for tool in tools)
    example = '<tool_call>\n{"name": "the tool", "arguments": {"key": "value"}}\n</tool_call>'
    return f"These tools can be called:\n<tools>{specs}\n</tools>\nA call is written like this:\n{example}"


def _assistant(line: Line, invited: bool) -> list[Piece]:
    message = line.message
    text = message["content"]
    for entry in message.get("tool_calls", ()):
        call = entry["function"]
        arguments = json.dumps(call["arguments"], ensure_ascii=False)
        text += (
            "\n" if text else ""
        ) + f'<tool_call>\n{{"name": "{call["name"]}", "arguments": {arguments}}}\n</tool_call>'
    weight = 1.0 if line.derived else 0.0
    pieces = [Piece(f"{START}assistant\n")]
    if invited and text.startswith(THINK_OPEN):
        pieces.append(Piece(THINK_OPEN))
        text = text.removeprefix(THINK_OPEN)
    return [*pieces, Piece(text, weight, line.derived), Piece(END, weight, line.derived), Piece("\n")]


def pieces(sample: Sample) -> list[Piece]:
    """The whole sample, in order."""
    lines = list(sample.lines)
    out: list[Piece] = []
    if sample.tools:
        system = lines.pop(0).message["content"] + "\n\n" if lines[0].message["role"] == "system" else ""
        out.append(Piece(f"{START}system\n{system}{tool_section(sample.tools)}{END}\n"))
    results = False
    for line in lines:
        role, content = line.message["role"], line.message["content"]
        if role == "tool":
            start = "" if results else f"{START}user"
            out.append(Piece(f"{start}\n<tool_response>\n{content}\n</tool_response>"))
            results = True
            continue
        if results:
            out.append(Piece(f"{END}\n"))
            results = False
        if role == "assistant":
            out += _assistant(line, sample.invited)
        else:
            weight = OTHERS if line.derived else 0.0
            out += [Piece(f"{START}{role}\n"), Piece(content, weight), Piece(f"{END}\n")]
    return out


def rendered(sample: Sample) -> str:
    """The text that the template gives for this sample."""
    return "".join(piece.text for piece in pieces(sample))
