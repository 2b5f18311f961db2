import sys
from dataclasses import dataclass

import pytest

from symposia.core.errors import InvalidInput, UnknownName
from symposia.evals.methods.debated import Debated, DebateOptions
from symposia.evals.methods.registry import ALIASES, DEFAULT, PROTOCOLS, method
from symposia.evals.methods.self_consistency import SelfConsistency
from symposia.evals.methods.single import Single
from symposia.evals.methods.universal import UniversalSelfConsistency


def test_every_name_and_alias_is_a_method():
    """All registered names, and all aliases, with an option where one is needed."""
    for name in (*PROTOCOLS, *ALIASES, *DEFAULT):
        needs = name in ("self_consistency", "universal_self_consistency", "sc", "usc")
        assert method(f"{name}:5" if needs else name) is not None


def test_options_are_read_by_type():
    """A number alone is the number of samples; the rest is key=value, converted to what the option holds."""
    assert method("sc:5") == SelfConsistency(5)
    assert method("self_consistency:n=tokens") == SelfConsistency("tokens")
    assert method("usc@calls") == UniversalSelfConsistency("calls")
    assert method("single_tools") == Single(tools=True)
    options = DebateOptions(max_rounds=2, stop="fixed:2", select="vote")
    assert method("debate:max_rounds=2,stop=fixed:2,select=vote") == Debated(options)


@pytest.mark.parametrize(
    ("written", "error", "said"),
    [
        ("singel", UnknownName, "did you mean 'single'"),
        ("sc@call", UnknownName, "did you mean 'sc@calls'"),
        (
            "debate:max_round=2",
            UnknownName,
            "option of parallel_consensus 'max_round'.*did you mean 'max_rounds'",
        ),
        ("classic:order=1", UnknownName, "did you mean 'orders'"),
        ("tool_grounded:budget=1", UnknownName, "option of tool_grounded 'budget'"),
        ("single:5", UnknownName, "option of single '5'"),
        ("single_tools:n=5", UnknownName, "option of single_tools 'n'"),
        ("sc:m=5", UnknownName, "expected one of n"),
        ("sc:many", InvalidInput, "self_consistency:many"),
        ("sc", InvalidInput, "missing required field `n`"),
        ("sc:0", InvalidInput, "at least 1"),
        ("usc:1", InvalidInput, "at least 2"),
        ("usc:tokens", InvalidInput, "universal_self_consistency:tokens"),
        ("debate:max_rounds=0", InvalidInput, "max_rounds"),
        ("debate:select=me", InvalidInput, "select"),
        ("no.such.module:make", InvalidInput, "expected pkg.mod:factory"),
        ("symposia.evals.methods.registry:nothing", InvalidInput, "has no function 'nothing'"),
    ],
)
def test_what_is_unknown_is_named(written, error, said):
    """No option is swallowed: for every protocol an unknown one names itself and the nearest known one."""
    with pytest.raises(error, match=said):
        method(written)


@dataclass(frozen=True)
class Own:
    budgeted: bool = False
    debates: bool = False


def test_a_method_of_ones_own_is_named_by_its_path():
    """`pkg.mod:factory` gives what the factory returns."""
    sys.modules["own.methods"] = sys.modules[__name__]
    try:
        assert method("own.methods:Own") == Own()
    finally:
        del sys.modules["own.methods"]


def test_the_registry_is_closed():
    """Nothing can be added once it is imported."""
    with pytest.raises(TypeError):
        PROTOCOLS["mine"] = PROTOCOLS["single"]
