"""What answers: every way to say it, who may, and what it is under the kill switch."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.intervention import Add
from symposia.core.profile import Profile
from symposia.core.request import ModelCard
from symposia.core.served import KillSwitched
from symposia.serve.address import address, unit_of
from symposia.serve.auth import DEV, Caller
from symposia.serve.faults import Fault
from symposia.serve.models import ServedModel
from symposia.serve.settings import Model, Settings
from symposia.serve.snapshot import Snapshot
from symposia.serve.wire import ChatRequest

ADD = Add(vector="sha256:" + "1" * 64, layers=(2,))
CALM = Profile(model="symposia:tiny", interventions=(ADD,))
KIND = Profile(model="tiny", system="Be kind.")  # the same model by its short name
OTHER = Profile(model="upstream:other", interventions=(ADD,))
PROFILES = {profile.digest: profile for profile in (CALM, KIND, OTHER)}
MESSAGES = [{"role": "user", "content": "hi"}]


def models(*names: str) -> dict[str, ServedModel]:
    made = {name: ServedModel(Model(name=name, address="symposia:tiny"), None, Settings()) for name in names}
    for model in made.values():
        model.meet(ModelCard(model="symposia:tiny"), "test")
    return made


MODELS = models("tiny", "odd@name")


def view(*, kill: bool = False, **aliases: str) -> Snapshot:
    killed = KillSwitched(on=True, actor="test", reason="test") if kill else None
    named = {"calm": CALM.digest, "kind": KIND.digest, **aliases}
    return Snapshot(profiles=PROFILES, aliases={"symposia:tiny": named}, kill=killed)


def asking(model: str = "tiny", **more: object) -> ChatRequest:
    return msgspec.convert({"model": model, "messages": MESSAGES, **more}, ChatRequest)


def found(model: str = "tiny", *, by: Caller = DEV, seen: Snapshot | None = None, **more: object):
    return address(asking(model, **more), by, seen or view(), MODELS, unit=None)


@pytest.mark.parametrize(
    ("model", "more", "label", "digest", "arm"),
    [
        ("tiny", {}, "none", "", "none"),
        ("tiny@none", {}, "none", "", "pinned"),
        ("tiny@calm", {}, "calm", CALM.digest, "pinned"),
        ("tiny@kind", {}, "kind", KIND.digest, "pinned"),
        (f"tiny@{CALM.digest}", {}, CALM.digest, CALM.digest, "pinned"),
        (f"tiny@{CALM.digest[:19]}", {}, CALM.digest, CALM.digest, "pinned"),
        ("tiny", {"steering_profile": "calm"}, "calm", CALM.digest, "pinned"),
        ("tiny@calm", {"steering_profile": "calm"}, "calm", CALM.digest, "pinned"),
        ("odd@name", {}, "none", "", "none"),
        ("odd@name@calm", {}, "calm", CALM.digest, "pinned"),
    ],
)
def test_ways_to_say_it(model, more, label, digest, arm):
    got = found(model, **more)
    assert (got.label, got.digest, got.arm) == (label, digest, arm)


@pytest.mark.parametrize(
    ("model", "more", "code", "status"),
    [
        ("tyni", {}, "model_not_found", 404),
        ("tiny@clam", {}, "steering_profile_not_found", 404),
        ("tiny@sha256:123", {}, "invalid_value", 400),
        ("tiny@sha256:" + "0" * 12, {}, "steering_profile_not_found", 404),
        (f"tiny@{OTHER.digest}", {}, "steering_profile_not_found", 404),
        ("tiny@calm", {"steering_profile": "kind"}, "invalid_value", 400),
        ("tiny@kind", {"steering_required": True}, "invalid_value", 400),
    ],
)
def test_what_is_not_there_is_said_by_name(model, more, code, status):
    with pytest.raises(Fault) as caught:
        found(model, **more)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_the_nearest_name_is_one_the_key_may_see():
    blind = Caller(id="k", scopes=frozenset({"inference"}), profiles=("kind",))
    with pytest.raises(Fault, match="kind"):
        found("tiny@clam", by=blind)
    with pytest.raises(Fault) as model:
        found("tin", by=Caller(id="k", scopes=frozenset({"inference"}), models=("x",)))
    assert "tiny" not in model.value.message


def test_globs_bound_models_and_profiles_and_none_is_one():
    def key(**more):
        return Caller(id="k", scopes=frozenset({"inference"}), **more)

    assert found("tiny@calm", by=key(profiles=("c*",))).label == "calm"
    assert found(f"tiny@{CALM.digest}", by=key(profiles=("calm",))).digest == CALM.digest
    for by, model in ((key(profiles=("kind",)), "tiny@calm"), (key(profiles=("calm",)), "tiny")):
        with pytest.raises(Fault) as caught:
            found(model, by=by)
        assert (caught.value.code, caught.value.status) == ("steering_profile_forbidden", 403)
    with pytest.raises(Fault) as model:
        found("tiny", by=key(models=("other",)))
    assert (model.value.code, model.value.param) == ("insufficient_scope", "model")


def test_the_champion_answers_a_bare_name():
    got = found(seen=view(champion=CALM.digest))
    assert (got.arm, got.label, got.digest) == ("champion", "champion", CALM.digest)
    assert found("tiny@none", seen=view(champion=CALM.digest)).digest == ""


def test_inline_needs_its_scope_and_comes_after_the_profiles_own():
    steering = {"interventions": [msgspec.to_builtins(ADD)]}
    got = found("tiny@calm", steering=steering)
    assert (got.arm, got.digest, got.interventions) == ("inline", CALM.digest, (ADD, ADD))
    plain = found("tiny", seen=view(champion=CALM.digest), steering=steering)
    assert (plain.arm, plain.digest, plain.interventions) == ("inline", "", (ADD,))
    with pytest.raises(Fault) as caught:
        found("tiny", by=Caller(id="k", scopes=frozenset({"inference"})), steering=steering)
    assert (caught.value.code, caught.value.param) == ("insufficient_scope", "steering-inline")
    reader = Caller(id="k", scopes=frozenset({"inference", "admin-read"}))
    assert found("tiny", by=reader, steering={"receipts": True}).arm == "none"


def test_under_the_kill_switch_nothing_has_interventions():
    got = found("tiny@calm", seen=view(kill=True))
    assert (got.arm, got.label, got.reason) == ("baseline", "baseline", "kill_switch")
    assert got.profile is not None
    assert not got.steered
    assert not got.profile.interventions
    assert got.digest not in (CALM.digest, "")
    own = found("tiny@calm", seen=view(kill=True, baseline=KIND.digest))
    assert (own.digest, own.profile) == (KIND.digest, KIND)
    unsteered = found("tiny@kind", seen=view(kill=True))
    assert (unsteered.arm, unsteered.reason) == ("pinned", None)
    for more in ({"steering_required": True}, {"steering": {"interventions": [msgspec.to_builtins(ADD)]}}):
        with pytest.raises(Fault) as caught:
            found("tiny@calm", seen=view(kill=True), **more)
        assert (caught.value.code, caught.value.status) == ("steering_disabled", 503)


@given(
    header=st.none() | st.text(min_size=1),
    safety=st.none() | st.text(min_size=1),
    user=st.none() | st.text(min_size=1),
)
def test_who_sticks_is_who_was_named_first(header, safety, user):
    ask = msgspec.structs.replace(asking(), safety_identifier=safety, user=user)
    named = [said for said in (header, safety, user) if said]
    unit = unit_of(ask, DEV, "tiny", header)
    assert unit == (named[0] if named else unit_of(asking(), DEV, "tiny", None))


def test_a_conversation_sticks_from_its_first_words_on():
    first = asking()
    later = msgspec.convert(
        {
            "model": "tiny",
            "messages": [
                *MESSAGES,
                {"role": "assistant", "content": "hello"},
                {"role": "user", "content": "and now?"},
            ],
        },
        ChatRequest,
    )
    assert unit_of(first, DEV, "tiny", None) == unit_of(later, DEV, "tiny", None)
    assert (
        address(first, DEV, view(), MODELS, unit=None).unit_hash
        == address(later, DEV, view(), MODELS, unit=None).unit_hash
    )
    other = Caller(id="else", scopes=DEV.scopes)
    assert unit_of(first, other, "tiny", None) != unit_of(first, DEV, "tiny", None)


def test_a_unit_is_kept_as_a_hash_only():
    got = address(asking(user="somebody@example.com"), DEV, view(), MODELS, unit=None)
    assert len(got.unit_hash) == 16
    assert "somebody" not in got.unit_hash


async def test_a_model_that_does_not_come_up_is_503_in_time():
    model = ServedModel(Model(name="m", address="x:y"), None, Settings(first_token_s=0.05))
    with pytest.raises(Fault) as caught:
        await model.known()
    assert (caught.value.status, caught.value.code) == (503, "server_is_overloaded")
    waiting = asyncio.ensure_future(ServedModel(Model(name="m", address="x:y"), None, Settings()).known())
    await asyncio.sleep(0)
    waiting.cancel()
