"""A scenario file becomes the scenario it describes, and nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from symposia.cli.scenario import read_setting
from symposia.cli.scenario.jsonschema import scenario_schema
from symposia.cli.scenario.shorthand import spelled_out
from symposia.core.errors import InvalidInput
from symposia.core.message import said
from symposia.core.profile import Sampling
from symposia.core.usage import Price
from symposia.talk.fit import DropOldest
from symposia.talk.hooks import MaxWords
from symposia.talk.moderated import Moderated
from symposia.talk.protocols import RoundRobin
from symposia.talk.stop import AllOf, AnyOf, Elapsed, StopString, Turns
from tests.cli.process import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
WHOLE = """
symposia: 1
name: whole
seed: 7
date: "2025-03-01"
endpoints: {gpu: {kind: openai, flavour: vllm, base_url: "http://localhost:8000/v1", key: "env:VLLM_KEY", rpm: 600}}
participants:
  alice: {model: tiny, system: "You doubt everything.", sampling: {temperature: 1e-1, max_tokens: 60}, history: keep}
  bob: {model: "gpu:google/gemma-2-2b-it", system_file: bob.md, private: [{author: coach, text: "Never mention it."}]}
shared_system: Be brief.
shared_context: Is a hot dog a sandwich?
prompt: {author: bob, text: Begin.}
opening: [{author: alice, text: psst, audience: [bob]}]
protocol: {type: round_robin, first: bob}
until: {any: [{type: turns, n: 6}, {all: [{type: stop_string, strings: ["I concede"]}, {type: elapsed, seconds: 9}]}]}
view: {labels: always, reasoning: self}
fit: {type: drop_oldest, keep: 3}
hooks: [{type: max_words, n: 80}]
prices: {"gpu:google/gemma-2-2b-it": {input: 0.1, output: 0.2}}
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    (tmp_path / "bob.md").write_text("You defend it.\n")
    path = tmp_path / "whole.yaml"
    path.write_text(WHOLE)
    return path


def test_every_field_arrives(whole: Path) -> None:
    """What the file says is what the scenario holds."""
    setting = read_setting(whole)
    scenario = setting.scenario
    alice, bob = scenario.participants
    assert (scenario.name, scenario.seed, scenario.date) == ("whole", 7, "2025-03-01")
    assert alice.profile.model == "symposia:tiny"
    assert alice.profile.sampling == Sampling(temperature=0.1, max_tokens=60)
    assert alice.profile.history == "keep"
    assert bob.profile.system == "You defend it."
    assert bob.private == (said("coach", "Never mention it."),)
    assert scenario.opening == (said("alice", "psst", frozenset({"bob"})),)
    assert scenario.prompt == said("bob", "Begin.")
    assert scenario.protocol == RoundRobin(speakers=("alice", "bob"), first="bob")
    stop = AllOf((StopString(strings=("I concede",)), Elapsed(9)))
    assert scenario.until == AnyOf((Turns(6), stop))
    assert (scenario.fit, scenario.hooks) == (DropOldest(keep=3), (MaxWords(n=80),))
    assert (scenario.view.labels, scenario.view.reasoning) == ("always", "self")
    assert setting.prices == {"gpu:google/gemma-2-2b-it": Price(input=0.1, output=0.2)}


def test_the_digest_is_of_the_meaning(whole: Path) -> None:
    """Other spelling, other order, defaults written out: the same scenario. Another value: another one."""
    first = read_setting(whole).scenario.digest
    plain = yaml.safe_load(WHOLE.replace("1e-1", "0.1"))
    plain["participants"]["alice"]["tool_rounds"] = 8
    (whole.parent / "other.yaml").write_text(json.dumps(dict(reversed(plain.items()))))
    assert read_setting(whole.parent / "other.yaml").scenario.digest == first
    assert read_setting(whole, ["participants.alice.sampling.temperature=0.2"]).scenario.digest != first


def test_settings_reach_every_place(whole: Path) -> None:
    """`--set` replaces what is there, makes what is not, and indexes lists."""
    scenario = read_setting(
        whole, ["until.any.0.n=9", "participants.bob.sampling.seed=4", "name=other", "hooks=[]", "date=null"]
    ).scenario
    assert isinstance(scenario.until, AnyOf)
    assert scenario.until.any[0] == Turns(9)
    assert scenario.participants[1].profile.sampling == Sampling(seed=4)
    assert (scenario.name, scenario.hooks, scenario.date) == ("other", (), None)


def test_speakers_are_everybody_but_the_moderator(tmp_path: Path) -> None:
    """A protocol without speakers means all participants in order; the moderator chooses and does not speak."""
    data = {"participants": {"chair": {}, "a": {}, "b": {}}}
    moderated = spelled_out({**data, "protocol": {"type": "moderated", "moderator": "chair", "turns": 2}})
    assert moderated["protocol"]["speakers"] == ["a", "b"]
    assert spelled_out({**data, "protocol": {"type": "rounds"}})["protocol"]["speakers"] == [
        "chair",
        "a",
        "b",
    ]
    assert Moderated(**{k: v for k, v in moderated["protocol"].items() if k != "type"}).names == (
        "chair",
        "a",
        "b",
    )


def test_rows_fill_slots() -> None:
    """Each row of the data set makes its own scenario; a missing or superfluous row number is bad input."""
    setting = read_setting(ROOT / "examples" / "dishes.yaml")
    first, last = setting.expanded(0).scenario, setting.expanded(3).scenario
    assert first.shared_context == "Is a hot dog a sandwich? People in Chicago do not agree."
    assert last.participants[0].profile.system == "You think that an open sandwich is a sandwich."
    assert first.row["year"] == 1916
    assert first.digest != last.digest
    for row, words in ((4, "0..3"), (None, "4 rows")):
        with pytest.raises(InvalidInput, match=words):
            setting.expanded(row)
    with pytest.raises(InvalidInput, match="no dataset"):
        read_setting(ROOT / "examples" / "rounds.yaml").expanded(0)


def test_a_bad_row_is_pointed_at(tmp_path: Path) -> None:
    """A line that is no JSON object is named by file and line."""
    (tmp_path / "rows.jsonl").write_text('{"dish": "taco"}\n\n[1]\n')
    text = (
        (ROOT / "examples" / "dishes.yaml")
        .read_text()
        .replace("dishes.jsonl, fields: [dish, place]", "rows.jsonl, fields: [dish]")
    )
    (tmp_path / "s.yaml").write_text(text.replace(" People in {{place}} do not agree.", ""))
    with pytest.raises(InvalidInput, match=r"rows.jsonl:3: expected a JSON object"):
        read_setting(tmp_path / "s.yaml").expanded(0)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_the_schema_accepts_every_example(path: Path) -> None:
    """The published JSON Schema takes what the reader takes."""
    jsonschema.Draft202012Validator(scenario_schema()).validate(yaml.safe_load(path.read_text()))
    read_setting(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"participants": {}},
        {"participants": {"a": {"model": "tiny", "sampling": {"temprature": 1}}}},
        {"participants": {"a": {"model": "tiny"}}, "until": {"type": "turn", "n": 1}},
        {"participants": {"a": {"model": "tiny"}}, "mcp": []},
        {"participants": {"a": {"model": "tiny"}}, "symposia": 2},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(wrong: dict[str, object], tmp_path: Path) -> None:
    """An editor with the schema and the program agree on what is wrong."""
    data = {"symposia": 1, **wrong}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(scenario_schema()).validate(data)
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    with pytest.raises(InvalidInput):
        read_setting(tmp_path / "s.yaml")


def test_the_published_schema_is_current() -> None:
    """docs/schema/scenario.schema.json says what the types say."""
    published = json.loads((ROOT / "docs" / "schema" / "scenario.schema.json").read_text())
    assert published == scenario_schema()
    jsonschema.Draft202012Validator.check_schema(published)


def test_scripted_code_needs_leave(tmp_path: Path) -> None:
    """With --allow-code an address may name a function; the file is not run by reading the scenario."""
    (tmp_path / "talk.py").write_text("raise SystemExit('read, not run')\n")
    text = 'symposia: 1\nparticipants: {a: {model: "scripted:talk.py:reply"}}\nuntil: {type: turns, n: 1}\n'
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="--allow-code"):
        read_setting(tmp_path / "s.yaml")
    assert read_setting(tmp_path / "s.yaml", allow_code=True).scenario.names == ("a",)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("./mine", "./plays/mine"),
        ("../mine?dtype=float32", "./mine?dtype=float32"),
        ("../../mine", "../mine"),
        ("/srv/mine", "/srv/mine"),
        ("./mine?adapter=./warm", "./plays/mine?adapter=./plays/warm"),
    ],
)
def test_a_relative_model_path_begins_at_the_file(
    model: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever the file is read, `./mine` is the folder beside it."""
    (tmp_path / "plays").mkdir()
    text = f'symposia: 1\nparticipants: {{a: {{model: "{model}"}}}}\nuntil: {{type: turns, n: 1}}\n'
    (tmp_path / "plays" / "s.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    scenario = read_setting(Path("plays") / "s.yaml").scenario
    assert scenario.participants[0].profile.model == expected
