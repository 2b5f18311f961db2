"""Conversations of 2, 3 and 5 participants on every family: its own template, exact spans, requests that rebuild."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

pytest.importorskip("torch")

import itertools

from symposia.core.conform import conform
from symposia.core.message import Message
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.span import partitions
from symposia.engine import Engine
from symposia.engine.families import FAMILIES, family
from symposia.engine.loading import load
from symposia.talk.conversation import Conversation

NAMES = ("alice", "bob", "carla", "dan", "eve")


@cache
def seated(name: str) -> tuple[Engine, Any]:
    """An engine of the family, and its tokenizer."""
    if name == "tiny":
        loaded = load("symposia:tiny")
        return Engine(loaded), loaded.tokenizer
    made = family(name)
    return Engine.adopt(made.model(), made.tokenizer, name), made.tokenizer


def engine(name: str) -> Engine:
    return seated(name)[0]


@cache
def words(name: str) -> tuple[tuple[int, float], ...]:
    """A bias toward whole words: random weights would mostly say broken bytes and control tokens."""
    tokenizer = seated(name)[1]
    spelled = {i: tokenizer.decode([i]) for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids}
    return tuple((i, 100.0) for i, text in spelled.items() if text.strip().isalpha() and text.isascii())


def company(name: str, size: int) -> Conversation:
    sampling = Sampling(max_tokens=8, min_tokens=8, logit_bias=words(name))
    profile = Profile(model=engine(name).address, system="Be brief.", sampling=sampling)
    people = tuple(Participant(name=n, profile=profile) for n in NAMES[:size])
    return Conversation(people, backend=engine(name))


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("name", ["tiny", *FAMILIES])
def test_a_company_talks_on_every_family(name: str, size: int) -> None:
    """Everybody speaks twice; every prompt is partitioned by spans that name who said what, and rebuilds exactly."""
    talk = company(name, size)
    talk.run(2 * size, prompt="Is a hot dog a sandwich?")
    spoken = [m for m in talk.transcript if m.provenance]
    assert [m.author for m in spoken] == list(NAMES[:size]) * 2
    for message in spoken:
        check_message(talk, message)


def check_message(talk: Conversation, message: Message) -> None:
    assert message.provenance is not None
    request = talk.request(message)
    assert request.digest == message.provenance.request
    completion = talk.completion(message)
    spans = completion.spans
    assert partitions(spans, len(completion.prompt_token_ids) + len(completion.token_ids))
    heard = {m.author for m in talk.transcript[: talk.transcript.index(message)]}
    assert {s.author for s in spans if s.phase in ("prompt", "answer") and s.turn is not None} == heard | {
        message.author
    }
    own = [s for s in spans if s.phase == "answer"]
    assert {s.author for s in own} == {message.author}
    assert all(s.turn == message.as_of for s in own if s.generated)


@pytest.mark.parametrize("name", ["tiny", *FAMILIES])
def test_each_family_sees_the_lines_its_template_accepts(name: str) -> None:
    """What a family's template renders is the conformed view: nothing lost, nothing in a role it refuses."""
    talk = company(name, 3)
    talk.run(3, prompt="Is a hot dog a sandwich?")
    template = engine(name).template
    lines = conform(talk.view("alice"), template.rules)
    if template.rules.alternate:
        assert all(a.role != b.role for a, b in itertools.pairwise(lines))
    if template.rules.system in ("rejected", "last_user"):
        assert all(line.role != "system" for line in lines)
    text = talk.prompt("alice").text
    assert text is not None
    for message in talk.transcript:
        assert text.count(message.text.strip()) >= 1
    assert text.count("Be brief.") == 1


@pytest.mark.parametrize("name", ["tiny", *FAMILIES])
def test_a_speakers_own_words_are_shown_again_by_their_ids(name: str) -> None:
    """History is never re-tokenised: the ids a speaker sampled stand in its next prompt, in one piece."""
    talk = company(name, 2)
    talk.run(3, prompt="Tea?")
    first, last = talk.transcript[1], talk.transcript[3]
    assert first.provenance is not None
    assert first.author == last.author
    ids, prompt = first.provenance.token_ids, talk.completion(last).prompt_token_ids
    trimmed = engine(name).template.facts.trims != "none" and first.text != first.text.strip()
    assert len(ids) == 8
    assert trimmed or any(prompt[i : i + len(ids)] == ids for i in range(len(prompt)))
