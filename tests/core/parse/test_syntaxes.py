"""Each syntax as the public models write it, and how each breaks."""

from __future__ import annotations

import pytest

from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.parse import SUPPORTED, Parser, parse
from symposia.core.toolspec import ToolSpec

XML = "<tool_call>\n<function=f>\n<parameter=n>\n{}\n</parameter>\n</function>\n</tool_call>"
TALK = (
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
    '{"a": "<|end|>"}<|call|>'
)


def call(n: int = 0, name: str = "f", given: str = "", /, **arguments: object) -> ToolCall:
    return ToolCall(id=given or f"call_{n}", name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("syntax", "text", "parts"),
    [
        (
            "qwen_xml",
            "Let me see.\n<tool_call>\n<function=f>\n<parameter=a>\nNew\nYork\n</parameter>\n</function>\n</tool_call>",
            (Text("Let me see."), call(a="New\nYork")),
        ),
        ("qwen_xml", "<tool_call><function=f></function></tool_call>", (call(),)),
        (
            "qwen_xml",
            "<tool_call><function=f><parameter=a>1<parameter=b>2</function></tool_call>",
            (call(a="1", b="2"),),
        ),
        ("llama_json", '{"name": "f", "parameters": {"a": 1}}', (call(a=1),)),
        ("llama_json", '\n{"type": "function", "name": "f", "parameters": {}}<|eom_id|>', (call(),)),
        (
            "llama_json",
            '{"name": "f", "arguments": "{\\"a\\": 1}"}; {"name": "g"}',
            (call(a=1), call(1, "g")),
        ),
        ("llama_json", 'So: <|python_tag|>{"name": "f", "parameters": {}}', (Text("So:"), call())),
        ("llama_json", '{"name": "f", "parameters": {}} I called.', (Text("I called."), call())),
        ("llama_json", 'So: {"name": "f", "parameters": {}}', (Text('So: {"name": "f", "parameters": {}}'),)),
        ("llama_json", '{"city": "Oslo"}', (Text('{"city": "Oslo"}'),)),
        ("llama_json", '{"id": 3, "type": "x"}', (Text('{"id": 3, "type": "x"}'),)),
        ("llama_json", '{"name": {"first": "Bo"}}', (Text('{"name": {"first": "Bo"}}'),)),
        ("llama_json", "{}", (Text("{}"),)),
        ("llama_json", "  ", (Text("  "),)),
        ("llama_list", "[f(a=1, b=['x', -2.5]), g()]", (call(a=1, b=["x", -2.5]), call(1, "g"))),
        (
            "llama_list",
            "[a.b(deep={'k': [True, None, true, null]})]<|eot_id|>",
            (call(0, "a.b", deep={"k": [True, None] * 2}),),
        ),
        ("llama_list", "<|python_tag|>[f()]", (call(),)),
        ("llama_list", "[f(a=1)] I called.", (Text("I called."), call(a=1))),
        ("llama_list", "[note(s)] are words", (Text("[note(s)] are words"),)),
        ("llama_list", "[1, 2]", (Text("[1, 2]"),)),
        (
            "mistral",
            'Hm.[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}, {"name": "g", "arguments": {}}]',
            (Text("Hm."), call(0, "f", "abcdefghi", a=1), call(1, "g")),
        ),
        ("mistral_args", '[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{"a": 1}', (call(0, "f", "abcdefghi", a=1),)),
        (
            "mistral_args",
            '[TOOL_CALLS]f[ARGS]{"a": "[TOOL_CALLS]"}[TOOL_CALLS]g{}',
            (call(a="[TOOL_CALLS]"), call(1, "g")),
        ),
        (
            "gemma_code",
            "Sure.\n```tool_code\nf(a='``` is a fence')\n```",
            (Text("Sure."), call(a="``` is a fence")),
        ),
        ("gemma_code", "```tool_code\nprint(f(a=1))\ng()\n```", (call(a=1), call(1, "g"))),
        ("gemma_code", "```python\nf()\n```", (Text("```python\nf()\n```"),)),
        (
            "phi",
            '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}, {"name": "g"}]<|/tool_call|>',
            (call(a=1), call(1, "g")),
        ),
        (
            "phi",
            'Hm <|tool_call|>{"name": "f", "parameters": {"a": "<|/tool_call|>"}}<|/tool_call|>',
            (Text("Hm"), call(a="<|/tool_call|>")),
        ),
        (
            "harmony",
            TALK,
            (Reasoning("hm"), Text("I look."), call(a="<|end|>")),
        ),
        ("harmony", ' to=functions.f<|channel|>commentary json<|message|>{"a": 1}', (call(a=1),)),
        (
            "harmony",
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b",
            (Reasoning("a\n\nb"),),
        ),
        ("harmony", "<|channel|>final<|message|>1 <| 2 < 3<|return|>", (Text("1 <| 2 < 3"),)),
        ("harmony", "Hello.", (Text("Hello."),)),
        ("harmony", "<|channel|>fin", ()),
        ("harmony", " to", (Text(" to"),)),
    ],
)
def test_calls_as_the_models_write_them(syntax: str, text: str, parts: tuple) -> None:
    """Text, reasoning and calls, several at once, quoted marks and all."""
    assert parse(text, syntax) == parts


@pytest.mark.parametrize(
    ("syntax", "text", "name", "says"),
    [
        ("qwen_xml", "<tool_call>f(1)</tool_call>", "", "<function=NAME>"),
        ("qwen_xml", "<tool_call><function=f>a=1</function></tool_call>", "f", "between parameters"),
        ("qwen_xml", "<tool_call><function=f>", "", "</tool_call>"),
        ("llama_json", '{"name": "f", "parameters": {"a": ', "", "JSON with name"),
        ("llama_json", '{"name": "f", "parameters": [1]}', "f", "object of arguments; got list"),
        ("llama_json", "<|python_tag|>print(1)", "", "JSON with name"),
        ("llama_list", "[f(a=1, b='lon", "", "calls like"),
        ("llama_list", "[f(a=g(1))]", "", "Call is not a literal"),
        ("llama_list", "[f(a=1e999)]", "", "not a literal"),
        ("mistral", '[TOOL_CALLS][{"name": "f", "argum', "", "JSON list"),
        ("mistral", "[TOOL_CALLS]f[ARGS]{}", "", "JSON list"),
        ("mistral_args", '[TOOL_CALLS]f[ARGS]{"a": ', "f", "JSON object"),
        ("mistral_args", "[TOOL_CALLS]f", "f", "[ARGS]"),
        ("mistral_args", '[TOOL_CALLS][{"name": "f"}]', "", "NAME[ARGS]"),
        ("gemma_code", "```tool_code\nf(1)\n```", "", "need names"),
        ("gemma_code", "```tool_code\nimport os\n```", "", "statement"),
        ("gemma_code", "```tool_code\nf(a=__import__('os'))\n```", "", "not a literal"),
        ("gemma_code", "```tool_code\nf()", "", "```"),
        ("phi", "<|tool_call|>[1]<|/tool_call|>", "", "JSON with name"),
        ("harmony", '<|channel|>commentary to=functions.f<|message|>{"a": ', "f", "JSON object"),
        ("harmony", "<|channel|>commentary to=functions.f", "f", "<|message|>"),
        ("harmony", "<|channel|>analysis to=python<|message|>1 + 1<|call|>", "python", "JSON object"),
    ],
)
def test_a_malformed_call_says_what_was_expected(syntax: str, text: str, name: str, says: str) -> None:
    """It is data, without arguments, and no part of it is text."""
    (made,) = parse(text, syntax)
    assert isinstance(made, ToolCall)
    assert (made.name, made.arguments) == (name, {})
    assert says in made.error


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "3", "3"),
        ({"type": "string"}, "null", "null"),
        ({"type": "string"}, " two  ", " two  "),
        ({"type": "integer"}, "3", 3),
        ({"type": "integer"}, "3.0", 3),
        ({"type": "integer"}, "three", "three"),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "number"}, "true", "true"),
        ({"type": "boolean"}, "True", True),
        ({"type": "array"}, "[1, true]", [1, True]),
        ({"type": "array"}, "[1, True, 'x']", [1, True, "x"]),
        ({"type": "object"}, '{"a": {"b": null}}', {"a": {"b": None}}),
        ({"type": ["integer", "null"]}, "None", None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null", None),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "3", "3"),
        ({"$ref": "#/$defs/Count"}, "7", 7),
        ({"enum": [1, 2]}, "2", 2),
        ({}, "3", "3"),
    ],
)
def test_xml_values_are_what_the_schema_says(schema: dict, text: str, value: object) -> None:
    """Values have no types of their own; what the schema does not claim stays text."""
    parameters = {"type": "object", "properties": {"n": schema}, "$defs": {"Count": {"type": "integer"}}}
    tool = ToolSpec(name="f", description="", parameters=parameters)
    (made,) = parse(XML.format(text), "qwen_xml", tools=(tool,))
    assert made.arguments == {"n": value}
    assert type(made.arguments["n"]) is type(value)


def test_a_schema_that_refers_to_itself_ends() -> None:
    """And stays text."""
    tool = ToolSpec(name="f", description="", parameters={"properties": {"n": {"$ref": "#/properties/n"}}})
    assert parse(XML.format("1"), "qwen_xml", tools=(tool,)) == (call(n="1"),)


def test_thinking_stands_before_calls_in_every_syntax() -> None:
    """Whatever looks like a call inside it is a thought."""
    thought = '<think>I could {"name": "f"} or [f()] or <tool_call>{}</tool_call></think>\n\nNo.'
    for syntax in SUPPORTED:
        if syntax != "harmony":
            reasoning, text = parse(thought, syntax)
            assert (type(reasoning), text) == (Reasoning, Text("No."))


@pytest.mark.parametrize(
    ("syntax", "chunks", "shown"),
    [
        ("llama_json", ["{", '"n', 'ice"', ": 1}"], ["", "", '{"nice"', ": 1}"]),
        ("llama_list", ["[", "not", "(e)", " x"], ["", "", "[not(e)", " x"]),
        ("mistral", ["Hi [TOOL", "_BOX] there"], ["Hi ", "[TOOL_BOX] there"]),
        ("harmony", ["<|channel|>fi", "nal<|mess", "age|>Yes", "."], ["", "", "Yes", "."]),
        ("gemma_code", ["a ``", "`py", "\nx"], ["a ", "```py", "\nx"]),
    ],
)
def test_text_is_shown_as_soon_as_it_cannot_be_a_call(syntax: str, chunks: list, shown: list) -> None:
    """And not before: a mark that is half there is held back."""
    parser = Parser(syntax)
    assert ["".join(d.text for d in parser.feed(chunk) if d.phase == "answer") for chunk in chunks] == shown


@pytest.mark.parametrize("syntax", ["llama_list", "gemma_code"])
@pytest.mark.parametrize(
    "body",
    [
        "f(a=" + "[" * 5000,
        "f(a=" + "-" * 20000 + "1)",
        "f" + ".a" * 20000 + "()",
        "f(a='\\ud800')",
        "f(a=1if)",
    ],
)
def test_code_that_is_too_much_is_an_error(syntax: str, body: str) -> None:
    """Deep, odd or half characters: no crash, no warning, no call."""
    text = f"[f(x=1), {body}]" if syntax == "llama_list" else f"```tool_code\n{body}\n```"
    assert any(part.error for part in parse(text, syntax) if isinstance(part, ToolCall))
