"""Scenarios: framing, slots, and what they refuse."""

from __future__ import annotations

import pytest

from symposia.backends import Scripted
from symposia.core.errors import InvalidInput, UnexpandedScenario
from symposia.core.message import said
from symposia.talk.conversation import Conversation
from symposia.talk.hooks import JudgeHook
from symposia.talk.moderated import Moderated
from symposia.talk.scenario import Scenario
from tests.company import babble, party, person


def test_framing_stands_in_order() -> None:
    """Shared system, shared context, opening, prompt; each by its author."""
    scenario = Scenario(
        participants=party("ann", "bob"),
        shared_system="Be kind.",
        shared_context="Tea.",
        opening=(said("ann", "Hello."),),
        prompt="Well?",
    )
    assert [(m.author, m.text) for m in scenario.start()] == [
        ("system", "Be kind."),
        ("moderator", "Tea."),
        ("ann", "Hello."),
        ("bob", "Well?"),
    ]


def test_slots_are_filled_everywhere_and_only_once() -> None:
    """A slot works in every framing text; inserted braces are literal; other braces stay."""
    scenario = Scenario(
        participants=(
            person("ann", system="Like {{dish}}."),
            person("bob", private=(said("coach", "Hate {{dish}}."),)),
            person("chair"),
        ),
        protocol=Moderated(moderator="chair", speakers=("ann", "bob"), turns=1, ask="Who on {{dish}}?"),
        shared_context="{{dish}} or {{other}}?",
        prompt="Is {{ dish }} good?",
        hooks=(JudgeHook(participant="chair", question="Is this about {{dish}}?"),),
        fields=("dish",),
    )
    (filled,) = scenario.expand([{"dish": "{{dish}} pie", "id": 7}])
    assert filled.shared_context == "{{dish}} pie or {{other}}?"
    assert filled.participants[0].profile.system == "Like {{dish}} pie."
    assert filled.participants[1].private[0].text == "Hate {{dish}} pie."
    assert isinstance(filled.protocol, Moderated)
    assert filled.protocol.ask == "Who on {{dish}} pie?"
    assert filled.prompt == "Is {{dish}} pie good?"
    assert isinstance(filled.hooks[0], JudgeHook)
    assert filled.hooks[0].question == "Is this about {{dish}} pie?"
    assert filled.row == {"dish": "{{dish}} pie", "id": 7}
    assert filled.digest != scenario.digest


def test_unfilled_unused_missing_and_odd_fields_are_errors() -> None:
    """Open slots cannot run; a field nobody uses, a missing column and a list are refused with their place."""
    open_one = Scenario(participants=party("ann", "bob"), shared_context="{{dish}}", fields=("dish",))
    with pytest.raises(UnexpandedScenario, match="dish"):
        Conversation(scenario=open_one, backend=Scripted(babble))
    with pytest.raises(InvalidInput, match="no text uses: dsh"):
        list(Scenario(participants=party("ann"), shared_context="{{dish}}", fields=("dsh",)).expand([{}]))
    with pytest.raises(InvalidInput, match="row 1 has no 'dish'; its columns are dihs"):
        list(open_one.expand([{"dish": "soup"}, {"dihs": "soup"}]))
    with pytest.raises(InvalidInput, match="got list"):
        list(open_one.expand([{"dish": ["soup"]}]))


def test_expansion_is_lazy_and_derives_columns() -> None:
    """One row is read at a time; `derive` adds columns."""
    scenario = Scenario(participants=party("ann"), shared_context="{{dish}}", fields=("dish",))
    drawn: list[int] = []

    def rows() -> object:
        for n in range(3):
            drawn.append(n)
            yield {"n": n}

    expanded = scenario.expand(rows(), derive=lambda row: {"dish": f"soup {row['n']}"})  # type: ignore[arg-type]
    assert next(expanded).shared_context == "soup 0"
    assert drawn == [0]
