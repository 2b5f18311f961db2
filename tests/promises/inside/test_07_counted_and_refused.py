"""Interp's promises 7 and 8 on the engine, and every refusal before the first token."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import msgspec
import pytest
import torch

from symposia.core.capture import ActivationRef, Capture, Project
from symposia.core.errors import (
    EmptySelection,
    InterventionNotApplied,
    InvalidInput,
    InvalidIntervention,
    SelectionMissed,
    SiteUnsupported,
    SymposiaError,
    UnsupportedRequest,
    VectorNotFound,
)
from symposia.core.intervention import Ablate, Add, Angle, Gate, Heads, Latent, Replace, Swap
from symposia.core.positions import Positions, Range, Where, everything, reasoning, said_by, turn
from symposia.core.positions import answer as answer_positions
from symposia.core.request import Completion, PastTurn
from symposia.engine import Engine, EngineOptions
from symposia.engine.native import taps
from symposia.engine.native.binding import ProgramC
from symposia.interp.acts.store import ActivationStore
from symposia.interp.vector import SteeringVector
from tests.reference.asking import GREEDY, answer, answers, engine_of, gather, pieces, request, talk
from tests.reference.families import build, tokenizer
from tests.reference.steering import random_vector


def assert_nothing_left(engine):
    stepper = engine._loop.stepper
    assert len(stepper.kit.bank) == len(stepper.kit.ledger) == 0
    assert stepper.pool.held == 0
    assert not stepper.scheduler.running
    assert not stepper.scheduler.waiting
    for module in engine._model.runner.module.modules():
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        assert not [hook for hook in hooks if hook.__module__.startswith("symposia")]


@contextmanager
def broken(target, name, replacement):
    was = getattr(target, name)
    setattr(target, name, replacement)
    try:
        yield
    finally:
        setattr(target, name, was)


@pytest.mark.parametrize("site", ["resid_pre", "resid_post"])
@pytest.mark.parametrize("op", [Add, Ablate])
def test_without_its_tap_every_steered_request_fails(site, op):
    """Planned and counted disagree: the completion is withheld, the engine calls itself unhealthy (promise 7)."""
    from symposia.engine.runner.hf import HfRunner

    @contextmanager
    def no_tap(self, point, work):
        yield

    with engine_of("llama", runner="hf") as engine:
        vector = random_vector(engine, 1)
        edit = op(vector=vector.digest, layers=(1,), site=site)
        assert answer(engine, request(engine, interventions=(edit,))).receipts[0].status == "applied"
        assert engine.healthy
        with (
            broken(HfRunner, "_tap", no_tap),
            pytest.raises(InterventionNotApplied, match=f"never passed {site} 1"),
        ):
            answer(engine, request(engine, interventions=(edit,)))
        assert not engine.healthy
        assert_nothing_left(engine)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_site_that_writes_nothing_is_found_by_counting(dtype):
    """The tap is there and does nothing: planned and counted disagree, and no block it left is ever reused."""
    with engine_of("llama", dtype, block=4) as engine:
        writer = type(engine._loop.stepper.kit.writer)
        vector = random_vector(engine, 1)
        ask = request(engine, interventions=(Add(vector=vector.digest, layers=(1,), where=everything()),))
        with (
            broken(writer, "write", lambda self, hidden, *told, **how: hidden),
            broken(taps, "program_of", lambda code, width: ProgramC(width=width)),
            pytest.raises(InterventionNotApplied, match=r"planned .* counted 0"),
        ):
            answer(engine, ask)
        assert not engine.healthy
        again = answer(engine, ask)
        assert again.usage.cached_tokens == 0
        assert again.receipts[0].status == "applied"


def test_a_row_that_overflows_leaves_its_neighbours_alone():
    """Infinity in one row of the batch, or in a block it leaves behind, reaches nobody else."""

    async def together(engine, asks):
        return await asyncio.gather(*(gather(engine, [ask]) for ask in asks), return_exceptions=True)

    with engine_of("gemma2", "float32", kv_bytes=600_000, reuse=False) as engine:
        vector = random_vector(engine, 1)
        asks = [request(engine, talk(5 + i, i)) for i in range(6)]
        expected = [answer(engine, ask).token_ids for ask in asks]
        wild = request(
            engine, interventions=(Add(vector=vector.digest, layers=(1,), scale=1e38, where=everything()),)
        )
        got = asyncio.run(together(engine, [*asks[:3], wild, *asks[3:]]))
        assert isinstance(got.pop(3), InterventionNotApplied)
        assert [done.token_ids for [done] in got] == expected
        assert [answer(engine, ask).token_ids for ask in asks] == expected


def test_a_write_that_changes_nothing_is_no_success():
    """A step too small for the dtype, and a residual that is not finite, are refused as results."""
    with engine_of("llama", "float32") as engine:
        vector = random_vector(engine, 1)
        with pytest.raises(InterventionNotApplied, match="none changed"):
            answer(
                engine, request(engine, interventions=(Add(vector=vector.digest, layers=(1,), scale=1e-12),))
            )
        with pytest.raises(InterventionNotApplied, match="not finite"):
            answer(
                engine, request(engine, interventions=(Add(vector=vector.digest, layers=(1,), scale=1e38),))
            )


def test_a_selection_that_met_no_token_never_passes_as_steered():
    """`SelectionMissed` carries the completion; `may_miss` lets it through with status missed."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, layers=(1,), where=reasoning())
        with pytest.raises(SelectionMissed) as caught:
            answer(engine, request(engine, interventions=(edit,)))
        clean = answer(engine, request(engine))
        assert caught.value.completion.token_ids == clean.token_ids
        allowed = answer(
            engine, request(engine, interventions=(msgspec.structs.replace(edit, may_miss=True),))
        )
        assert [r.status for r in allowed.receipts] == ["missed"]
        assert allowed.receipts[0].tokens.generated == 0


def test_nothing_remains_after_finish_cancel_and_error():
    """No hook, bank row, ledger slot or block outlives its row (promise 8)."""

    async def cancel_early(engine, ask, after):
        stream = engine.generate(ask)
        for _ in range(after):
            await anext(stream)
        await stream.aclose()
        await asyncio.to_thread(settle, engine)

    def settle(engine):
        with engine.exclusive():
            pass

    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 1)
        edits = (Add(vector=vector.digest, layers=(1,)), Ablate(vector=vector.digest, layers=(2,)))
        ask = request(engine, interventions=edits, captures=(Capture(layers=(1,)),))
        answers(engine, [ask] * 3)
        assert_nothing_left(engine)
        asyncio.run(cancel_early(engine, ask, 2))
        assert_nothing_left(engine)
        runner = engine._model.runner

        def boom(*_):
            raise RuntimeError("the device said no")

        with (
            broken(runner, "forward", boom),
            pytest.raises(SymposiaError, match="the device said no") as caught,
        ):
            answer(engine, ask)
        assert caught.value.cause == "engine_error"
        assert_nothing_left(engine)
        assert answer(engine, ask).token_ids == answer(engine, ask).token_ids


def test_rows_of_a_completion_that_nobody_took_are_dropped():
    """The caller leaves when its rows are stored already, and before it hears of them (promise 8)."""

    async def leave_late(engine, ask):
        task = asyncio.ensure_future(pieces(engine, ask))
        await asyncio.sleep(0)  # it waits for its first piece
        settle(engine)  # in this very thread: the completion is made, and cannot arrive
        stored = len(engine.store)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        settle(engine)
        return stored

    def settle(engine):
        with engine.exclusive():
            pass

    with engine_of("qwen2") as engine:
        ask = request(engine, captures=(Capture(layers=(1, 2)),))
        assert asyncio.run(leave_late(engine, ask)) == 2
        assert len(engine.store) == 0
        kept = answer(engine, ask)
        settle(engine)
        assert len(engine.store) == len(kept.activations) == 2


def test_taps_live_for_one_forward_only():
    """Outside a step the module is unmodified: plain use of it is neither steered nor rerouted."""
    model = build("llama", "float64")
    ids = torch.tensor([[5, 9, 100, 7]])
    with torch.no_grad(), engine_of("llama") as engine:
        before = model(input_ids=ids).logits
        vector = random_vector(engine, 1)
        answer(
            engine,
            request(engine, interventions=(Add(vector=vector.digest, layers=(1,), where=everything()),)),
        )
        with engine.exclusive() as module:
            assert module is model
            assert model(input_ids=ids).logits.equal(before)


def refusals(engine):
    vector = random_vector(engine, 1)
    other = SteeringVector(
        msgspec.structs.replace(
            vector.header,
            name="other",
            model=msgspec.structs.replace(vector.header.model, digest="sha256:else"),
        ),
        vector.directions,
    )
    half = msgspec.structs.replace(vector.header.model, width=32)
    narrow = SteeringVector(
        msgspec.structs.replace(vector.header, name="narrow", model=half),
        {layer: torch.nn.functional.normalize(d[:32], dim=0) for layer, d in vector.directions.items()},
    )
    bare = SteeringVector(
        msgspec.structs.replace(vector.header, name="bare", layers={"1": _no_notes()}),
        {1: vector.directions[1]},
    )
    for made in (other, narrow, bare):
        engine.library.add(made)
    v, one = vector.digest, (1,)
    gate = Gate(vector=v, layer=0, over=answer_positions())
    each = Gate(vector=v, layer=0, over=everything(), pool="each")
    gone = ActivationRef(
        record="memory:99",
        digest="sha256:0",
        site="resid_post",
        layer=1,
        shape=(1, 64),
        dtype="float32",
        runs=((0, 1),),
    )
    counted_from_end = Positions(any=(Where(tokens=(Range(-2, None),)),))
    edits = [
        (Add(vector="sha256:nobody", layers=one), VectorNotFound, "nobody"),
        (Add(vector=v, layers=(4,)), SiteUnsupported, "layer 4.*expected 0..3"),
        (Add(vector=v, layers=(-1,)), InvalidInput, r"layers\[0\]"),
        (Add(vector=v, layers=one, site="router"), SiteUnsupported, "router.*resid_pre, z"),
        (Add(vector=v, layers=one, unit="calibrated"), UnsupportedRequest, "symposia vector calibrate"),
        (Add(vector=bare.digest, layers=one, unit="reference"), UnsupportedRequest, "symposia vector fit"),
        (
            Add(vector=bare.digest, layers=(2,)),
            InvalidIntervention,
            r"no direction for layer 2; it has \[1\]",
        ),
        (Add(vector=v, layers=one, gate=gate), EmptySelection, "gate over"),
        (Add(vector=v, layers=(0,), site="z", gate=each), InvalidIntervention, "below it"),
        (Swap(source=v, target=bare.digest, layers=one), UnsupportedRequest, "unit=fitted"),
        (Angle(plane=v, degrees=1.0, layers=one), InvalidIntervention, "angle needs a plane"),
        (Latent(sae=v, index=0, target=1.0, layers=one), InvalidIntervention, "needs a sparse autoencoder"),
        (Heads(heads=(9,), layers=one), InvalidIntervention, r"expected heads 0\.\.3; got \[9\]"),
        (Heads(heads=(1,)), InvalidIntervention, "needs layers"),
        (Heads(heads=(1,), mode="mean", means=v, layers=one), InvalidIntervention, "expected mean.z.1"),
        (Replace(source=gone, pairs=((0, 1),)), UnsupportedRequest, "memory:99 is not in this store"),
        (Add(vector=narrow.digest, layers=one), InvalidIntervention, "width 32"),
        (Add(vector=other.digest, layers=one), UnsupportedRequest, "foreign=True"),
        (Add(vector=v, layers=one, where=said_by("nobody")), EmptySelection, "nobody"),
        (Add(vector=v, layers=one, where=turn(9)), EmptySelection, "outside 0..1"),
        (Add(vector=v, layers=one, where=counted_from_end), UnsupportedRequest, "positions.tokens"),
    ]
    captures = [
        (Capture(layers=(7,)), SiteUnsupported, "expected 0..3"),
        (Capture(site="router", layers=one), SiteUnsupported, "site router.*resid_post"),
        (Capture(), InvalidIntervention, "needs layers"),
        (Capture(layers=one, reduce=Project("sha256:x")), VectorNotFound, "sha256:x"),
        (Capture(layers=one, reduce=Project(v, "probability")), UnsupportedRequest, "probability"),
        (Capture(layers=one, reduce=Project(v, "zscore")), UnsupportedRequest, "zscore"),
    ]
    past = PastTurn(turn=0, interventions=(Add(vector="sha256:gone", layers=one),))
    yield from (({"interventions": (e,)}, kind, text) for e, kind, text in edits)
    yield from (({"captures": (c,)}, kind, text) for c, kind, text in captures)
    yield {"history": "keep", "past": (past,)}, VectorNotFound, "gone"
    yield {"captures": (Capture(layers=one),), "choices": ("a",)}, UnsupportedRequest, "captures with choices"


def _no_notes():
    from symposia.interp.vector import LayerNotes

    return LayerNotes()


def test_everything_unsupported_is_refused_before_the_first_token():
    """Each refusal names what came, what there is, and the way out; nothing is run."""
    with engine_of("llama") as engine:
        engine._model.runner.forward = None  # running anything at all would fail otherwise
        for fields, kind, text in refusals(engine):
            with pytest.raises(kind, match=text):
                answer(engine, request(engine, **fields))
        assert_nothing_left(engine)


def test_a_foreign_vector_may_be_asked_for():
    """`foreign=True` runs another model's direction; one direction may serve all layers."""
    with engine_of("llama") as engine, engine_of("qwen2") as other:
        vector = random_vector(other, 1)
        engine.library.add(vector)
        edit = Add(vector="random 1", layers=(0, 3), direction_from=2, foreign=True)
        done = answer(engine, request(engine, interventions=(edit,)))
    assert [layer.delta_mean for layer in done.receipts[0].layers] == pytest.approx([5.0, 5.0])
    assert done.receipts[0].vector == vector.digest


def test_a_store_too_small_refuses_at_admission():
    """With the estimate, before anything runs; afterwards smaller wishes still work."""
    store = ActivationStore.memory(limit=20_000)
    options = EngineOptions(kv_bytes=1 << 22)
    with Engine.adopt(build("llama"), tokenizer(), store=store, options=options) as engine:
        big = request(engine, talk(60), captures=(Capture(layers=(0, 1, 2, 3), where=everything()),))
        with pytest.raises(UnsupportedRequest, match="20,000 free"):
            answer(engine, big)
        done = answer(engine, request(engine, captures=(Capture(layers=(1,)),)))
        assert store.free == 20_000 - 16 * 64 * 8
        store.drop(done.activations)
        assert store.free == 20_000


def test_white_box_false_runs_and_refuses_to_look_inside():
    """A family that is not understood still speaks; its card has no interventions and no captures."""
    with engine_of("llama", white_box=False) as engine:
        vector = random_vector(engine, 1)
        card = asyncio.run(engine.describe(engine.address))
        assert not card.features & {"interventions", "captures"}
        assert answer(engine, request(engine)).text
        with pytest.raises(UnsupportedRequest, match="interventions"):
            answer(engine, request(engine, interventions=(Add(vector=vector.digest, layers=(1,)),)))


def test_streams_of_steered_turns_end_in_one_completion():
    """Deltas, then exactly one completion, which carries their text."""
    with engine_of("qwen3") as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, layers=(1,))
        got = asyncio.run(pieces(engine, request(engine, interventions=(edit,), sampling=GREEDY)))
    assert [isinstance(item, Completion) for item in got] == [False] * (len(got) - 1) + [True]
    assert "".join(delta.text for delta in got[:-1]) == got[-1].text
