"""Promise: the Python rendering is the template's, which keeps its word on order, tools and prefixes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError

from training.abilities.subject import Subject
from training.grammar.mixture import sample
from training.render import rendered

CALL = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "3 + 4"}}}
TEXTS = st.text(max_size=20)
MESSAGES = st.one_of(
    st.builds(
        lambda role, text: {"role": role, "content": text}, st.sampled_from(("user", "system", "tool")), TEXTS
    ),
    st.builds(lambda text: {"role": "assistant", "content": text}, TEXTS),
    st.builds(
        lambda text, n: {"role": "assistant", "content": text, "tool_calls": [CALL] * n},
        TEXTS,
        st.integers(1, 2),
    ),
)
TOOL = {"type": "function", "function": {"name": "calculator", "description": "Sums.", "parameters": {}}}


def _text(subject: Subject, messages: list[dict[str, Any]], **options: Any) -> str:
    text: str = subject.tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return text


@given(seed=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_samples_are_rendered_as_the_template_does(subject: Subject, seed: int) -> None:
    """What is trained on is byte for byte what `apply_chat_template` gives."""
    drawn = sample(seed)
    assert rendered(drawn) == _text(subject, drawn.messages, tools=list(drawn.tools) or None)


@given(messages=st.lists(MESSAGES, min_size=1, max_size=6), tools=st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_rendering_of_a_part_is_a_prefix_of_the_whole(
    subject: Subject, messages: list[dict[str, Any]], tools: bool
) -> None:
    """Any order of roles, with and without tools; a system line stays where it stands."""
    offered = [TOOL] if tools else None
    whole = _text(subject, messages, tools=offered)
    for cut in range(1, len(messages)):
        assert whole.startswith(_text(subject, messages[:cut], tools=offered))


@given(messages=st.lists(MESSAGES, min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_nothing_is_trimmed_or_dropped(subject: Subject, messages: list[dict[str, Any]]) -> None:
    """Every content appears verbatim, in order."""
    whole, at = _text(subject, messages), 0
    for message in messages:
        at = whole.index(message["content"], at) + len(message["content"])


def test_results_of_one_reply_share_a_user_turn(subject: Subject) -> None:
    """Two results in a row are two blocks of one turn, closed before the next speaker."""
    messages = [{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    text = _text(subject, messages, add_generation_prompt=True)
    block = "<tool_response>\n{}\n</tool_response>"
    want = f"<|im_start|>user\n{block.format(1)}\n{block.format(2)}<|im_end|>\n<|im_start|>assistant\n"
    assert text == want


def test_thinking_is_invited_only_when_asked(subject: Subject) -> None:
    """`enable_thinking` opens the block; without it there is none; earlier reasoning_content is not shown."""
    messages = [
        {"role": "assistant", "content": "b", "reasoning_content": "zzz"},
        {"role": "user", "content": "a"},
    ]
    plain = _text(subject, messages, add_generation_prompt=True)
    assert plain.endswith("<|im_start|>assistant\n")
    assert "zzz" not in plain
    thinking = _text(subject, messages, add_generation_prompt=True, enable_thinking=True)
    assert thinking == plain + "<think>\n"


def test_an_unknown_role_is_refused(subject: Subject) -> None:
    """The error names the roles that exist."""
    with pytest.raises(TemplateError, match="expected system, user, assistant or tool"):
        _text(subject, [{"role": "narrator", "content": "once"}])
