"""Tool names on the wire."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.toolnames import ToolNames

NAMES = st.lists(st.text("ab_.-", min_size=1, max_size=70), max_size=12)


@given(NAMES)
def test_names_go_out_as_allowed_and_come_back_as_they_were(names) -> None:
    """Each name has one of its own on the wire, within the protocols' alphabet, and back."""
    mapped = ToolNames(names)
    sent = [mapped.sent(name) for name in dict.fromkeys(names)]
    assert len(set(sent)) == len(sent)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in sent)
    assert [mapped.ours(name) for name in sent] == list(dict.fromkeys(names))


@given(NAMES)
def test_a_name_that_is_allowed_is_itself(names) -> None:
    """Only names that could not be sent are changed, whatever stands beside them."""
    mapped = ToolNames(names)
    for name in names:
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            assert mapped.sent(name) == name


def test_a_call_nobody_offered_keeps_its_name() -> None:
    """The loop answers it as an unknown tool."""
    assert ToolNames(["files.read"]).ours("invented") == "invented"
