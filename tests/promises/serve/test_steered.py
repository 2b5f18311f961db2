"""Steering over HTTP on the bundled model: a fitted vector behind a name changes what is said, and proves it."""

from __future__ import annotations

import json

import msgspec
import pytest

from symposia.core.intervention import Add
from symposia.core.profile import Profile, Sampling
from symposia.core.served import KillSwitched
from tests.serve.test_ends import asked, read_all
from tests.serving import Serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ASK = {
    "messages": [{"role": "user", "content": "What do you think of the rain?"}],
    "max_tokens": 24,
    "seed": 11,
}


@pytest.fixture(scope="module")
def warm():
    from symposia import answer_start, fit

    return fit("examples/warm.jsonl", "symposia:tiny", name="warmth", read=answer_start())


@pytest.fixture(scope="module")
def serving(warm):
    from symposia.facade import engines

    add = warm.add(2.0)
    calm = Profile(model="symposia:tiny", interventions=(add,))
    spoken = Profile(model="symposia:tiny", system="Answer in one word.", sampling=Sampling(max_tokens=5))
    with Serving({"tiny": engines()}, addresses={"tiny": "symposia:tiny"}) as running:
        profiles = running.storage.profiles
        for alias, profile in (("warm", calm), ("brief", spoken)):
            digest = profiles.put(profile, actor="test")
            profiles.move("symposia:tiny", alias, digest, expect=None, actor="test", reason="test")
        running.run(running.server.follower.refresh())
        running.calm = calm
        running.add = add
        yield running


def text_of(reply):
    return reply.choices[0].message.content


def test_the_same_seed_says_something_else_when_steered_and_the_same_again(serving):
    client = serving.openai()
    plain = client.chat.completions.create(model="tiny", **ASK)
    steered = client.chat.completions.with_raw_response.create(model="tiny@warm", **ASK)
    told = steered.parse()
    assert text_of(plain) != text_of(told)
    assert text_of(client.chat.completions.create(model="tiny", **ASK)) == text_of(plain)
    assert text_of(client.chat.completions.create(model="tiny@warm", **ASK)) == text_of(told)
    block = told.steering
    assert block["applied"] == "true"
    assert (block["arm"], block["profile"], block["revision"]) == ("pinned", "warm", serving.calm.digest)
    assert block["tokens"]["generated"] > 0
    assert block["delta_over_norm"] > 0
    assert block["receipts"] is None
    assert steered.headers["x-steering-applied"] == "true"
    assert steered.headers["x-steering-revision"] == serving.calm.digest
    assert plain.steering["applied"] == "false"


def test_a_stream_and_a_whole_reply_say_the_same(serving):
    client = serving.openai()
    whole = text_of(client.chat.completions.create(model="tiny@warm", **ASK))
    chunks = list(client.chat.completions.create(model="tiny@warm", stream=True, **ASK))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole
    assert chunks[-1].steering["applied"] == "true"
    assert chunks[-1].steering["tokens"]["generated"] > 0


def test_a_digest_an_alias_and_the_field_name_the_same_profile(serving):
    client, digest = serving.openai(), serving.calm.digest
    ways = [
        {"model": "tiny@warm"},
        {"model": f"tiny@{digest}"},
        {"model": f"tiny@{digest[:19]}"},
        {"model": "tiny", "extra_body": {"steering_profile": "warm"}},
    ]
    texts = {text_of(client.chat.completions.create(**way, **ASK)) for way in ways}
    assert len(texts) == 1


def test_inline_interventions_do_what_the_profile_does(serving):
    client = serving.openai()
    add = json.loads(msgspec.json.encode(serving.add))
    inline = client.chat.completions.create(
        model="tiny", **ASK, extra_body={"steering": {"interventions": [add], "receipts": True}}
    )
    named = client.chat.completions.create(model="tiny@warm", **ASK)
    assert text_of(inline) == text_of(named)
    assert inline.steering["arm"] == "inline"
    [receipt] = inline.steering["receipts"]
    assert receipt["status"] == "applied"
    twice = client.chat.completions.create(
        model="tiny@warm", **ASK, extra_body={"steering": {"interventions": [add], "receipts": True}}
    )
    assert len(twice.steering["receipts"]) == 2


def test_an_unknown_vector_is_refused_before_any_token(serving):
    client = serving.openai()
    missing = json.loads(msgspec.json.encode(Add(vector="sha256:" + "0" * 64, layers=(1,))))
    with pytest.raises(Exception, match="sha256:0000") as caught:
        client.chat.completions.create(
            model="tiny", **ASK, extra_body={"steering": {"interventions": [missing]}}
        )
    assert caught.value.status_code == 400
    assert caught.value.code == "invalid_steering"
    assert serving.served[-1].completion_tokens == 0


def test_a_profile_of_words_is_no_steering(serving):
    client = serving.openai()
    brief = client.chat.completions.create(model="tiny@brief", messages=ASK["messages"], seed=11)
    assert brief.usage.completion_tokens <= 5
    assert brief.choices[0].finish_reason == "length"
    assert brief.steering["applied"] == "false"
    with pytest.raises(Exception, match="steering_required") as caught:
        client.chat.completions.create(
            model="tiny@brief", messages=ASK["messages"], extra_body={"steering_required": True}
        )
    assert caught.value.status_code == 400


def test_under_the_kill_switch_nothing_is_steered_and_nothing_says_so(serving):
    view = serving.server.view
    client = serving.openai()
    plain = text_of(client.chat.completions.create(model="tiny", **ASK))
    try:
        serving.server.see(replace_view(view, KillSwitched(on=True, actor="test", reason="test")))
        got = client.chat.completions.with_raw_response.create(model="tiny@warm", **ASK)
        assert text_of(got.parse()) == plain
        assert got.headers["x-steering-applied"] == "false"
        assert got.headers["x-steering-arm"] == "baseline"
        assert serving.calm.digest not in json.dumps(dict(got.headers)) + got.text
        block = got.parse().steering
        assert (block["applied"], block["reason"]) == ("false", "kill_switch")
    finally:
        serving.server.see(view)
    assert text_of(client.chat.completions.create(model="tiny@warm", **ASK)) != plain


def replace_view(view, kill):
    return type(view)(
        callers=view.callers,
        profiles=view.profiles,
        aliases=view.aliases,
        policy=view.policy,
        revision=view.revision,
        kill=kill,
    )


def test_the_champion_answers_a_bare_name_until_it_is_taken_away(serving):
    profiles, client = serving.storage.profiles, serving.openai()
    plain = text_of(client.chat.completions.create(model="tiny", **ASK))
    digest = serving.calm.digest
    profiles.move("symposia:tiny", "champion", digest, expect=None, actor="test", reason="test")
    serving.run(serving.server.follower.refresh())
    steered = client.chat.completions.create(model="tiny", **ASK)
    assert text_of(steered) != plain
    assert (steered.steering["arm"], steered.steering["profile"]) == ("champion", "champion")
    assert text_of(client.chat.completions.create(model="tiny@none", **ASK)) == plain
    profiles.move("symposia:tiny", "champion", None, expect=digest, actor="test", reason="test")
    serving.run(serving.server.follower.refresh())
    assert text_of(client.chat.completions.create(model="tiny", **ASK)) == plain


def test_a_caller_who_leaves_frees_the_sequence(serving):
    before = len(serving.served)
    body = {**ASK, "model": "tiny@warm", "stream": True, "max_tokens": 1500}
    connection = asked(serving, body)
    connection.recv(1024)
    connection.close()
    event = serving.settled(before + 1)[-1]
    assert event.outcome == "cancelled"
    assert event.completion_tokens < 1500
    raw = read_all(asked(serving, {**ASK, "model": "tiny"}))
    assert raw.startswith(b"HTTP/1.1 200")


def test_tools_n_and_logprobs_work_on_the_engine(serving):
    client = serving.openai()
    many = client.chat.completions.create(model="tiny@warm", n=3, temperature=1.0, **ASK)
    texts = [choice.message.content for choice in many.choices]
    assert len(set(texts)) > 1
    again = client.chat.completions.create(model="tiny@warm", n=3, temperature=1.0, **ASK)
    assert [choice.message.content for choice in again.choices] == texts
    scored = client.chat.completions.create(model="tiny", logprobs=True, top_logprobs=2, **ASK)
    rows = scored.choices[0].logprobs.content
    assert len(rows) >= scored.usage.completion_tokens - 1
    assert all(row.logprob <= 0 and len(row.top_logprobs) == 2 for row in rows)
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "of a place",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string", "maxLength": 12}},
                "required": ["place"],
                "additionalProperties": False,
            },
        },
    }
    call = client.chat.completions.create(
        model="tiny",
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        messages=ASK["messages"],
        max_tokens=64,
    )
    [made] = call.choices[0].message.tool_calls
    assert made.function.name == "weather"
    assert set(json.loads(made.function.arguments)) == {"place"}


def test_too_long_a_prompt_is_refused_with_its_numbers(serving):
    client = serving.openai()
    with pytest.raises(Exception, match="2048") as caught:
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "rain " * 3000}], max_tokens=10
        )
    assert caught.value.status_code == 400
    assert caught.value.code == "context_length_exceeded"
