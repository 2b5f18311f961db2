"""Who asks: what a header must say, and what is told of one that opens nothing."""

from __future__ import annotations

import pytest

from symposia.serve.auth import Caller, Refused, authenticate
from symposia.store.keys import fingerprint

ID = "abcdefgh2345"
SECRET = f"sk-sym-{ID}-" + "x" * 43
OTHER = f"sk-sym-{ID}-" + "y" * 43
CALLERS = {ID: Caller(id=ID, scopes=frozenset({"inference"}), sha256=fingerprint(SECRET), expires=10.0)}


@pytest.mark.parametrize("header", [f"Bearer {SECRET}", f"bearer {SECRET}", f"BEARER   {SECRET} \t"])
def test_a_key_opens_however_its_header_is_written(header: str) -> None:
    """The scheme is a word in any case; blanks around a key are none of it."""
    assert authenticate(header.encode(), CALLERS, 0.0) is CALLERS[ID]


@pytest.mark.parametrize(
    ("header", "reason", "key"),
    [
        (None, "missing", ""),
        (b"", "missing", ""),
        (b"Bearer", "malformed", ""),
        (b"Bearer ", "malformed", ""),
        (SECRET.encode(), "malformed", ""),
        (f"Basic {SECRET}".encode(), "malformed", ""),
        (f"Bearer{SECRET}".encode(), "malformed", ""),
        (b"Bearer \xff\xfe", "malformed", ""),
        (f"Bearer {OTHER}".encode(), "unknown", ""),
        (f"Bearer {SECRET[:-1]}".encode(), "malformed", ""),
        (f"Bearer {SECRET.replace(ID, 'a' * 12)}".encode(), "unknown", ""),
    ],
)
def test_what_opens_nothing_is_told_apart_for_the_event_alone(
    header: bytes | None, reason: str, key: str
) -> None:
    """Callers read one text whatever is wrong."""
    with pytest.raises(Refused) as caught:
        authenticate(header, CALLERS, 0.0)
    assert (caught.value.reason, caught.value.key, caught.value.status) == (reason, key, 401)
    assert caught.value.message == Refused("any").message


def test_a_key_that_ended_is_named() -> None:
    """It was somebody's: the event says whose."""
    with pytest.raises(Refused) as caught:
        authenticate(f"Bearer {SECRET}".encode(), CALLERS, 10.0)
    assert (caught.value.reason, caught.value.key) == ("expired", ID)
