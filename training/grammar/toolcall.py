"""A user with a sum and a speaker with a calculator: call, result, answer."""

import json
from typing import Any

from training.grammar import quiz
from training.grammar.dialogue import Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.person import system_text, talkers
from training.grammar.style import dressed

_MANNER = ("sentiment", "formality", "politeness")
_DESCRIPTIONS = (
    "Evaluates an arithmetic expression.",
    "Computes the value of an expression.",
    "Work out a sum exactly.",
    "A calculator for numbers and + - * / ( ).",
    "Arithmetic on exact numbers.",
)
_ASKS = (
    "What is {}?",
    "How much is {}?",
    "Please compute {}.",
    "Use the calculator: {}",
    "Tell me what {} is.",
)


def calculator(dice: Dice) -> dict[str, Any]:
    """The calculator's specification, in one of many equivalent forms."""
    expression: dict[str, Any] = {"type": "string"}
    if dice.chance(0.5):
        expression["description"] = dice.pick(
            ("The expression.", "for example 3 + 4", "An arithmetic expression")
        )
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {"expression": expression},
        "required": ["expression"],
    }
    if dice.chance(0.5):
        parameters["additionalProperties"] = False
    return tool_spec("calculator", dice.pick(_DESCRIPTIONS), parameters)


def other_tool(dice: Dice) -> dict[str, Any]:
    """A second tool that is on offer and not needed."""
    name = dice.pick(("weather", "clock", "notes", "search"))
    parameters = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return tool_spec(name, dice.pick(("Looks something up.", "Tells the current state.")), parameters)


def tool_spec(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool as chat templates take it."""
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def _sum(dice: Dice) -> tuple[str, str]:
    top = dice.pick((9, 99, 999))
    a, b = dice.between(0, top), dice.between(0, top)
    sign = dice.pick("+-*")
    return f"{a} {sign} {b}", str({"+": a + b, "-": a - b, "*": a * b}[sign])


def toolcall(dice: Dice) -> Dialogue:
    """One to three sums, each answered by a call, its result, and a sentence that repeats the result."""
    viewer = talkers(dice, 1)[0]
    dialogue = Dialogue(roster=(viewer.name, "user"), viewer=viewer.name, kind="tool")
    tools = [calculator(dice)] + ([other_tool(dice)] if dice.chance(0.25) else [])
    dialogue.tools = tuple(dice.sample(tools, len(tools)))
    own = system_text(dice, viewer, topic=None, others=(), allowed=_MANNER)
    marked = dice.chance(0.3)
    if marked:
        own = f"{own} {dice.pick(quiz.INSTRUCTIONS)}"
    dialogue.system = own.strip()
    for _ in range(dice.between(1, 3)):
        expression, result = _sum(dice)
        dialogue.say("user", dice.pick(_ASKS).format(expression))
        arguments = json.dumps({"expression": expression})
        call = ("calculator", arguments, result)
        dialogue.spoken.append(
            Utterance(viewer.name, "", 0.0, True, call=call, skill="call", expects=expression)
        )
        dialogue.say("tool", result)
        meter = Meter(dice)
        meter.start()
        text = dressed(dice, viewer.traits, f"{expression} is {result}", None)
        text += f"\n{quiz.MARKER} {result}" if marked else ""
        dialogue.spoken.append(Utterance(viewer.name, text, meter.read(), taught=True))
    return dialogue
