"""A transcript as HTML: self-contained, escaped, readable, and honest about how each turn was made."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.core.intervention import Add
from symposia.core.message import (
    FinishReason,
    Message,
    Provenance,
    Reasoning,
    Scores,
    Signal,
    Text,
    ToolCall,
    ToolResult,
    said,
)
from symposia.core.palette import DARK, LIGHT, contrast, readable
from symposia.core.receipt import GateReading, LayerReceipt, Receipt, TokenCounts
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage

VOID = {"br", "meta"}


class Reader(HTMLParser):
    """Tags in balance, and the text outside `<style>`."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {name for name, _ in attrs} - {"class", "style"}
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def made(finish: FinishReason = "stop", **fields: object) -> Provenance:
    return Provenance(
        profile="p",
        request="r",
        completions=("c",),
        seed=1,
        cue="",
        usage=Usage(),
        finish_reason=finish,
        **fields,
    )


def receipt(status: str) -> Receipt:
    layer = LayerReceipt(layer=3, tokens=2, norm=2.0, delta_mean=0.5, delta_max=0.6)
    return Receipt(
        intervention="i", name="warm", op="add", vector="v", site="resid_post", status=status,
        history="scoped",
        tokens=TokenCounts(generated=2), runs=((1, 3),), layers=(layer,),
    )  # fmt: skip


def turn(provenance: Provenance) -> str:
    message = Message(author="ann", parts=(Text("x"),), origin="sampled", provenance=provenance)
    return read(Transcript((message,)).to_html()).text


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5))
def test_any_text_is_text(said_by: list[tuple[str, str]]) -> None:
    """Whatever people type or are called, the tags are ours and the words are all there."""
    reader = read(Transcript(tuple(said(a, t) for a, t in said_by)).to_html())
    assert set(reader.tags) <= {"div", "style", "article", "b", "i", "p"}
    shown = reader.text.replace("\r\n", "\n").replace("\r", "\n")
    for author, text in said_by:
        for words in (author, text):
            assert words.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "") in shown.replace(
                "\x00", ""
            )


def test_a_script_stays_words() -> None:
    """No script, link or image can be planted, in any part."""
    evil = '<script>alert(1)</script><img src="http://x/y">'
    parts = (
        Text(evil),
        Reasoning(evil),
        ToolCall(id="1", name=evil, arguments={evil: evil}),
        ToolResult(id="1", name=evil, text=evil),
        Signal(evil, evil),
        Scores((evil,), (0.0,)),
    )
    html = Transcript((Message(author=evil, parts=parts, audience=frozenset({evil})),)).to_html()
    assert not {"script", "img", "a", "link"} & set(read(html).tags)


def test_nothing_is_fetched() -> None:
    """The fragment refers to nothing outside itself and runs nothing."""
    html = Transcript((said("ann", "plain"),)).to_html()
    assert not re.search(r"(?i)<script|<link|<img|src=|href=|url\(|@import|https?:|on\w+=", html)
    assert html.startswith("<div")


@given(st.text(min_size=1, max_size=20))
def test_author_colours_are_readable(author: str) -> None:
    """Every author's name has at least 4.5:1 contrast on the light and on the dark background."""
    html = Transcript((said(author, "x"),)).to_html()
    found = re.search(r'style="--l:(#\w{6});--d:(#\w{6})"', html)
    assert found
    assert contrast(found[1], LIGHT) >= 4.5
    assert contrast(found[2], DARK) >= 4.5
    assert LIGHT in html
    assert DARK in html
    assert "prefers-color-scheme:dark" in html


@pytest.mark.parametrize(
    ("one", "other", "ratio"), [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.478)]
)
def test_contrast_is_wcag(one: str, other: str, ratio: float) -> None:
    """Known ratios of the WCAG formula."""
    assert contrast(one, other) == pytest.approx(ratio, abs=0.001)
    assert contrast(other, one) == contrast(one, other)


def test_colours_tell_authors_apart() -> None:
    """Hues differ, and the same author always has the same colour."""
    assert len({readable(hue / 12, LIGHT) for hue in range(12)}) == 12


def test_the_hidden_is_folded() -> None:
    """Reasoning, tools, scores and control messages are inside <details>; words are not."""
    parts = (Reasoning("secret-thought"), ToolCall(id="1", name="calc", arguments={"x": 41}), Text("spoken"))
    control = Message(author="ann", parts=(Signal("denied", "judge"),), audience=frozenset())
    html = Transcript((Message(author="ann", parts=parts), control)).to_html()
    folded = " ".join(re.findall(r"<details>.*?</details>", html))
    assert all(word in folded for word in ("secret-thought", "calc", "41", "denied", "control message"))
    assert "spoken" not in folded


@pytest.mark.parametrize(
    ("provenance", "badge"),
    [
        (made("length"), "cut at the token limit"),
        (made("refusal"), "refusal"),
        (made("content_filter"), "content filter"),
        (made(dropped=((0, 3), (5, 6))), "4 earlier messages out of context"),
        (made(edited_by=("max_words",)), "edited by max_words"),
        (
            made(interventions=(Add(vector="v"),), receipts=(receipt("applied"),)),
            "steered: warm at 3, 2 tokens, ‖δ‖ 0.25 of ‖h‖",
        ),
        (
            made(
                interventions=(Add(vector="v"), Add(vector="w")),
                receipts=(receipt("applied"), receipt("missed")),
            ),
            "steering not applied: 1 of 2 (missed)",
        ),
        (made(interventions=(Add(vector="v"),), receipts=(receipt("gated_off"),)), "(gated off)"),
        (made(interventions=(Add(vector="v"),)), "steering not applied: 1 of 1 (no receipt)"),
    ],
)
def test_badges_say_how_a_turn_was_made(provenance: Provenance, badge: str) -> None:
    """Length, refusal, dropped context, edits, and whether steering was applied stand on the message."""
    assert badge in turn(provenance)


def test_an_ordinary_turn_has_no_badge() -> None:
    """A turn that simply stopped carries none."""
    assert (
        "<mark>"
        not in Transcript(
            (Message(author="ann", parts=(Text("x"),), origin="sampled", provenance=made()),)
        ).to_html()
    )


def test_receipts_are_shown() -> None:
    """A receipt's vector, site, status, tokens, layers and gate can be opened."""
    assert "add warm v at resid_post: applied; 2 tokens; layers 3: ‖δ‖ 0.5 of ‖h‖ 2" in turn(
        made(receipts=(receipt("applied"),))
    )
    closed = replace(receipt("gated_off"), gate=GateReading(score=0.1, threshold=0.4, open=False))
    assert "gate closed, 0.1 against 0.4" in turn(made(receipts=(closed,)))


def test_whispers_name_their_audience() -> None:
    """A message to some says to whom."""
    assert (
        "to bob, carla" in read(Transcript((said("ann", "x", frozenset({"carla", "bob"})),)).to_html()).text
    )


@pytest.mark.parametrize(("count", "folded"), [(200, None), (201, 1), (1000, 800)])
def test_long_transcripts_fold_in_the_middle(count: int, folded: int | None) -> None:
    """Beyond 200 messages the middle is folded under its count, and nothing is missing."""
    html = Transcript(tuple(said("ann", f"#{i}#") for i in range(count))).to_html()
    assert all(f"#{i}#" in html for i in range(count))
    summary = re.search(r"<summary>(\d+) messages in between", html)
    assert (int(summary[1]) if summary else None) == folded


def test_a_thousand_messages_are_fast() -> None:
    """1,000 messages render within the bar of 0.1 s (best of 3)."""
    whole = Transcript(tuple(said(f"p{i % 5}", "some words " * 20) for i in range(1000)))
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        whole.to_html()
        seconds.append(time.perf_counter() - began)
    assert min(seconds) <= 0.1
