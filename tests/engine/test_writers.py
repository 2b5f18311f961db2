"""The writers in C, in Triton and in torch are one thing: same rows, same counts, same gates, for any program."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symposia.engine.native.binding import kernels
from symposia.engine.native.build import Absent
from symposia.engine.native.writer import NativeWriter
from symposia.interp.bank import Bank, Ledger
from symposia.interp.program import Flag, Instruction, Kind
from symposia.interp.write import Code, TorchWriter
from tests.triton_kernels import DEVICE, few_examples, needs_triton

ROWS, SLOTS, REGISTERS = 8, 5, 3
number = st.floats(-2.0, 2.0, width=32)
row = st.integers(0, ROWS - 1)
gate = st.integers(0, REGISTERS - 1)


@st.composite
def update(draw):
    kind = draw(st.sampled_from([Kind.UPDATE, Kind.ROTATE, Kind.SLERP, Kind.OVERWRITE, Kind.LATENT]))
    flags = {
        Kind.UPDATE: [Flag.NONE, Flag.RELATIVE],
        Kind.OVERWRITE: [Flag.NONE, Flag.WHOLE],
        Kind.LATENT: [Flag.NONE, Flag.SUM, Flag.PRODUCT],
    }.get(kind, [Flag.NONE])
    low, high = sorted((draw(number), draw(number)))
    return Instruction(
        kind=kind,
        read=draw(st.integers(1, ROWS - 1)),
        write=draw(row),
        flags=draw(st.sampled_from(flags)),
        gate=draw(gate),
        a=draw(st.floats(0.0, 1.0, width=32)) if kind is Kind.SLERP else draw(number),
        b=draw(number),
        c=draw(number),
        low=low,
        high=high,
        m=draw(st.sampled_from([1.0, 0.5, 0.0])),
    )


@st.composite
def element(draw):
    register, slot = draw(gate), draw(st.integers(1, SLOTS - 1))
    policy = draw(st.sampled_from([Flag.NONE, Flag.KEEP, Flag.NO_GROWTH]))
    counts = draw(st.sampled_from([(Flag.NONE,), (Flag.PART, Flag.SPAN), (Flag.PART, Flag.PART, Flag.SPAN)]))
    probe = Instruction(
        kind=Kind.PROBE,
        read=draw(st.integers(1, ROWS - 1)),
        slot=0,
        gate=draw(st.integers(1, REGISTERS - 1)),
        flags=draw(st.sampled_from([Flag.NONE, Flag.COSINE, Flag.CAST]))
        | draw(st.sampled_from([Flag.NONE, Flag.BELOW])),
        a=draw(number),
    )
    updates = draw(st.lists(update(), max_size=3))
    return [
        *([probe] if draw(st.booleans()) else []),
        *updates,
        Instruction(kind=Kind.SEAL, flags=policy, gate=register),
        *(Instruction(kind=Kind.COUNT, read=draw(row), slot=slot, flags=f, gate=register) for f in counts),
    ]


programs = st.lists(st.lists(element(), max_size=3), min_size=1, max_size=6)


def run(make, program, dtype, seed, *, owned, device=torch.device("cpu")):
    generator = torch.Generator().manual_seed(seed)
    hidden_TD = torch.randn(len(program) + 2, 37, generator=generator).to(device, dtype)
    bank, ledger = Bank(40, torch.float32, device, ROWS), Ledger(device)
    bank.rows_KD[1:, :37] = 0.3 * torch.randn(ROWS - 1, 37, generator=generator).to(device)
    slots = [ledger.open() for _ in range(SLOTS)]
    named = [
        [one._replace(slot=slots[one.slot]) for each in elements for one in each] for elements in program
    ]
    code = Code([t + 1 for t in range(len(program))], [b"".join(o.encode() for o in each) for each in named])
    gates_TG = torch.ones(len(hidden_TD), REGISTERS, device=device)
    before_TD = hidden_TD.clone()
    out_TD = make(bank, ledger).write(hidden_TD, code, gates_TG, owned=owned)
    assert owned or hidden_TD.equal(before_TD)
    assert out_TD[[0, -1]].equal(before_TD[[0, -1]])
    return out_TD.float().cpu(), gates_TG.cpu(), [ledger.read([slot])[0] for slot in slots]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(program=programs, seed=st.integers(0, 1000))
@settings(deadline=None)
def test_the_kernel_writes_what_torch_writes(dtype, program, seed):
    """Rows within rounding, counts and gates alike; tokens without instructions keep every bit."""
    native = kernels()
    if isinstance(native, Absent):
        pytest.skip(f"no kernels here: {native.reason}; a C compiler would build them")
    agree(
        run(lambda *to: NativeWriter(native, *to), program, dtype, seed, owned=True),
        run(TorchWriter, program, dtype, seed, owned=False),
        dtype,
    )


@needs_triton
@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(program=programs, seed=st.integers(0, 1000))
@few_examples
def test_triton_writes_what_torch_writes(dtype, program, seed, owned):
    """The same of the kernel for CUDA, here in Triton's interpreter where there is no GPU."""
    from symposia.interp.kernels.writer import TritonWriter

    agree(
        run(TritonWriter, program, dtype, seed, owned=owned, device=DEVICE),
        run(TorchWriter, program, dtype, seed, owned=False),
        dtype,
    )


def agree(ours, plain, dtype):
    bar = 2e-4 if dtype is torch.float32 else 2e-2
    scale = 1.0 + plain[0].abs().amax()
    assert float((ours[0] - plain[0]).abs().amax() / scale) <= bar
    assert ours[1].equal(plain[1])
    for slot, (mine, theirs) in enumerate(zip(ours[2], plain[2], strict=True)):
        assert mine.tokens == theirs.tokens
        for name in ("norm", "delta", "before", "after", *(("peak",) if slot else ())):  # 0 counts decisions
            size = 1.0 + abs(theirs.norm) + abs(theirs.delta)
            assert abs(getattr(mine, name) - getattr(theirs, name)) <= 10 * bar * size
