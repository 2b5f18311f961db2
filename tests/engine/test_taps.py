"""Sites visited within the kernels' one call: to the bit what visits from Python do, and as torch computes it.

Rows come and go between prefill in chunks and decode, with writes, gates and captures of every kind at every site.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symposia.core.capture import Capture, Pool, Project
from symposia.core.intervention import Ablate, Add, Cap, Gate, Schedule, Slerp
from symposia.core.positions import answer, everything, prompt, speaking
from symposia.engine import Engine, EngineOptions
from symposia.engine.native.binding import kernels
from symposia.engine.native.build import Absent
from symposia.engine.runner import Batch, RowView
from symposia.interp.apply import StepWork
from symposia.interp.kit import Kit
from symposia.interp.planner import RowStep
from tests.reference.asking import answer as asked_once
from tests.reference.asking import request, talk
from tests.reference.families import build, relative_l2, tokenizer
from tests.reference.steering import random_vector

HERE = kernels()
pytestmark = pytest.mark.skipif(
    isinstance(HERE, Absent), reason=f"{HERE}: a C compiler (cc, gcc or clang) would run it"
)
SITES = ("resid_pre", "z", "attn_out", "resid_mid", "mlp_out", "resid_post")
RESIDUAL = ("resid_pre", "resid_mid", "resid_post")
MADE, BLOCK, WORDS = 14, 8, (3, 9, 30)


class Visiting(StepWork):
    """Leaves nothing to the kernels."""

    @property
    def deciding(self):
        return self.points


@pytest.fixture(
    scope="module", params=[("qwen2", "float32"), ("qwen3_moe", "float32"), ("gemma2", "bfloat16")]
)
def pair(request):
    """One model behind the kernels, and behind torch's operators."""
    family, dtype = request.param
    options = [
        EngineOptions(kv_bytes=1 << 22, runner="lean", block=BLOCK, native=native) for native in (True, False)
    ]
    with (
        Engine.adopt(build(family, dtype), tokenizer(), family, options=options[0]) as native,
        Engine.adopt(build(family, dtype), tokenizer(), family, options=options[1]) as plain,
    ):
        yield native, plain


where = st.sampled_from([everything(), speaking(), answer(), prompt()])
layers = st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True).map(lambda x: tuple(sorted(x)))
number = st.sampled_from([-1.5, -0.25, 0.0, 0.5, 2.0])


@st.composite
def edits(draw):
    """Of one row: what and where, but for the vector, which is of the site's width."""
    site, at, op = draw(st.sampled_from(SITES)), draw(layers), draw(st.integers(0, 6))
    fields = {"site": site, "layers": at, "where": draw(where), "may_miss": True}
    gated = site in RESIDUAL and at[0] > 0 and draw(st.booleans())
    if gated:
        fields["gate"] = draw(st.sampled_from(["each", "mean", "max", "last"])), at[0] - 1, draw(number)
    seed = draw(st.integers(1, 3))
    match op:
        case 0:
            return Ablate, fields, seed, {"strength": draw(number)}
        case 1:
            return Cap, fields, seed, {"low": -0.25, "high": 0.25}
        case 2:
            return Slerp, fields, seed, {"fraction": 0.25}
        case 3:
            fields["schedule"] = Schedule(by="token", points=((0, 1.0), (6, 0.25)))
        case 4:
            fields["norm"] = draw(st.sampled_from(["keep", "no_growth"]))
    unit = draw(st.sampled_from(["fitted", "relative", "absolute"]))
    return Add, fields, seed, {"scale": draw(number), "unit": unit}


@st.composite
def captures(draw):
    site = draw(st.sampled_from([*SITES, "final", "logits"]))
    whole = site in ("final", "logits")
    reduces = ["keep", "pool"] if whole or site == "z" else ["keep", "pool", "project", "cosine"]
    return {
        "site": site,
        "layers": () if whole else draw(layers),
        "where": draw(where),
        "at": draw(st.sampled_from(["before", "after"])),
        "reduce": draw(st.sampled_from(reduces)),
        "dtype": draw(st.sampled_from(["model", "float16", "float32"])),
        "heads": draw(st.sampled_from([(), (2, 0)])) if site == "z" else (),
    }


wishes = st.lists(
    st.tuples(st.lists(edits(), max_size=3), st.lists(captures(), max_size=3)), min_size=3, max_size=3
)


def asked(engine, wish, row):
    told, read = [], []
    for op, fields, seed, own in wish[0]:
        made = dict(fields)
        if "gate" in made:
            how, layer, threshold = made["gate"]
            vector = random_vector(engine, 9)
            over = everything() if how == "each" else prompt()
            made["gate"] = Gate(vector=vector.digest, layer=layer, over=over, pool=how, threshold=threshold)
        vector = random_vector(engine, seed, site=made["site"])
        told.append(op(vector=vector.digest, **made, **own))
    for fields in wish[1]:
        reduce = fields["reduce"]
        if reduce == "pool":
            fields = {**fields, "reduce": Pool(by="mean")}
        elif reduce in ("project", "cosine"):
            vector = random_vector(engine, 7, site=fields["site"])
            measure = "projection" if reduce == "project" else "cosine"
            fields = {**fields, "reduce": Project(vector=vector.digest, measure=measure)}
        else:
            fields = {key: value for key, value in fields.items() if key != "reduce"}
        read.append(Capture(**fields))
    return request(engine, talk(WORDS[row], row), interventions=tuple(told), captures=tuple(read))


def schedule(lengths):
    """Chunks of rows: prefill in parts beside each other and beside decode; then together; then without row 1."""
    done = [0] * len(lengths)
    half = lengths[2] // 2
    for step in ([(2, half)], [(0, lengths[0]), (2, lengths[2] - half)], [(0, 1), (1, lengths[1]), (2, 1)]):
        yield [(row, done[row], done[row] + n) for row, n in step]
        for row, n in step:
            done[row] += n
    for i in range(MADE - 2):
        rows = (0, 1, 2) if i < 10 else (0, 2)
        yield [(row, done[row], done[row] + 1) for row in rows]
        for row in rows:
            done[row] += 1


@torch.no_grad()
def played(engine, wishes, work_of):
    """Logits of every step, rows of every capture, counts of every write."""
    model = engine._model
    engine._intake._binder._tying.decisions._known.clear()  # gates decide anew
    sequences = [engine._intake.open(asked(engine, wish, row), 1 << 40)[0] for row, wish in enumerate(wishes)]
    for row, sequence in enumerate(sequences):
        for i in range(MADE + 1):
            sequence.append(1000 + 37 * i + row)
            sequence.settle(ended=False)
    kit = Kit.of(model.sites.widest, torch.float32, torch.device("cpu"), writer=model.runner.writer)
    logits = []
    for chunks in schedule([sequence.n_prompt for sequence in sequences]):
        ids, positions, rows, steps = [], [], [], []
        for row, start, stop in chunks:
            sequence = sequences[row]
            rows.append(RowView(len(ids), start, stop, [3 * i + row for i in range(12)]))
            if not sequence.plan.idle:
                steps.append(RowStep(sequence.plan, start, stop, len(ids), 0))
            ids += sequence.token_ids[start:stop]
            positions += range(start, stop)
        work = work_of(steps, kit)
        logits.append(model.runner.forward(Batch(ids, positions, tuple(rows), list(range(len(ids)))), work))
        work.settle()
    plans = [sequence.plan for sequence in sequences]
    read = {
        (row, i, layer): (plan.buffers[i].positions, plan.buffers[i].cut(layer, plan.buffers[i].positions))
        for row, plan in enumerate(plans)
        for i, bound in enumerate(plan.captures)
        for layer in bound.layers
    }
    counts = {
        (row, *place): kit.ledger.read([slot])[0]
        for row, plan in enumerate(plans)
        for place, slot in plan.slots.items()
    }
    for plan in plans:
        plan.close(kit.bank, kit.ledger)
    return torch.cat(logits), read, counts


def test_stored_rows_are_nobody_elses(pair):
    """What one reply left stays as it is, whatever the next ones leave in the memory it went through."""
    engine = pair[0]
    capture = Capture(layers=(0, 2), where=everything())
    refs = [ref for seed in range(4) for ref in answer_of(engine, capture, seed).activations]
    kept = [engine.store.at(ref).clone() for ref in refs]
    for seed in range(4, 8):
        answer_of(engine, capture, seed)
    assert len(kept) == 8
    assert all(engine.store.at(ref).equal(rows) for ref, rows in zip(refs, kept, strict=True))
    assert not kept[0][-8:].equal(kept[2][-8:])


def answer_of(engine, capture, seed):
    return asked_once(engine, request(engine, talk(6, seed), captures=(capture,)))


@given(wishes=wishes)
@settings(deadline=None, max_examples=25)
def test_taps_do_what_visits_do(pair, wishes):
    """The same logits, captured rows and counts to the bit as when Python visits each site."""
    ours, theirs = played(pair[0], wishes, StepWork), played(pair[0], wishes, Visiting)
    assert ours[0].equal(theirs[0])
    assert ours[1].keys() == theirs[1].keys()
    for place, (positions, rows) in ours[1].items():
        assert positions == theirs[1][place][0], place
        assert rows.dtype == theirs[1][place][1].dtype, place
        assert rows.equal(theirs[1][place][1]), place
    assert ours[2] == theirs[2]


@given(wishes=wishes)
@settings(deadline=None, max_examples=25)
def test_taps_do_what_torch_does(pair, wishes):
    """Within rounding, against the lean forward and the writer in torch; positions and counted tokens are equal.

    Without gates in bf16, whose rounding may open one.
    """
    if pair[0].shape.dtype == "bfloat16":
        wishes = [
            (
                [(op, {k: v for k, v in fields.items() if k != "gate"}, *rest) for op, fields, *rest in told],
                read,
            )
            for told, read in wishes
        ]
    (logits, read, counts), (expected, read_there, counts_there) = (
        played(engine, wishes, StepWork) for engine in pair
    )
    bar = 1e-3 if logits.dtype == torch.float32 else 6e-2
    assert relative_l2(logits, expected) <= bar
    assert read.keys() == read_there.keys()
    for place, (positions, rows) in read.items():
        there, rows_there = read_there[place]
        assert positions == there, place
        if positions:
            assert relative_l2(rows.float(), rows_there.float()) <= 2 * bar, place
    assert {p: count.tokens for p, count in counts.items()} == {
        p: count.tokens for p, count in counts_there.items()
    }
