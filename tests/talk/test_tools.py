"""From a typed function to a tool: its schema, its arguments, its box."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from symposia.core.errors import InvalidInput, UnknownName
from symposia.talk.conversation import Conversation
from symposia.talk.tools import Returned, Tool, ToolBox, tool
from tests.company import opened, party
from tests.talk.test_tool_loop import TOOLS, call, calling, script


class Point(msgspec.Struct):
    x: int
    y: float = 0.0


class Node(msgspec.Struct):
    """A type that holds itself."""

    next: Node | None = None


@tool
def add(a: int, b: Annotated[int, Meta(description="second term")] = 0) -> int:
    """The sum of two numbers."""
    return a + b


@tool
def everything(
    point: Point,
    unit: Literal["m", "km"],
    tags: list[str] | None = None,
    weights: dict[str, float] = {},  # noqa: B006  shown in the schema, never changed
    *,
    exact: bool = False,
) -> str:
    """All kinds of arguments."""
    return f"{point.x}{unit}{tags}{weights}{exact}"


def answer(made: Tool, arguments: dict[str, Any]) -> Returned:
    async def run() -> Returned:
        async with made.open() as opened_run:
            return await opened_run(arguments)

    return asyncio.run(run())


def test_a_typed_function_is_a_specification() -> None:
    """Name, docstring, annotations and defaults; in one piece; unknown arguments forbidden. It is still a function."""
    assert add.spec.name == "add"
    assert add.spec.description == "The sum of two numbers."
    assert add.spec.parameters == {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "integer", "description": "second term", "default": 0},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    assert add(2, b=3) == 5
    assert "$ref" not in str(everything.spec.parameters)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=3) | st.floats(-5, 5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "q"]), inner, max_size=3)
    ),
    max_leaves=4,
)
GOOD = st.fixed_dictionaries(
    {
        "point": st.fixed_dictionaries({"x": st.integers(-9, 9)}, optional={"y": st.floats(0, 1)}),
        "unit": st.sampled_from(["m", "km"]),
    },
    optional={
        "tags": st.none() | st.lists(st.text(max_size=2), max_size=2),
        "weights": st.dictionaries(st.text(max_size=2), st.floats(0, 1), max_size=2),
        "exact": st.booleans(),
    },
)
SPOILED = st.tuples(GOOD, st.sampled_from(["point", "unit", "tags", "weights", "exact", "other"]), PLAIN).map(
    lambda t: {**t[0], t[1]: t[2]}
)


@given(GOOD | SPOILED)
def test_arguments_are_read_as_strictly_as_the_schema_says(arguments: dict[str, Any]) -> None:
    """What a second implementation of JSON Schema accepts is converted; what it refuses is an error result."""
    fits = jsonschema.Draft202012Validator(everything.spec.parameters).is_valid(arguments)
    assert answer(everything, arguments).error is not fits


def test_results_are_text_or_json() -> None:
    """Text as it is, anything else as JSON."""

    @tool
    async def give(what: int) -> Any:
        """Awaited, not put in a thread."""
        return ["text", 3, None, {"a": [1.5, True]}, Point(1)][what]

    assert [answer(give, {"what": i}).text for i in range(5)] == [
        "text",
        "3",
        "null",
        '{"a":[1.5,true]}',
        '{"x":1,"y":0.0}',
    ]


class Adder:
    """An object that can be called."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, a: int) -> int:
        return a + self.n

    def method(self, a: int) -> int:
        """Adds."""
        return a + self.n


def test_methods_and_callable_objects_are_functions_too() -> None:
    """`self` is no argument."""
    assert answer(Tool.of(Adder(3).method), {"a": 1}).text == "4"
    assert Tool.of(Adder(3)).name == "Adder"
    assert answer(Tool.of(Adder(3)), {"a": 1}).text == "4"


def unannotated(a):
    return a


def many(*numbers: int) -> int:
    return sum(numbers)


def named(**numbers: int) -> int:
    return len(numbers)


def placed(a: int, /) -> int:
    return a


def wild(a: complex) -> complex:
    return a


def endless(node: Node) -> int:
    return 0


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (unannotated, "parameter 'a' has no annotation"),
        (many, r"got \*numbers"),
        (named, r"got \*\*numbers"),
        (placed, "positional-only a"),
        (wild, "complex"),
        (endless, "Node contains itself"),
        (lambda: 1, "name"),
    ],
)
def test_what_no_model_can_call_is_refused(function, told: str) -> None:
    """No annotation, *args, **kwargs, positional-only, types without JSON, types without end, no name."""
    with pytest.raises(InvalidInput, match=told):
        Tool.of(function)


def test_a_box_holds_one_of_each_name() -> None:
    """Functions become tools; two of one name are refused; an unknown name lists the others."""
    box = ToolBox(add, Adder(1).method)
    assert [spec.name for spec in box.specs] == ["add", "method"]
    with pytest.raises(InvalidInput, match="two tools are called 'add'"):
        ToolBox(add, Tool.of(Adder(1).method, name="add"))
    with pytest.raises(UnknownName, match="did you mean 'add'"):
        box["ad"]


def test_a_conversation_takes_functions() -> None:
    """`tools=` offers them to everybody, or by name, and runs them; saved and loaded, the same box goes on."""
    backend = script(calling(call(a=2, b=2)), "4")
    people = party("ann", "bob")
    everybody = Conversation(people, backend=backend, tools=[add])
    assert [p.profile.tools for p in everybody.participants] == [(add.spec,)] * 2
    ann = Conversation(people, backend=backend, tools={"ann": [add]}, transcript=opened())
    assert [p.profile.tools for p in ann.participants] == [(add.spec,), ()]
    assert ann.step("ann").text == "4"
    with pytest.raises(UnknownName, match="'carl'"):
        Conversation(people, backend=backend, tools={"carl": [add]})


def test_a_saved_conversation_goes_on_with_its_tools_only(tmp_path) -> None:
    """The specifications are in the file; without the box it is refused, with it it gives what the uncut one gives."""
    from symposia.backends import Scripted
    from symposia.talk.rules import Kit

    def backend() -> Scripted:
        return Scripted(
            lambda r: calling(call(a=r.turn)) if not r.about.call else f"turn {r.turn}", features=TOOLS
        )

    whole = Conversation(party("ann", "bob"), backend=backend(), tools=[add])
    whole.run(turns=4)
    begun = Conversation(party("ann", "bob"), backend=backend(), tools=[add])
    begun.run(turns=2)
    begun.save(tmp_path / "c.json")
    with pytest.raises(InvalidInput, match="the kit holds no tools"):
        Conversation.load(tmp_path / "c.json", backend=backend()).run(turns=2)
    loaded = Conversation.load(tmp_path / "c.json", backend=backend(), kit=Kit(tools=ToolBox(add)))
    assert loaded.run(turns=2) == whole.transcript
    assert [loaded.request(i).digest for i, m in enumerate(loaded.transcript) if m.provenance] == [
        m.provenance.request for m in loaded.transcript if m.provenance
    ]
    loaded.save(tmp_path / "d.json")
    whole.save(tmp_path / "e.json")
    assert (tmp_path / "d.json").read_bytes() == (tmp_path / "e.json").read_bytes()


def test_branches_and_samples_use_tools_too() -> None:
    """A sample runs its calls and leaves the transcript alone; a branch within a trail begins before it."""
    backend = script(calling(call(a=2)), "2")
    conversation = Conversation(party("ann"), backend=backend, tools=[add], transcript=opened())
    assert conversation.sample("ann").text == "2"
    assert conversation.transcript == opened()
    conversation.run(turns=1)
    assert conversation.branch(2).transcript == opened()
    assert [line.role for line in conversation.view("ann")][-4:] == ["assistant", "tool", "assistant", "user"]


def test_a_thread_that_never_ends_holds_up_nobody() -> None:
    """A plain function that blocks for ever is given up at its timeout, and the process ends."""
    code = (
        "import asyncio, threading\n"
        "from symposia.core.clock import VirtualClock\n"
        "from symposia.talk.calls import Calls\n"
        "from symposia.talk.tools import ToolBox, tool\n"
        "from symposia.core.message import ToolCall\n"
        "from symposia.core.request import About\n"
        "begun = threading.Event()\n"
        "@tool(timeout_s=5)\n"
        "def stuck() -> str:\n"
        "    begun.set(); threading.Event().wait(); return ''\n"
        "async def main():\n"
        "    clock, box = VirtualClock(), ToolBox(stuck)\n"
        "    async with Calls(box, clock, lambda event: None) as calls:\n"
        "        task = asyncio.ensure_future(\n"
        "            calls.answer(About(), [ToolCall(id='1', name='stuck')], box.specs))\n"
        "        while not begun.is_set(): await asyncio.sleep(0)\n"
        "        await clock.advance(6)\n"
        "        print((await task)[0].text)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "stuck: no result within 5 s; it was stopped\n", done.stderr
    assert done.returncode == 0
