"""Replies that must have a shape: every tokenizer, every syntax, every batch; refused at once or kept."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from symposia.core.errors import BackendError, InvalidInput, UnsupportedRequest
from symposia.core.message import ToolCall
from symposia.core.parse import parse
from symposia.core.profile import Sampling
from symposia.core.toolspec import ToolSpec
from symposia.engine import Engine, EngineOptions, intake, model
from symposia.engine.families import TEMPLATES, chat_tokenizer, family
from symposia.engine.grammar import Grammars, installed
from tests.reference.asking import answer, answers, gather, request, talk

HOT = Sampling(temperature=1.5, max_tokens=160)
PLACE = {
    "type": "object",
    "properties": {
        "name": {"enum": ["Oslo", "Rome"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 31},
    },
    "required": ["name", "days"],
    "additionalProperties": False,
}
VISIT = ToolSpec(name="visit.place", description="goes there", parameters=PLACE)
ARGUMENTS = r'(\{"name": "(?:Oslo|Rome)", "days": \d+\})'
NINE = "[a-zA-Z0-9]{9}"
# Each template's own way to write a call of VISIT, as its chat template renders one.
CALLS = {
    "qwen2.5": rf'<tool_call>\n\{{"name": "visit.place", "arguments": {ARGUMENTS}\}}\n</tool_call>',
    "gemma2": rf'<tool_call>\n\{{"name": "visit.place", "arguments": {ARGUMENTS}\}}\n</tool_call>',
    "phi3.5": rf'<tool_call>\n\{{"name": "visit.place", "arguments": {ARGUMENTS}\}}\n</tool_call>',
    "llama3.1": rf'\{{"name": "visit.place", "parameters": {ARGUMENTS}\}}',
    "mistral-nemo": rf'\[TOOL_CALLS\]\[\{{"name": "visit.place", "arguments": {ARGUMENTS}, "id": "{NINE}"\}}\]',
    "mistral-small": rf"\[TOOL_CALLS\]visit\.place\[CALL_ID\]{NINE}\[ARGS\]{ARGUMENTS}",
    "phi4-mini": rf'<\|tool_call\|>\[\{{"name": "visit.place", "arguments": {ARGUMENTS}\}}\]<\|/tool_call\|>',
}
THINKING = ("qwen3", "r1", "gpt-oss")
NAMED = ("qwen3-coder", "llama3.2-list", "gemma3-code")  # each argument by its name
REPORT = {
    "type": "object",
    "properties": {
        "who": {"type": "string", "minLength": 1, "maxLength": 9},
        "sure": {"type": "boolean"},
        "kind": {"enum": ["a b", "c"]},
        "of": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
        "share": {"$ref": "#/$defs/Share"},
        "why": {"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]},
    },
    "required": ["who", "sure", "kind"],
    "additionalProperties": False,
    "$defs": {"Share": {"type": "integer", "minimum": 0, "maximum": 9}},
}
TOOLS = (
    VISIT,
    ToolSpec(name="report", description="", parameters=REPORT),
    ToolSpec(name="wait", description="", parameters={"type": "object", "additionalProperties": False}),
)


@pytest.fixture(scope="module")
def tiny():
    with Engine.load("symposia:tiny") as engine:
        yield engine


def noisy(template: str, **options: object) -> Engine:
    """An engine that says anything at all, with more logits than its tokenizer has tokens."""
    tokenizer = chat_tokenizer(template)
    model = family("llama").model(
        vocab_size=len(tokenizer) + 45, eos_token_id=tokenizer.eos_token_id, max_position_embeddings=2048
    )
    return Engine.adopt(model, tokenizer, template, options=EngineOptions(kv_bytes=1 << 24, **options))


@pytest.mark.parametrize("template", CALLS)
def test_a_forced_call_is_one_call_in_the_models_own_syntax(template):
    """Noise for weights, temperature 1.5: the reply is exactly one call, and its arguments are of the schema."""
    with noisy(template) as engine:
        asks = [request(engine, sampling=HOT, force=VISIT, seed=seed) for seed in range(6)]
        for done in answers(engine, asks):
            found = re.fullmatch(CALLS[template], done.text)
            assert found, done.text
            jsonschema.validate(json.loads(found[1]), PLACE)
            assert done.token_ids[-1] in engine._model.ends


@pytest.mark.parametrize("template", [*CALLS, *NAMED])
def test_a_forced_call_is_read_back_in_every_syntax(template):
    """Second implementation: the parser of conversations finds one call, whose arguments the schema accepts."""
    with noisy(template) as engine:
        asks = [request(engine, sampling=HOT, force=tool, seed=seed) for tool in TOOLS for seed in range(6)]
        for ask, done in zip(asks, answers(engine, asks), strict=True):
            assert done.finish_reason == "tool_calls", done.text
            (call,) = parse(done.text, done.syntax, tools=(ask.force,))
            assert isinstance(call, ToolCall)
            assert (call.name, call.error) == (ask.force.name, "")
            jsonschema.validate(call.arguments, ask.force.parameters)


@pytest.mark.parametrize(
    ("template", "name", "parameters", "says"),
    [
        ("llama3.2-list", "go-there", {}, "go-there"),
        ("llama3.2-list", "send", {"properties": {"from": {"type": "string"}}}, "'from'"),
        ("gemma3-code", "go", {"properties": {"how far": {"type": "integer"}}}, "how far"),
        ("qwen3-coder", "go", {"properties": {"to": {"type": "string", "pattern": "^[a-z]+$"}}}, "pattern"),
        ("qwen3-coder", "go", {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "anyOf"),
        ("qwen3-coder", "go", {"properties": {"to": {"enum": ["</parameter>"]}}}, "values of 'to'"),
    ],
)
def test_a_call_that_its_syntax_cannot_say_is_refused(template, name, parameters, says):
    """With what cannot be said and a way out, before the first token."""
    tool = ToolSpec(name=name, description="", parameters={"type": "object", **parameters})
    with noisy(template) as engine, pytest.raises(UnsupportedRequest, match=says):
        answer(engine, request(engine, sampling=HOT, force=tool))


@pytest.mark.parametrize("template", ["qwen2.5", "qwen3-coder", "mistral-nemo", "mistral-small", "phi4-mini"])
def test_where_no_call_may_come_none_can_begin(template):
    """`tool_choice="none"`: the token that begins a call is impossible, though the prompt is the same."""
    with noisy(template) as engine:
        (begins,) = engine.template.call_tokens
        sampling = msgspec.structs.replace(HOT, max_tokens=20, logit_bias=((begins, 60.0),))
        ask = request(engine, sampling=sampling, tools=(VISIT,))
        free, none = answers(engine, [ask, msgspec.structs.replace(ask, tool_choice="none")])
    assert begins in free.token_ids
    assert begins not in none.token_ids
    assert free.prompt_token_ids == none.prompt_token_ids


@pytest.mark.parametrize("template", [*CALLS, *THINKING])
def test_json_of_a_shape_on_every_tokenizer(template):
    """Text in any script included; whatever was thought stands before it."""
    schema = {"type": "array", "items": {"type": "string", "maxLength": 6}, "maxItems": 2}
    with noisy(template) as engine:
        asks = [request(engine, sampling=HOT, schema=schema, seed=seed) for seed in range(6)]
        ended = [done for done in answers(engine, asks) if done.finish_reason != "length"]
        for done in ended:
            said = "".join(
                engine.template._codec.decoded(done.token_ids[span.start - n : span.stop - n])
                for n in [len(done.prompt_token_ids)]
                for span in done.spans
                if span.generated and span.phase == "answer"
            )
            jsonschema.validate(json.loads(said), schema)
    assert ended or template in THINKING


@pytest.mark.parametrize("template", THINKING)
def test_thinking_comes_first_and_the_call_after_it(template):
    """A bias towards the end of thinking lets it end; then the call comes, and thinking never comes twice."""
    with noisy(template) as engine:
        close = engine.template._codec.controls[engine.template.facts.marks.think[1]].id
        sampling = msgspec.structs.replace(HOT, logit_bias=((close, 30.0),))
        done = answer(engine, request(engine, sampling=sampling, force=VISIT))
        phases = [span.phase for span in done.spans if span.generated and span.phase != "markup"]
        assert phases[-1] == "tool"
        assert done.text.count(engine.template.facts.marks.think[1]) <= 1
        assert re.search(ARGUMENTS, done.text)
        assert done.finish_reason == "tool_calls"
        *_, call = parse(done.text, done.syntax, opens_thinking=done.opens_thinking)
        assert (call.name, call.error) == (VISIT.name, "")


def test_thinking_off_leaves_only_the_shape():
    """The prompt says that there was no thinking; the first token is the answer's."""
    with noisy("qwen3") as engine:
        sampling = msgspec.structs.replace(HOT, thinking="off")
        done = answer(engine, request(engine, sampling=sampling, schema=PLACE))
    jsonschema.validate(json.loads(done.text), PLACE)


SCALARS = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": "number"}),
    st.tuples(st.integers(-99, 99), st.integers(0, 99)).map(
        lambda t: {"type": "integer", "minimum": t[0], "maximum": t[0] + t[1]}
    ),
    st.integers(0, 8).map(lambda n: {"type": "string", "maxLength": n}),
    st.just({"type": "string", "pattern": "^[a-c]{2,4}$"}),
    st.lists(st.one_of(st.text(max_size=4), st.integers(-5, 5), st.none()), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
)
NAMES = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=3)


def _object(drawn):
    names, shapes, required, more = drawn
    return {
        "type": "object",
        "properties": dict(zip(names, shapes, strict=False)),
        "required": [name for name, must in zip(names, required, strict=False) if must],
        "additionalProperties": more,
    }


SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(
            lambda t: {"type": "array", "items": t[0], "minItems": t[1], "maxItems": t[1] + t[2]}
        ),
        st.tuples(
            NAMES,
            st.lists(inner, min_size=3, max_size=3),
            st.lists(st.booleans(), min_size=3, max_size=3),
            st.just(False),
        ).map(_object),
        st.lists(inner, min_size=1, max_size=3).map(lambda shapes: {"anyOf": shapes}),
    ),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(SCHEMAS, st.integers(0, 2**31))
def test_whatever_is_sampled_is_of_the_schema(tiny, schema, seed):
    """At temperature 1.5 the reply parses and validates, or ended by length."""
    done = answer(tiny, request(tiny, sampling=HOT, schema=schema, seed=seed))
    if done.finish_reason == "length":
        assert len(done.token_ids) == HOT.max_tokens
    else:
        jsonschema.validate(json.loads(done.text), schema)


def test_greedy_is_the_likeliest_that_the_grammar_allows(tiny):
    """Step by step against the library's own reading of the tokenizer, from the model's own log-probabilities."""
    vocabulary = tiny.shape.vocabulary
    say = {"type": "string", "maxLength": 12}
    schema = {
        "type": "object",
        "properties": {"say": say},
        "required": ["say"],
        "additionalProperties": False,
    }
    form = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
    greedy = Sampling(temperature=0.0, max_tokens=60)
    done = answer(tiny, request(tiny, sampling=greedy, schema=schema, logprobs=vocabulary))
    library = from_tokenizer(tiny._model.tokenizer, n_vocab=vocabulary)
    matcher = LLMatcher(library, LLMatcher.grammar_from_json_schema(schema | form))
    free = 0
    for token, ids in zip(done.token_ids, done.logprobs.top_ids, strict=True):
        bits = matcher.compute_bitmask()
        assert token == next(i for i in ids if bits[i // 8] >> i % 8 & 1)
        free += token == ids[0]
        assert matcher.consume_token(token)
    assert free < len(done.token_ids)
    assert done.finish_reason == "stop"


def test_a_batch_of_both_kinds(tiny):
    """Rows with and without a grammar side by side say what each says alone; crowding them out changes nothing."""
    asks = [
        request(
            tiny,
            talk(6 + i),
            sampling=Sampling(temperature=1.0, max_tokens=60),
            seed=i,
            **({"schema": PLACE}, {"force": VISIT}, {})[i % 3],
        )
        for i in range(12)
    ]
    with Engine.load("symposia:tiny", dtype="float64") as engine:
        alone = [answer(engine, ask).token_ids for ask in asks]
        together = [done.token_ids for done in answers(engine, asks)]
    options = EngineOptions(kv_bytes=20 * 200_000)
    with Engine.load("symposia:tiny", dtype="float64", options=options) as engine:
        crowded = [done.token_ids for done in answers(engine, asks)]
        assert engine.gauges.preempted > 0
    assert together == alone
    assert crowded == alone


def test_an_end_comes_only_where_the_grammar_lets_it(tiny):
    """Even when everything is done to end earlier; `min_tokens` cannot ask for more than there is."""
    ends = tuple((i, 1e4) for i in tiny._model.ends)
    eager = msgspec.structs.replace(HOT, logit_bias=ends)
    jsonschema.validate(json.loads(answer(tiny, request(tiny, sampling=eager, schema=PLACE)).text), PLACE)
    late = msgspec.structs.replace(HOT, min_tokens=100)
    done = answer(tiny, request(tiny, sampling=late, schema=PLACE))
    assert done.finish_reason == "stop"
    jsonschema.validate(json.loads(done.text), PLACE)


def test_a_row_whose_grammar_is_lost_fails_alone(tiny):
    """A bias that makes everything allowed impossible: that request fails with what to do, its neighbours go on."""

    async def scene():
        asks = [request(tiny, talk(6 + i), seed=i) for i in range(3)]
        against = tuple((i, -3.4e38) for i in range(tiny.shape.vocabulary)) * 2
        sampling = Sampling(temperature=0.0, max_tokens=9, logit_bias=against)
        lost = request(tiny, sampling=sampling, schema=PLACE)
        tasks = [asyncio.ensure_future(gather(tiny, [ask])) for ask in (*asks, lost)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    *kept, failed = asyncio.run(scene())
    assert isinstance(failed, BackendError)
    assert "bias" in str(failed)
    assert [len(done.token_ids) for [done] in kept] == [16, 16, 16]


def test_length_ends_json_where_it_is(tiny):
    """`max_tokens` in the middle of it: finish reason "length", as for any reply."""
    done = answer(tiny, request(tiny, sampling=Sampling(temperature=0.0, max_tokens=3), schema=PLACE))
    assert done.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.text)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": {"type": "strng"}}, "Invalid type: strng"),
        ({"schema": {"type": "array", "uniqueItems": True}}, "uniqueItems"),
        ({"schema": {"type": "string", "minLength": 3, "maxLength": 2}}, "minLength"),
        ({"force": ToolSpec(name="t", description="", parameters={"type": "string"})}, "'object'"),
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused(tiny, fields, words):
    """With the reason, before the first token."""
    with pytest.raises(InvalidInput, match=words):
        asyncio.run(anext(tiny.generate(request(tiny, **fields))))


def test_the_model_is_told_of_a_forced_tool(tiny):
    """Once, in the prompt, whether or not it is among the tools."""
    for tools in ((), (VISIT,)):
        prompt = asyncio.run(tiny.render(request(tiny, force=VISIT, tools=tools)))
        assert prompt.text.count("visit.place") == 1


def test_a_forced_call_is_read_back(tiny):
    """The parser of conversations finds one call, with the arguments, and nothing beside it."""
    done = answer(tiny, request(tiny, sampling=HOT, force=VISIT))
    (call,) = parse(done.text, done.syntax)
    assert isinstance(call, ToolCall)
    assert (call.name, call.error) == ("visit.place", "")
    jsonschema.validate(call.arguments, PLACE)


def test_the_order_of_a_schema_is_that_of_required(tiny):
    """Whatever order its properties are written in; the prompt that is shown is the one that is computed."""
    for names in (("b", "a"), ("a", "b")):
        schema = {
            "type": "object",
            "properties": {name: {"type": "boolean"} for name in names},
            "required": ["b", "a"],
            "additionalProperties": False,
        }
        assert list(json.loads(answer(tiny, request(tiny, sampling=HOT, schema=schema)).text)) == ["b", "a"]
        ask = request(tiny, force=ToolSpec(name="t", description="", parameters=schema))
        assert asyncio.run(tiny.render(ask)).token_ids == answer(tiny, ask).prompt_token_ids


def test_without_the_extra_it_is_refused_by_name(tiny, monkeypatch):
    """The card lists neither, and the refusal says what to install."""
    monkeypatch.setitem(
        sys.modules, "llguidance", None
    )  # what Python itself does for a module it must not find
    monkeypatch.setattr(intake, "installed", installed.__wrapped__)
    monkeypatch.setattr(model, "installed", installed.__wrapped__)
    card = asyncio.run(tiny.describe(tiny.address))
    assert not {"force", "schema"} & card.features
    for fields in ({"force": VISIT}, {"schema": PLACE}):
        with pytest.raises(UnsupportedRequest, match=r"pip install 'symposia\[grammar\]'"):
            asyncio.run(anext(tiny.generate(request(tiny, **fields))))


def test_a_tokenizer_whose_tokens_are_not_bytes_is_not_used():
    """Neither byte-level nor with bytes to fall back on: what a token spells is not known, and nothing is offered."""
    words = Tokenizer(WordLevel({"yes": 0, "no": 1, "?": 2}, unk_token="?"))
    made = PreTrainedTokenizerFast(tokenizer_object=words)
    nothing = {"controls": frozenset(), "ends": frozenset({2}), "vocabulary": 3}
    assert not Grammars(made, **nothing).usable
    assert all(
        Grammars(chat_tokenizer(name), controls=frozenset(), ends=frozenset(), vocabulary=9).usable
        for name in TEMPLATES
    )


def test_the_library_is_imported_only_when_asked_for():
    """A plain reply and the card need none of it; the first shaped reply does."""
    program = (
        "import sys, asyncio; from tests.reference.asking import answer, request; from symposia.engine import Engine\n"
        "with Engine.load('symposia:tiny') as e:\n"
        "    answer(e, request(e)); asyncio.run(e.describe(e.address)); before = 'llguidance' in sys.modules\n"
        "    answer(e, request(e, schema={'type': 'boolean'})); print(before, 'llguidance' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]


def test_rows_of_a_small_vocabulary_are_cut_to_it():
    """A model with fewer logits than its tokenizer has tokens: what it cannot say is not asked of it."""
    tokenizer = chat_tokenizer("qwen2.5")
    none = {"bos_token_id": None, "pad_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    model = family("llama").model(vocab_size=len(tokenizer) - 2, **none)
    with Engine.adopt(model, tokenizer, "small", options=EngineOptions(kv_bytes=1 << 24)) as engine:
        done = answer(engine, request(engine, sampling=HOT, schema={"type": "boolean"}))
    assert json.loads(done.text) in (True, False)
