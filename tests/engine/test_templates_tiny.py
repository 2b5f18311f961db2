"""The bundled model's real tokenizer and template, by the same code as any other."""

from __future__ import annotations

from importlib.resources import files

import pytest
from transformers import AutoTokenizer

from symposia.engine.template import ChatTemplate
from tests.engine.templates.lines import ADD, calling, own, request, result, system, user

TINY = files("symposia") / "weights" / "tiny"
pytestmark = pytest.mark.skipif(
    not (TINY / "tokenizer.json").is_file(),
    reason="the bundled model is not built; python -m training.run makes it",
)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(str(TINY))


@pytest.fixture(scope="module")
def tiny(tokenizer):
    return ChatTemplate(tokenizer)


def test_the_bundled_template_does_what_its_card_says(tiny):
    """System at the head, late system kept, hermes calls, thinking on request, prompts that extend each other."""
    facts = tiny.facts
    assert (facts.system, facts.late_system, facts.syntax, facts.calls, facts.results, facts.trims) == (
        *("head", "keep", "hermes", "many", "raw", "none"),
    )
    assert facts.thinking == ("auto", "off", "on")
    assert facts.opens_thinking == ("on",)
    assert {"auto", "off"} <= set(facts.prefix_stable)
    assert facts.marks.think == ("<think>", "</think>")


def test_every_control_string_of_the_bundled_tokenizer_is_inert_when_typed(tiny, tokenizer):
    """Think and tool tags too, which are added tokens but not special ones."""
    controls = {i: t.content for i, t in tokenizer.added_tokens_decoder.items()}
    forged = " ".join(controls.values())

    def made(text):
        lines = (system(text), user(text), own(text), user(text), calling({"a": text}), result(text))
        return [i for i in tiny.render(request(*lines, tools=(ADD,))).token_ids if i in controls]

    assert made(forged) == made("nothing")


def test_prompts_are_the_tokenizers_own(tiny, tokenizer):
    """Second implementation: apply_chat_template."""
    lines = (system("Be brief."), user("Is soup a meal?\n"), own("Yes, it is."), user("Why?"))
    messages = [{"role": line.role, "content": line.text} for line in lines]
    rendered = tiny.render(request(*lines))
    told = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert list(rendered.token_ids) == told


def test_thinking_is_followed_from_the_opened_block(tiny, tokenizer):
    """The prompt opens it; the closing tag and the gap after it are markup."""
    tracker = tiny.tracker(tiny.render(request(user("Why?"), thinking="on")))
    ids = tokenizer.encode("so it is</think>\n\nYes.<|im_end|>", add_special_tokens=False)
    phases = [tracker.feed(i) for i in ids]
    at = ids.index(tokenizer.convert_tokens_to_ids("</think>"))
    assert set(phases[:at]) == {"reasoning"}
    assert phases[at] == phases[-1] == "markup"
    assert "answer" in phases[at:]
