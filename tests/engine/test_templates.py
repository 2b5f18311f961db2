"""What templates of each public behaviour are found to do, and that every prompt says everything once."""

from __future__ import annotations

import json
from datetime import datetime

import msgspec
import pytest

from symposia.core.errors import InvalidInput, TemplateError, UnsupportedRequest
from symposia.core.lines import LineRules
from symposia.core.span import partitions
from symposia.core.value import checked, decode
from symposia.engine.families import TEMPLATES, chat_tokenizer, tiny_tokenizer
from symposia.engine.template import ChatTemplate, TemplateFacts
from tests.engine.templates.lines import (
    ADD,
    calling,
    custom,
    own,
    render,
    request,
    result,
    system,
    template,
    user,
)

# system, late system, two users and assistant first, syntax, calls, text beside, result, dated, trims
TABLE = {
    "qwen2.5": ("head", "keep", True, "hermes", "many", "kept", "raw", False, False),
    "qwen3": ("head", "keep", True, "hermes", "many", "kept", "raw", False, False),
    "qwen3-coder": ("head", "keep", True, "qwen_xml", "many", "kept", "raw", False, False),
    "gemma2": ("rejected", "rejected", False, "prompted", "none", None, "lost", False, True),
    "gemma3": ("first_user", "rejected", False, "prompted", "none", None, "lost", False, True),
    "gemma3-code": ("first_user", "keep", True, "gemma_code", "many", "kept", "raw", False, True),
    "llama3.1": ("head", "keep", True, "llama_json", "one", "dropped", "escaped", False, True),
    "llama3.2": ("head", "keep", True, "llama_json", "one", "dropped", "escaped", True, True),
    "llama3.2-list": ("head", "keep", True, "llama_list", "many", "dropped", "escaped", False, True),
    "mistral-nemo": ("last_user", "rejected", False, "mistral", "many", "dropped", "raw", False, False),
    "mistral-small": ("head", "rejected", False, "mistral_args", "many", "dropped", "raw", True, False),
    "phi3.5": ("head", "keep", True, "prompted", "none", None, "lost", False, False),
    "phi4-mini": ("head", "lost", True, "phi", "many", "kept", "escaped", False, False),
    "gpt-oss": ("head", "lost", True, "harmony", "one", "kept", "escaped", True, False),
    "r1": ("head", "replaces", True, "prompted", "none", None, "raw", False, False),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_probe_finds_each_familys_row_of_the_table(name):
    """Conversation.md section 5, from what came out and nothing else."""
    facts = template(name).facts
    text_beside = facts.call_text if facts.native_tools else None
    found = (
        facts.system,
        facts.late_system,
        facts.two_users and facts.assistant_first,
        facts.syntax,
        facts.calls,
    )
    assert (*found, text_beside, facts.results, facts.dated, facts.trims == "both") == TABLE[name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_own_defaults_thinking_and_prefix_stability_are_found(name):
    """Own default system text, thinking modes, an opened think block, prefix stability per mode."""
    facts = template(name).facts
    assert bool(facts.default_system) == (name in {"qwen2.5", "mistral-small"})
    modes = {"qwen3": ("auto", "off", "on"), "gpt-oss": ("auto", "low", "medium", "high")}
    assert facts.thinking == modes.get(name, ("auto",)) == template(name).thinking
    assert facts.opens_thinking == (("auto",) if name == "r1" else ())
    stable = {"gpt-oss": (), "r1": (), "qwen3": ("auto", "on")}
    assert facts.prefix_stable == stable.get(name, ("auto",))
    assert facts.call_ids == ("alnum9" if "mistral" in name else "any")
    assert facts.reasoning == ("loop" if name in {"qwen3", "gpt-oss"} else "dropped")


def test_facts_are_values_and_rules_follow_from_them():
    """Facts go through JSON unchanged; rules and digest come with them."""
    gemma = template("gemma2")
    assert decode(json.dumps(json.loads(_json(gemma.facts))), TemplateFacts) == checked(gemma.facts)
    assert gemma.rules == LineRules(
        system="rejected", late_system="as_user", alternate=True, user_first=True, tool_lines="as_user"
    )
    assert gemma.digest == gemma.facts.digest != template("gemma3").digest


def _json(facts: TemplateFacts) -> bytes:
    return msgspec.json.encode(facts)


def test_no_template_is_an_error_that_says_what_to_do():
    """A base model's tokenizer has none."""
    with pytest.raises(TemplateError, match=r"no chat template.*instruct.*chat_template="):
        ChatTemplate(tiny_tokenizer("qwen"))


def test_a_template_may_be_given_and_must_be_jinja():
    """`source` takes the place of the tokenizer's; broken Jinja is refused."""
    plain = custom("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:")
    assert plain.render(request(user("hi"))).text == "user: hi\nassistant:"
    with pytest.raises(TemplateError, match="not valid Jinja"):
        custom("{% for %}")


@pytest.mark.parametrize(
    ("source", "verb"),
    [
        (
            "{% for m in messages %}{% if m.role != 'assistant' %}[{{ m.content }}]{% endif %}{% endfor %}",
            "loses",
        ),
        (
            "{% for m in messages %}[{{ m.content }}]{% if loop.index0 == 1 %}[{{ m.content }}]{% endif %}{% endfor %}",
            "repeats",
        ),
        ("{% for m in messages | reverse %}[{{ m.content }}]{% endfor %}", "moves"),
        ("{% for m in messages %}[{{ m.content[:20] }}]{% endfor %}", "changes"),
    ],
)
def test_a_template_that_loses_doubles_moves_or_cuts_a_line_is_refused(source, verb):
    """Everything appears exactly once, or the request is refused; the line is named."""
    broken = custom(source)
    with pytest.raises(TemplateError, match=rf"line \d.*{verb}"):
        broken.render(
            request(user("hello"), own("a rather long answer, more than twenty"), user("and then?"))
        )


def test_a_template_that_cannot_say_a_user_line_is_refused_at_load():
    """There is nothing to probe."""
    with pytest.raises(TemplateError, match="user line 0 times"):
        custom("{{ messages | length }}")
    with pytest.raises(TemplateError, match="refuses a single user line"):
        custom("{{ raise_exception('never') }}")


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_equal_the_tokenizers_own(name):
    """Second implementation: transformers' apply_chat_template, text and ids, when nobody types a control string."""
    tokenizer = chat_tokenizer(name)
    asked = [
        system("Be  brief.\n"),
        user(" Hi there,\n\nfriend! 12,345 "),
        own("I'm here."),
        user("你好 ok?"),
    ]
    if template(name).facts.system == "rejected":
        asked = asked[1:]
    rendered = render(name, *asked, date=datetime.now().astimezone().date().isoformat())
    messages = [{"role": line.role, "content": line.text} for line in asked]
    if template(name).facts.system == "last_user":
        messages[-1]["content"] = asked[0].text + "\n\n" + asked[-1].text
        del messages[0]

    options = {"add_generation_prompt": True}
    assert rendered.text == tokenizer.apply_chat_template(messages, tokenize=False, **options)
    assert list(rendered.token_ids) == tokenizer.apply_chat_template(messages, return_dict=False, **options)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_conversation_with_everything_in_it_is_shown_whole(name):
    """System, late system, labels, calls, results, typed control strings: spans partition, each author is there."""
    lines = (
        system("Be brief."),
        user("Hi <|im_start|>system\n", 0),
        calling({"a": 1, "b": 'x"y', "c": [1.5, True, None, ""]}, {}, text="Let me see.", turn=1),
        result('one "two"\n', 0, 2),
        result("three", 1, 3),
        own("The answer </think> is 3.", 4),
        system("Be briefer."),
        user("ok? <|eot_id|>[/INST]<end_of_turn>", 5),
    )
    rendered = render(name, *lines, turn=6, tools=(ADD,))
    assert partitions(rendered.spans, len(rendered.token_ids))
    drops = template(name).facts.call_text == "dropped"
    assert [what for _, what in rendered.omitted] == (["the text beside a call"] if drops else [])
    said = {(s.author, s.turn, s.phase) for s in rendered.spans if s.phase != "markup" and s.turn is not None}
    answers = {("al", 4, "answer")} | (set() if drops else {("al", 1, "answer"), ("al", 1, "tool")})
    assert said >= answers | {
        ("bob", 0, "prompt"),
        ("tool", 2, "tool"),
        ("tool", 3, "tool"),
        ("bob", 5, "prompt"),
    }
    assert rendered.prompt().token_ids == rendered.token_ids
    assert "adds two numbers" in rendered.text


@pytest.mark.parametrize("name", TEMPLATES)
def test_calls_without_text_have_an_author_and_a_turn(name):
    """Every token of a call is the speaker's, of the turn it was made in, also where a line is split for it."""
    lines = (
        user("add", 0),
        calling({"a": 1}, {"b": "two"}, turn=1),
        result("three", 0, 2),
        result("x", 1, 2),
    )
    rendered = render(name, *lines, turn=3, tools=(ADD,))
    calls = [s for s in rendered.spans if s.role == "assistant" and s.phase == "tool"]
    assert {(s.author, s.turn) for s in calls} == {("al", 1)}
    assert sum(map(len, calls)) > 10
    chat = template(name)
    said = chat._codec.decoded(tuple(i for s in calls for i in rendered.token_ids[s.start : s.stop]))
    assert "add" in said
    assert "two" in said


def test_dates_come_from_the_request_alone():
    """`strftime_now` reads request.date, or 2025-01-01; nothing reads the clock."""
    assert "01 Jan 2025" in render("llama3.2", user("hi")).text
    assert "24 Dec 2031" in render("llama3.2", user("hi"), date="2031-12-24").text
    assert render("llama3.1", user("hi"), date="2031-12-24") == render("llama3.1", user("hi"))
    with pytest.raises(InvalidInput, match="YYYY-MM-DD"):
        render("llama3.2", user("hi"), date="tomorrow")


def test_own_default_system_text_stays_goes_or_is_replaced():
    """None leaves it, an empty system line suppresses it, a text replaces it."""
    default = template("qwen2.5").facts.default_system
    assert default in render("qwen2.5", user("hi")).text
    assert default not in render("qwen2.5", system(""), user("hi")).text
    assert render("qwen3", system(""), user("hi")) == render("qwen3", user("hi"))
    source = (
        "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}{% set rest = messages[1:] %}"
    )
    source += "{% else %}{% set s = '' %}{% set rest = messages %}{% endif %}<s>{{ s or 'Always kind.' }}</s>"
    source += "{% for m in rest %}[{{ m.content }}]{% endfor %}"
    with pytest.raises(TemplateError, match="cannot be suppressed"):
        custom(source).render(request(system(""), user("hi")))


def test_thinking_modes_a_template_does_not_react_to_are_refused():
    """On and off set enable_thinking, low to high reasoning_effort; nothing is ignored in silence."""
    assert render("qwen3", user("hi"), thinking="off").text.endswith("<think>\n\n</think>\n\n")
    assert render("qwen3", user("hi"), thinking="on").text.endswith("assistant\n")
    assert "Reasoning: high" in render("gpt-oss", user("hi"), thinking="high").text
    for name, mode in (("qwen2.5", "off"), ("qwen3", "low"), ("gpt-oss", "off"), ("r1", "off")):
        with pytest.raises(UnsupportedRequest, match=f"thinking={mode}.*use one of auto"):
            render(name, user("hi"), thinking=mode)
    assert render("r1", user("hi")).opens_thinking
    assert not render("qwen3", user("hi"), thinking="off").opens_thinking
    always = "{% for m in messages %}[{{ m.content.split('</think>')[-1] }}]{% endfor %}"
    always += (
        "{% if add_generation_prompt %}{{ '(slow)' if enable_thinking else '(fast)' }}<think>{% endif %}"
    )
    assert custom(always).thinking == ("auto", "on")


def test_reasoning_of_the_current_tool_loop_is_native_where_the_template_has_it():
    """Elsewhere it is reported as omitted."""
    loop = (user("add", 0), calling({"a": 1}, thought="one and two"), result("3"))
    shown = render("qwen3", *loop, tools=(ADD,))
    assert "<think>\none and two\n</think>" in shown.text
    assert [s.author for s in shown.spans if s.phase == "reasoning"] == ["al"]
    assert shown.omitted == ()
    assert render("llama3.1", *loop, tools=(ADD,)).omitted == ((1, "reasoning"),)
    earlier = render("qwen3", *loop, own("3"), user("and?"), tools=(ADD,))
    assert earlier.omitted == ((1, "reasoning"),)
    spoken = (user("add", 0), calling({"a": 1}, text="So:", thought="one and two"), result("3"))
    assert render("gpt-oss", *spoken, tools=(ADD,)).omitted == ((1, "reasoning"),)


def test_a_template_without_tools_is_told_of_them_in_the_system_line():
    """`prompted`: specs and the hermes form; calls and results are text a parser reads back."""
    rendered = render("phi3.5", user("add", 0), calling({"a": 1}, turn=1), result("3", turn=2), tools=(ADD,))
    assert rendered.text.startswith("<|system|>\nYou can call these tools.")
    assert template("phi3.5").syntax == "prompted"
    assert "<tool_call>\n" in rendered.text
    assert "<tool_response>\n3\n</tool_response>" in rendered.text


def test_call_arguments_stand_as_json_or_the_request_is_refused():
    """Numbers, nested values and odd strings; a template that drops an argument is caught."""
    odd = {"a": 1, "b": 2.5, "s": 'quote " \\ \n 你 <|im_end|>', "deep": {"x": [True, None, "", -7]}}
    for name in ("qwen2.5", "llama3.1", "mistral-nemo", "mistral-small", "phi4-mini", "gpt-oss"):
        text = render(name, user("add"), calling(odd), result("3"), tools=(ADD,)).text
        start = text.index('{"a": 1')
        assert json.JSONDecoder().raw_decode(text[start:])[0] == odd
    source = chat_tokenizer("qwen2.5").chat_template.replace(
        "call.function.arguments | tojson", "dict((call.function.arguments.items() | list)[:1]) | tojson"
    )
    with pytest.raises(TemplateError, match="call 0"):
        custom(source).render(request(user("add"), calling(odd), result("3"), tools=(ADD,)))


def test_a_content_dependent_template_is_caught():
    """Literals that change with what is said do not match, and the line is named."""
    source = "{% for m in messages %}{{ '!' if 'shout' in m.content else '.' }}[{{ m.content }}]{% endfor %}"
    shy = custom(source)
    shy.render(request(user("hello"), own("hi"), user("speak")))
    with pytest.raises(TemplateError, match=r"line 0 \(user.*text around it"):
        shy.render(request(user("hello"), own("hi, shout"), user("speak")))


def test_content_may_have_to_be_a_list_of_parts():
    """Some multimodal templates take nothing else."""
    source = "{% for m in messages %}[{% for p in m.content %}{{ p.text }}{% endfor %}]{% endfor %}"
    parts = custom(source)
    assert parts.facts.content == "parts"
    assert parts.render(request(user("hello"))).text == "[hello]"
