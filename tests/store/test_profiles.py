"""The registry names profiles by content, moves aliases by compare-and-swap, and says who did what."""

from __future__ import annotations

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile, Sampling
from symposia.core.served import AliasMoved, ProfileArchived, ProfileCreated
from symposia.core.store import Query
from symposia.store import Storage
from symposia.store.profiles import Alias, only
from symposia.store.refusals import AliasConflict, AmbiguousDigest, InUse, UnknownProfile

MODEL = "symposia:tiny"
WARM = Profile(model=MODEL, system="Be warm.")
COLD = Profile(model=MODEL, system="Be cold.", sampling=Sampling(temperature=0))


def put(storage: Storage, profile: Profile) -> str:
    return storage.profiles.put(profile, actor="ann", note="made")


def move(storage: Storage, to: str | None, expect: str | None, alias: str = "calm") -> int:
    return storage.profiles.move(MODEL, alias, to, expect=expect, actor="ann", reason="why", evidence="e")


def test_equal_content_is_one_profile(storage: Storage, clock: VirtualClock) -> None:
    """Putting twice is putting once: the same digest, one event, one act, the first one's time and note."""
    digest = put(storage, WARM)
    assert digest == WARM.digest
    assert storage.profiles.put(Profile(model=MODEL, system="Be warm."), actor="bob") == digest
    assert [s.digest for s in storage.profiles.all()] == [digest]
    assert storage.profiles.get(digest) == WARM
    stored = storage.profiles.stored(digest)
    assert (stored.actor, stored.note, stored.created, stored.archived) == ("ann", "made", clock.time(), None)
    assert [r.event for r in storage.events.read(Query(stream="profiles"))] == [
        ProfileCreated(digest=digest, model=MODEL, actor="ann", note="made")
    ]
    assert [a.action for a in storage.profiles.audit()] == ["profile_created"]


def test_a_move_is_compare_and_swap(storage: Storage) -> None:
    """A mover who believed wrongly is told where the alias is, and nothing has changed."""
    warm, cold = put(storage, WARM), put(storage, COLD)
    seq = move(storage, warm, None)
    assert storage.profiles.aliases() == (Alias(model=MODEL, name="calm", digest=warm, seq=seq),)
    with pytest.raises(AliasConflict) as caught:
        move(storage, cold, "sha256:wrong")
    assert caught.value.current == warm
    assert storage.profiles.resolve(MODEL, "calm") == warm
    move(storage, cold, warm)
    move(storage, warm, cold)
    move(storage, None, warm)
    with pytest.raises(UnknownProfile):
        storage.profiles.resolve(MODEL, "calm")
    assert [(m.before, m.after) for m in storage.profiles.history(MODEL, "calm")] == [
        (None, warm),
        (warm, cold),
        (cold, warm),
        (warm, None),
    ]
    moved = [r.event for r in storage.events.read(Query(stream="aliases"))]
    assert moved[1] == AliasMoved(
        model=MODEL, alias="calm", before=warm, after=cold, actor="ann", reason="why", evidence="e"
    )
    assert len(moved) == 4
    assert storage.profiles.aliases() == ()


def test_aliases_belong_to_models(storage: Storage) -> None:
    """The same name of two models is two aliases, and neither can point at the other's profile."""
    other = put(storage, Profile(model="other"))
    warm = put(storage, WARM)
    move(storage, warm, None)
    storage.profiles.move("other", "calm", other, expect=None, actor="a", reason="r")
    assert [a.digest for a in storage.profiles.aliases("other")] == [other]
    assert len(storage.profiles.aliases()) == 2
    with pytest.raises(InvalidInput, match="is of model 'other'"):
        move(storage, other, warm)
    with pytest.raises(UnknownProfile):
        storage.profiles.resolve("other", warm)


def test_selectors(storage: Storage) -> None:
    """Aliases, whole digests and 12 digits or more of one find a profile; what does not says what would."""
    warm = put(storage, WARM)
    move(storage, warm, None)
    assert {storage.profiles.resolve(MODEL, s) for s in ("calm", warm, warm[:19])} == {warm}
    with pytest.raises(UnknownProfile, match="did you mean 'calm'"):
        storage.profiles.resolve(MODEL, "clam")
    for selector in (warm[:18], "sha256:", "sha256:" + "G" * 12, "sha256:" + "0" * 65):
        with pytest.raises(InvalidInput, match="12 to 64 hex digits"):
            storage.profiles.resolve(MODEL, selector)
    with pytest.raises(UnknownProfile):
        storage.profiles.resolve(MODEL, "sha256:" + "0" * 12)


def test_a_digest_that_begins_two() -> None:
    """Digits that begin several digests name none of them, and the error lists all."""
    two = [f"sha256:{'0' * 12}{digit * 52}" for digit in "ba"]
    with pytest.raises(AmbiguousDigest, match="give more digits") as caught:
        only("sha256:" + "0" * 12, two)
    assert caught.value.digests == tuple(sorted(two))
    assert only(two[0][:20], two[:1]) == two[0]


def test_archived_profiles_answer_no_more(storage: Storage) -> None:
    """Not while an alias points there; afterwards no selector finds it, its content stays, and put brings it back."""
    warm = put(storage, WARM)
    move(storage, warm, None)
    with pytest.raises(InUse) as caught:
        storage.profiles.archive(warm, actor="ann", reason="old")
    assert caught.value.aliases == (f"{MODEL}@calm",)
    move(storage, None, warm)
    for _ in range(2):
        storage.profiles.archive(warm, actor="ann", reason="old")
    with pytest.raises(UnknownProfile, match="archived"):
        storage.profiles.resolve(MODEL, warm)
    with pytest.raises(UnknownProfile, match="archived"):
        move(storage, warm, None)
    assert storage.profiles.get(warm) == WARM
    assert storage.profiles.find(warm[:20], archived=True) == warm
    events = [r.event for r in storage.events.read(Query(stream="profiles"))]
    assert events[1:] == [ProfileArchived(digest=warm, actor="ann", reason="old")]
    put(storage, WARM)
    assert storage.profiles.resolve(MODEL, warm) == warm
    assert storage.verify().flaws == ()


@pytest.mark.parametrize("alias", ["none", "", "Calm", "-a", "a" * 64, "a b", "a@b", "ä", "calm\n"])
def test_names_that_no_alias_may_have(storage: Storage, alias: str) -> None:
    """An alias is 1 to 63 of a-z 0-9 . _ -, and not `none`."""
    with pytest.raises(InvalidInput, match="alias"):
        move(storage, put(storage, WARM), None, alias)


def test_protected_aliases_want_a_reason(storage: Storage) -> None:
    """Champion, challenger and baseline do not move for no reason; others may."""
    warm = put(storage, WARM)
    for alias in ("champion", "challenger", "baseline"):
        with pytest.raises(InvalidInput, match="reason"):
            storage.profiles.move(MODEL, alias, warm, expect=None, actor="ann", reason=" ")
    storage.profiles.move(MODEL, "calm", warm, expect=None, actor="ann", reason="")
    with pytest.raises(InvalidInput, match="actor"):
        storage.profiles.move(MODEL, "calm", None, expect=warm, actor="", reason="")
    with pytest.raises(InvalidInput, match="NUL"):
        storage.profiles.move(MODEL, "calm", None, expect=warm, actor="a", reason="\0")
    with pytest.raises(InvalidInput, match="surrogates"):
        storage.profiles.put(COLD, actor="a", note="\ud800")


def test_a_refused_change_leaves_nothing(storage: Storage) -> None:
    """Row, act and event come together or not at all."""
    warm = put(storage, WARM)
    before = storage.events.length("aliases"), len(storage.audit())
    for to, alias in (("sha256:" + "0" * 64, "calm"), (None, "calm"), (warm, "NO")):
        with pytest.raises(InvalidInput):
            move(storage, to, None, alias)
    assert (storage.events.length("aliases"), len(storage.audit())) == before
    assert storage.profiles.aliases() == ()
