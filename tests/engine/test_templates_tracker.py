"""The tracker: phases of sampled tokens as they come, the same as when the message is seen again in history."""

from __future__ import annotations

import pytest

from symposia.engine.families import TEMPLATES, chat_tokenizer
from tests.engine.templates.lines import ADD, calling, own, request, result, template, user

NATIVE = [name for name in TEMPLATES if template(name).facts.native_tools]


def follow(name: str, text: str, **more: object) -> list[tuple[str, str]]:
    """A reply's pieces and their phases; control strings in `text` are control tokens."""
    tokenizer = chat_tokenizer(name)
    chat = template(name)
    tracker = chat.tracker(chat.render(request(user("hi"), **more)))
    ids = tokenizer.encode(text, add_special_tokens=False)
    runs: list[tuple[str, str]] = []
    for token in ids:
        phase, piece = tracker.feed(token), tokenizer.decode([token])
        if runs and runs[-1][1] == phase:
            runs[-1] = (runs[-1][0] + piece, phase)
        else:
            runs.append((piece, phase))
    return runs


SPELLED = ("gemma3-code",)  # delimiters of several ordinary tokens: seen when their last one comes


@pytest.mark.parametrize("name", [name for name in NATIVE if name not in SPELLED])
def test_a_reply_with_calls_has_the_phases_history_gives_it(name):
    """Delimiters are markup, the call's text is tool, text beside it is answer; the end of the turn is markup."""
    beside = "" if template(name).facts.call_text == "dropped" or name == "gpt-oss" else "Let me see."
    calls = (
        [{"a": 1, "b": "two"}]
        if template(name).facts.calls == "one"
        else [{"a": 1, "b": "two"}, {"a": 7, "b": "x"}]
    )
    lines = [user("add", 0), calling(*calls, text=beside, turn=1)]
    lines += [result("three", i, 2) for i in range(len(calls))]
    chat = template(name)
    before = chat.render(request(lines[0], turn=1, tools=(ADD,)))
    after = chat.render(request(*lines, turn=3, tools=(ADD,)))
    start, stop = len(before.token_ids), min(s.start for s in after.spans if s.role == "tool")
    assert after.token_ids[:start] == before.token_ids
    tracker = chat.tracker(before)
    history = [s.phase for s in after.spans for _ in range(len(s))]
    for position in range(start, stop):
        token = after.token_ids[position]
        phase = tracker.feed(token)
        separates = (
            chat_tokenizer(name).decode([token]).endswith("\n")
        )  # of which text beside a call and its delimiter
        assert phase == history[position] or (
            separates and (phase, history[position]) == ("answer", "markup")
        )
    assert {"tool", "markup"} <= set(history[start:stop])


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_plain_reply_is_answer_until_the_turn_ends(name):
    """Nothing typed inside it changes the phase; afterwards everything is markup."""
    chat = template(name)
    tokenizer = chat_tokenizer(name)
    before = chat.render(request(user("hi", 0), turn=1))
    after = chat.render(request(user("hi", 0), own("Bread {is} fine", 1), user("so", 2), turn=3))
    answer = next(s for s in after.spans if s.phase == "answer")
    tracker = chat.tracker(before)
    if chat.facts.opens_thinking:
        assert tracker.next_phase == "reasoning"
        tracker.feed(tokenizer.convert_tokens_to_ids("</think>"))
    for token in after.token_ids[len(before.token_ids) : answer.start]:
        if not chat.facts.opens_thinking:
            assert tracker.feed(token) == "markup"
    for token in after.token_ids[answer.start : answer.stop]:
        assert tracker.next_phase == "answer"
        assert tracker.feed(token) == "answer"
    assert tokenizer.eos_token_id in chat.stop_ids
    assert tracker.feed(tokenizer.eos_token_id) == "markup"
    assert tracker.next_phase == "markup"


def test_thinking_is_reasoning_between_its_delimiters():
    """The delimiters and the white space after them are markup."""
    assert follow("qwen3", "<think>\nso it is\n</think>\n\nYes.<|im_end|>") == [
        ("<think>\n", "markup"),
        ("so it is\n", "reasoning"),
        ("</think>\n\n", "markup"),
        ("Yes.", "answer"),
        ("<|im_end|>", "markup"),
    ]


def test_an_opened_think_block_is_reasoning_from_the_first_token():
    """R1's prompt opens it; an off switch closes it."""
    assert follow("r1", "so</think>Yes.") == [("so", "reasoning"), ("</think>", "markup"), ("Yes.", "answer")]
    assert follow("qwen3", "Yes.", thinking="off") == [("Yes.", "answer")]


def test_harmony_channels_decide_the_phase():
    """Headers are markup; analysis is reasoning, final is answer, a call in commentary is tool."""
    text = (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>"
    )
    assert follow("gpt-oss", text) == [
        ("<|channel|>analysis<|message|>", "markup"),
        ("hm", "reasoning"),
        ("<|end|><|start|>assistant<|channel|>final<|message|>", "markup"),
        ("Yes.", "answer"),
        ("<|return|>", "markup"),
    ]
    call = (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=functions.add<|channel|>commentary json"
    )
    call += "<|message|>{}"
    assert follow("gpt-oss", call, tools=(ADD,))[-5:] == [
        (" to=functions.add", "tool"),
        ("<|channel|>", "markup"),
        ("commentary json", "tool"),
        ("<|message|>", "markup"),
        ("{}", "tool"),
    ]


def test_call_delimiters_count_only_when_tools_were_offered():
    """Without tools a `{` is an answer; a delimiter spelled in ordinary tokens turns the phase when it is complete."""
    assert follow("llama3.1", '{"name"') == [('{"name"', "answer")]
    assert follow("llama3.1", '{"name"', tools=(ADD,)) == [('{"name"', "tool")]
    runs = follow("gemma2", "I call\n<tool_call>\n{}\n</tool_call>", tools=(ADD,))
    assert [phase for _, phase in runs] == ["answer", "tool"]
    assert runs[1][0].startswith("\n{}")
    runs = follow("gemma3-code", "I call\n```tool_code\nadd(a=1)\n```", tools=(ADD,))
    assert [phase for _, phase in runs] == ["answer", "tool"]
    assert runs[1][0].endswith("\nadd(a=1)\n```")


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("qwen3", {"<|im_end|>"}),
        ("gemma2", {"<end_of_turn>", "<eos>"}),
        ("phi4-mini", {"<|end|>", "<|endoftext|>"}),
        ("gpt-oss", {"<|return|>", "<|call|>"}),
    ],
)
def test_what_ends_a_reply_is_read_off_the_template(name, ends):
    """A template's end of turn need not be the tokenizer's end of text; a channel's end is neither."""
    assert set(chat_tokenizer(name).convert_ids_to_tokens(sorted(template(name).stop_ids))) == ends
