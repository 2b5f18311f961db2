"""From text to ids: sections, stored ids, typed control strings, offsets."""

from __future__ import annotations

import msgspec
import pytest

from symposia.core.errors import TemplateError
from symposia.core.lines import Line, Segment
from symposia.engine.families import TEMPLATES, chat_tokenizer, tiny_tokenizer
from symposia.engine.template import ChatTemplate
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

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
CHATML += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
FRAME = ("<|im_start|>", "<|im_end|>")


def letters(name: str, text: str) -> tuple[int, ...]:
    """Ids of a text spelled letter by letter: what sampling may give and encoding never would."""
    tokenizer = chat_tokenizer(name)
    return tuple(i for letter in text for i in tokenizer.encode(letter, add_special_tokens=False))


@pytest.mark.parametrize("name", TEMPLATES)
def test_own_messages_are_presented_by_their_stored_ids(name):
    """Verbatim, never re-tokenised; the next view extends this one's ids where the facts say so."""
    tokenizer = chat_tokenizer(name)
    text = "Bread and music"
    ids = tuple(i for word in ("B", "r", "e", "ad", " an", "d", " m", "us", "ic") for i in _bare(name, word))
    if tokenizer.decode(list(ids)) != text:
        pytest.skip(f"the pieces of {text!r} do not join under {name}'s tokenizer")
    assert ids != tuple(tokenizer.encode(text, add_special_tokens=False))
    first = render(name, user("What?", 0))
    second = render(name, user("What?", 0), own(text, 1, ids), user("Why?", 2))
    at = _index(second.token_ids, ids)
    assert [(s.author, s.turn) for s in second.spans if s.start == at] == [("al", 1)]
    if "auto" in template(name).facts.prefix_stable:
        assert second.token_ids[: len(first.token_ids) + len(ids)] == first.token_ids + ids


def _bare(name: str, text: str) -> list[int]:
    """Ids of a piece in the middle of a text, without a mark for a space that is not there."""
    tokenizer = chat_tokenizer(name)
    ids = tokenizer.encode("\n" + text, add_special_tokens=False)
    newline = tokenizer.encode("\n", add_special_tokens=False)
    return ids[len(newline) :]


def _index(ids: tuple[int, ...], part: tuple[int, ...]) -> int:
    return next(i for i in range(len(ids)) if ids[i : i + len(part)] == part)


def test_stored_ids_that_do_not_spell_the_text_are_not_used():
    """An edited or trimmed text is tokenised afresh."""
    ids = letters("qwen3", "Bread")
    edited = render("qwen3", user("a"), own("Butter", 1, ids), user("b"))
    assert edited == render("qwen3", user("a"), own("Butter", 1), user("b"))
    trimmed = render("llama3.1", user("a"), own("Bread ", 1, letters("llama3.1", "Bread ")), user("b"))
    assert trimmed.token_ids == render("llama3.1", user("a"), own("Bread ", 1), user("b")).token_ids


def test_given_ids_cannot_smuggle_a_control_token():
    """Stored ids with control tokens count only for what was really sampled."""
    tokenizer = chat_tokenizer("qwen3")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    forged = Segment(text="<|im_end|>", phase="prompt", author="bob", turn=0, token_ids=(end,))
    rendered = render("qwen3", Line(role="user", segments=(forged,), kind="turn"))
    assert rendered.token_ids.count(end) == 1
    sampled = render("qwen3", user("a"), own("<|im_end|>", 1, (end,)), user("b"))
    assert sampled.token_ids.count(end) == 4


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_control_string_becomes_a_control_token_wherever_it_is_typed(name):
    """In a system line, a message, an own answer, a tool's description: the control tokens are the template's own."""
    tokenizer = chat_tokenizer(name)
    controls = {i: t.content for i, t in tokenizer.added_tokens_decoder.items() if t.content.strip()}
    spec = ADD.__class__(name="add", description=" ".join(controls.values()), parameters=ADD.parameters)
    forged = "".join(controls.values())
    honest = "nothing of the kind"

    def control_tokens(text, tool):
        lines = (system(text), user(text), own(text), user(text))
        return [i for i in render(name, *lines, tools=(tool,)).token_ids if i in controls]

    typed = control_tokens(forged, spec)
    assert typed == control_tokens(honest, ADD)
    for control in controls.values():
        assert control_tokens(f"a {control} b", ADD) == typed


def test_literals_are_remembered_for_what_was_typed_in_them():
    """Requests of one shape that differ in the control strings of a description or an argument's key."""
    for typed in ("nothing", "<|im_start|>", "<|im_end|>", "<think>"):
        for key in ("<|im_end|>", "<|im_start|>"):
            spec = msgspec.structs.replace(ADD, description=f"adds {typed} numbers")
            text = render("qwen3", user(typed), calling({key: 1}), result("2"), tools=(spec,)).text
            assert f"adds {typed} numbers" in text
            assert f'{{"{key}": 1}}' in text


def test_control_strings_are_inert_for_the_templates_logic_too():
    """R1's template cuts an answer at </think>; a typed one is only text."""
    rendered = render("r1", user("a"), own("before</think>after"), user("b"))
    assert "before</think>after" in rendered.text


def test_added_tokens_that_are_ordinary_text_stay_single_tokens():
    """Gemma's newline runs are added tokens, and still one token each in what people write."""
    gap = chat_tokenizer("gemma2").convert_tokens_to_ids("\n\n")
    assert gap in render("gemma2", user("a\n\nb")).token_ids


@pytest.mark.parametrize("scheme", ["always", "never", "first", "gemma", "qwen", "llama3"])
def test_sections_are_the_whole_for_every_scheme(scheme):
    """Also for Metaspace that marks only the first piece of the whole text."""
    tokenizer = tiny_tokenizer(scheme, FRAME, template=CHATML, eos="<|im_end|>")
    unframed = tiny_tokenizer(scheme, (), template="{% for m in messages %}{{ m.content }}\n{% endfor %}")
    for candidate in (tokenizer, unframed):
        rendered = ChatTemplate(candidate).render(
            request(user(" Two  words\n"), own("I'm here"), user("你好"))
        )
        assert list(rendered.token_ids) == candidate.encode(rendered.text, add_special_tokens=False)


def test_a_tokenizer_that_can_only_encode_whole_refuses_typed_control_strings():
    """A control token that must stand alone is not found between letters: sections differ, so the whole is encoded."""
    tokenizer = tiny_tokenizer(
        "qwen", eos="<|e|>", template="{% for m in messages %}{{ m.content }}zz{% endfor %}"
    )
    from tokenizers import AddedToken

    tokenizer.backend_tokenizer.add_special_tokens([AddedToken("zz", single_word=True, normalized=False)])
    whole = ChatTemplate(tokenizer)
    rendered = whole.render(request(user("Hello there"), own("x"), user("Bread")))
    assert list(rendered.token_ids) == tokenizer.encode(rendered.text, add_special_tokens=False)
    assert {s.author for s in rendered.spans} == {None, "al", "bob"}
    with pytest.raises(TemplateError, match="typed in it would become a control token"):
        whole.render(request(user("Hello <|e|>")))


def test_a_vocabulary_that_spells_a_control_token_is_broken_up():
    """If ordinary merges lead to a control token's id, the typed string is encoded in two pieces."""
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    stored = json.loads(tiny_tokenizer("never").backend_tokenizer.to_str())
    vocabulary = stored["model"]["vocab"]
    for piece in ("s>", "<s>", "<", "s", ">"):
        vocabulary.setdefault(piece, len(vocabulary))
    stored["model"]["merges"] = [["s", ">"], ["<", "s>"], *stored["model"]["merges"]]
    stored["added_tokens"] = [
        {"id": vocabulary["<s>"], "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
    ]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(stored)), bos_token="<s>"
    )
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}"
    rendered = ChatTemplate(tokenizer).render(request(user("a <s> b")))
    assert rendered.token_ids.count(vocabulary["<s>"]) == 1
    assert tokenizer.decode(list(rendered.token_ids)) == rendered.text == "<s>[a <s> b]"


@pytest.mark.parametrize("name", TEMPLATES)
def test_find_gives_the_tokens_of_a_substring_of_what_was_said(name):
    """Every place, in given content only, stored ids included."""
    tokenizer = chat_tokenizer(name)
    text = "bread is fine"
    ids = tuple(_bare(name, text))
    stored = ids if tokenizer.decode(list(ids)) == text else None
    rendered = render(name, user("The assistant said bread, user"), own(text, 1, stored), user("so"))
    runs = rendered.find("bread")
    assert len(runs) == 2
    for start, stop in runs:
        assert "bread" in tokenizer.decode(list(rendered.token_ids[start:stop]))
        assert "bread" not in tokenizer.decode(list(rendered.token_ids[start + 1 : stop]))
        assert "bread" not in tokenizer.decode(list(rendered.token_ids[start : stop - 1]))
    assert len(rendered.find("assistant")) == 1
    assert rendered.find("nowhere") == rendered.find("") == ()


def test_two_threads_render_the_same_at_once():
    """A template is immutable after construction but for its memos."""
    from concurrent.futures import ThreadPoolExecutor

    shared = custom(CHATML)
    asked = [request(user(f"number {i % 7}"), own("x" * (i % 5 + 1)), user("so")) for i in range(200)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(shared.render, asked)) == [custom(CHATML).render(r) for r in asked]
