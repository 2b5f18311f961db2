"""Settings: who wins, what is refused, and that nothing but this machine is called loopback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.serve.settings import FIELDS, TINY, Settings, is_loopback, models_of, read

VALUES = st.integers(min_value=1, max_value=50)


@given(flag=st.none() | VALUES, env=st.none() | VALUES, file=st.none() | VALUES)
def test_flag_before_environment_before_file_before_default(flag, env, file):
    settings = read(
        {} if flag is None else {"max_n": flag},
        {} if env is None else {"SYMPOSIA_SERVE_MAX_N": str(env)},
        {} if file is None else {"max_n": file},
    )
    given_ = [value for value in (flag, env, file) if value is not None]
    assert settings.max_n == (given_[0] if given_ else Settings().max_n)


@given(name=st.sampled_from(FIELDS), cut=st.integers(min_value=0, max_value=20))
def test_a_misspelt_name_is_refused_with_one_that_exists(name, cut):
    misspelt = name[: cut % len(name)] + "zz" + name[cut % len(name) :]
    with pytest.raises(InvalidInput, match="unknown setting") as file:
        read({}, {}, {misspelt: 1})
    assert any(f"{known!r}" in str(file.value) for known in FIELDS)
    with pytest.raises(InvalidInput, match="SYMPOSIA_SERVE_"):
        read({}, {f"SYMPOSIA_SERVE_{misspelt.upper()}": "1"}, {})


def test_who_asks_for_some_settings_is_not_held_up_by_others():
    """Their values are the defaults; a name that is no setting is still told."""
    table = {"store": "s.db", "only": ["a"], "port": "eighty"}
    assert read({}, {}, table, names=("store",)) == Settings(store="s.db")
    with pytest.raises(InvalidInput, match="unknown setting"):
        read({}, {}, {**table, "stoer": "t.db"}, names=("store",))


def test_the_bundled_model_stands_where_nothing_is_named():
    assert Settings().served == (TINY,)
    upstream = read({}, {"INFERENCE_BASE_URL": "http://127.0.0.1:9"}, {})
    assert (upstream.upstream, upstream.served) == ("http://127.0.0.1:9", ())


def test_models_come_from_flags_environment_and_tables():
    flags = read({"models": models_of(["a=x:y", "b=z"])}, {}, {})
    env = read({}, {"SYMPOSIA_SERVE_MODELS": "a=x:y, b=z"}, {})
    table = read({}, {}, {"models": {"a": "x:y", "b": {"address": "z"}}})
    assert flags.models == env.models == table.models
    limited = read({}, {}, {"models": {"a": {"address": "x", "max_output_tokens": 9}}})
    assert limited.models[0].max_output_tokens == 9


@pytest.mark.parametrize(
    "table",
    [
        {"port": "eighty"},
        {"port": 70_000},
        {"drain_s": -1},
        {"tls_cert": "only.pem"},
        {"only": ["a"]},
        {"upstream_flavour": "vllm"},
        {"upstream_rate_status": 500},
        {"models": "tiny"},
        {"models": {"a@b": "x"}},
        {"models": {"a": {"adress": "x"}}},
    ],
)
def test_what_cannot_be_is_refused(table):
    with pytest.raises(InvalidInput):
        read({}, {}, table)


def test_a_budget_table_is_no_setting():
    assert read({}, {}, {"budget": {"default": {}}}).budget is None
    assert read({}, {}, {"budget": "file.toml"}).budget == "file.toml"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("localhost:80", True),
        ("[::1]:8080", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("example.com", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("[::2]:80", False),
        ("", False),
        ("127.evil", False),
    ],
)
def test_loopback_is_this_machine(host, loopback):
    assert is_loopback(host) is loopback
