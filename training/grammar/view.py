"""A dialogue as its viewer sees it: chat messages, with what each cost to derive."""

import json
from dataclasses import dataclass
from typing import Any

from training.grammar.dialogue import Dialogue, Utterance

OPENER = "(The conversation begins.)"
RESUME = "(Continue.)"
THINK_OPEN, THINK_CLOSE = "<think>\n", "\n</think>\n\n"


@dataclass(frozen=True)
class Line:
    """One chat message; `nats` is None where the grammar did not derive it as the viewer's own reply.

    A line that has one right content names its `skill` and what it `expects`.
    """

    message: dict[str, Any]
    nats: float | None = None
    derived: bool = False
    skill: str = ""
    expects: str = ""


@dataclass(frozen=True)
class Sample:
    """All that a chat template needs, and each taught line's cost; `invited`: it opens the thought."""

    lines: tuple[Line, ...]
    tools: tuple[dict[str, Any], ...]
    invited: bool
    kind: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The chat messages, in order."""
        return [line.message for line in self.lines]


def labelled(dialogue: Dialogue, said: Utterance) -> str:
    """Others' text under its label, where more than one other participant makes a label necessary."""
    if len(dialogue.roster) < 3:
        return said.text
    first, *rest = said.text.split("\n")
    names = (*dialogue.roster, "moderator")
    safe = [f"  {line}" if any(line.startswith(f"{name}:") for name in names) else line for line in rest]
    return "\n".join([f"{said.author}: {first}", *safe])


def _own(said: Utterance, shows_plan: bool) -> Line:
    if said.call is not None:
        name, arguments, _ = said.call
        call = {"type": "function", "function": {"name": name, "arguments": json.loads(arguments)}}
        message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [call]}
    else:
        thought = f"{THINK_OPEN}{said.plan}{THINK_CLOSE}" if shows_plan else ""
        message = {"role": "assistant", "content": thought + said.text}
    return Line(
        message,
        said.nats if said.taught else None,
        derived=said.taught,
        skill=said.skill,
        expects=said.expects,
    )


def view(dialogue: Dialogue, *, every_thought: bool) -> Sample:
    """The rules of section 3 of the conversation specification, for one dialogue and its viewer.

    Reasoning is shown on every own line or on the newest only; then older lines, lacking it, are not taught.
    """
    thinks = dialogue.thinking != "no"
    last = max((i for i, said in enumerate(dialogue.spoken) if said.author == dialogue.viewer), default=-1)
    lines = [Line({"role": "system", "content": dialogue.system})] if dialogue.system else []
    user_before = False
    previous = ""
    for i, said in enumerate(dialogue.spoken):
        if said.author == dialogue.viewer:
            if not user_before:
                lines.append(Line({"role": "user", "content": OPENER}))
            elif previous == dialogue.viewer and said.call is None:
                lines.append(Line({"role": "user", "content": RESUME}))
            line = _own(said, thinks and (every_thought or i == last))
            if thinks and not every_thought and i != last:
                line = Line(line.message)
            lines.append(line)
            user_before = True
        elif said.author == "tool":
            lines.append(Line({"role": "tool", "content": said.text}))
        else:
            lines.append(Line({"role": "user", "content": labelled(dialogue, said)}, derived=said.nats > 0))
            user_before = True
        previous = said.author
    return Sample(tuple(lines), dialogue.tools, dialogue.thinking == "invited", dialogue.kind)
