"""The kernels against the same forward in plain torch; how they are built, and that nothing needs them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest
import torch

import symposia
from symposia.engine import Engine, EngineOptions
from symposia.engine.native.binding import Kernels, PackedLinear, kernels
from symposia.engine.native.build import SOURCE, Absent, build
from symposia.engine.projections import Packer, Projections
from symposia.engine.runner import Batch, RowView
from symposia.engine.runner.lean import LeanRunner
from symposia.interp.layout import Layout
from tests.reference.families import EXPERTS, FAMILIES, relative_l2
from tests.reference.families import build as family_model

HERE = kernels()
needs_kernels = pytest.mark.skipif(
    isinstance(HERE, Absent), reason=f"{HERE}: a C compiler (cc, gcc or clang) would run it"
)
BLOCK = 8
SHAPES = [(1, 1), (5, 7), (16, 48), (100, 33), (97, 1030), (200, 2049)]


class Watch:
    """Stands for `StepWork`: looks at sites, changes what it is told to; leaves nothing to the kernels."""

    logit_tokens = ()
    deciding = frozenset()

    def __init__(self, points=(), add=None):
        self.points, self.add, self.layout = frozenset(points), add, Layout({}, ())
        self.seen = {}

    def visit(self, point, hidden_TD, *, owned=False):
        if point not in self.points:
            return hidden_TD
        self.seen[point] = hidden_TD.clone()
        return hidden_TD if self.add is None else hidden_TD + self.add

    def visit_logits(self, tokens, logits_NV):
        pass

    def done(self, points):
        assert not points

    def within(self, layer):
        """Nothing is looked at inside attention here."""
        return False


def variant(folder: Path, flags: tuple[str, ...]) -> Kernels:
    """The kernels built for a lesser processor."""
    made = folder / "lesser.so"
    base = ("cc", "-O2", "-shared", "-fPIC", "-Wno-unknown-pragmas")
    subprocess.run([*base, *flags, str(SOURCE), "-o", str(made), "-lm"], check=True, capture_output=True)
    return Kernels(made)


def runner(family, dtype, native):
    pack = Packer(native, Projections()) if native else None
    model = family_model(family, dtype)
    return LeanRunner(model, window=512, blocks=128, block_size=BLOCK, pack=pack)


def steps():
    """Three rows of unlike lengths: prefilled in chunks, beside one that decodes, then decoding together."""
    ids = [[(37 * i + 11 * row) % 2000 + 3 for i in range(90)] for row in range(3)]
    blocks = [[3 * i + row for i in range(12)] for row in range(3)]
    plan = [[(0, 0, 40)], [(0, 40, 75), (1, 0, 9)], [(0, 75, 76), (1, 9, 60), (2, 0, 3)]]
    plan += [[(0, 76 + i, 77 + i), (1, 60 + i, 61 + i), (2, 3 + i, 4 + i)] for i in range(4)]
    for chunks in plan:
        tokens, positions, rows = [], [], []
        for row, start, stop in chunks:
            rows.append(RowView(len(tokens), start, stop, blocks[row]))
            tokens += ids[row][start:stop]
            positions += range(start, stop)
        yield Batch(tokens, positions, tuple(rows), list(range(len(tokens))))


def logits(made, points=(), add=None):
    watch = Watch(points, add)
    return torch.cat([made.forward(batch, watch) for batch in steps()]), watch.seen


def middle_error(got, expected):
    """Of the tokens' errors the median."""
    return median(relative_l2(*rows) for rows in zip(got, expected, strict=True))


@needs_kernels
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize(("dtype", "bar"), [("float32", 2e-5), ("bfloat16", 6e-2)])
def test_the_kernels_compute_what_torch_does(family, dtype, bar):
    """Ragged chunks, scattered blocks, sliding windows, grouped heads, softcaps, experts: the same logits."""
    got, _ = logits(runner(family, dtype, HERE))
    expected, _ = logits(runner(family, dtype, None))
    assert got.dtype == expected.dtype
    if dtype == "bfloat16" and family in EXPERTS:  # of two experts nearly alike, rounding picks one
        exact, _ = logits(runner(family, "float32", None))
        assert middle_error(got, exact) <= 1.1 * middle_error(expected, exact)
    else:
        assert relative_l2(got, expected) <= bar


@needs_kernels
@pytest.mark.parametrize("family", ["qwen2", "gemma2", "olmo2", "qwen3_moe"])
def test_every_site_is_passed_and_can_be_written(family):
    """What a visit sees and returns at each site is what the plain forward sees there, and goes on from."""
    sites = ("resid_pre", "z", "attn_out", "resid_mid", "mlp_out", "resid_post")
    points = [(site, layer) for site in sites for layer in (0, 2, 3)]
    got, seen = logits(runner(family, "float32", HERE), points, add=0.25)
    expected, plain = logits(runner(family, "float32", None), points, add=0.25)
    assert seen.keys() == plain.keys() == set(points)
    for point in points:
        assert relative_l2(seen[point], plain[point]) <= 1e-4, point
    assert relative_l2(got, expected) <= 1e-4


@needs_kernels
def test_a_row_does_not_depend_on_its_batch():
    """Bit for bit: decoding alone or beside others."""
    made = runner("qwen2", "float32", HERE)
    together = [made.forward(batch, Watch()) for batch in steps()][-1]
    alone = []
    for batch in list(steps())[-1:]:
        for row in batch.rows:
            at = slice(row.offset, row.offset + 1)
            one = Batch(batch.token_ids[at], batch.positions[at], (row._replace(offset=0),), [0])
            alone.append(made.forward(one, Watch()))
    assert torch.equal(torch.cat(alone), together)


@needs_kernels
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(value):
    """A poisoned residual is seen in the logits of its row, and in no other's."""
    made = runner("llama", "float32", HERE)

    class Poison(Watch):
        def visit(self, point, hidden_TD, *, owned=False):
            hidden_TD = hidden_TD.clone()
            hidden_TD[0] = value
            return hidden_TD

    list_of = list(steps())
    for batch in list_of[:-1]:
        made.forward(batch, Watch())
    out = made.forward(list_of[-1], Poison([("resid_post", 1)]))
    assert not torch.isfinite(out[0]).any()
    assert torch.isfinite(out[1:]).all()


@needs_kernels
@pytest.mark.parametrize("flags", [(), ("-march=x86-64-v3",)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lesser_processors_compute_the_same(flags, dtype, tmp_path):
    """The same source without wide vectors, and without any."""
    try:
        lesser = variant(tmp_path, flags)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the compiler knows no {flags}: {error.stderr[:80]!r}")
    got, _ = logits(runner("gemma2", dtype, lesser))
    expected, _ = logits(runner("gemma2", dtype, HERE))
    assert relative_l2(got, expected) <= (1e-5 if dtype == "float32" else 6e-2)


@needs_kernels
@pytest.mark.parametrize(("out", "inner"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_linear_layer_of_any_shape(out, inner, dtype):
    """Odd widths, any number of rows; and packing loses nothing."""
    generator = torch.Generator().manual_seed(out)
    weight_OI = torch.randn(out, inner, generator=generator).to(dtype)
    bias_O = torch.randn(out, generator=generator).to(dtype)
    packed = PackedLinear(HERE, weight_OI, bias_O)
    assert torch.equal(packed.weight(), weight_OI)
    for rows in (0, 1, 2, 8, 13, 40):
        x_TI = torch.randn(rows, inner, generator=generator).to(dtype)
        expected = x_TI.double() @ weight_OI.double().T + bias_O.double()
        assert packed(x_TI).shape == (rows, out)
        assert not rows or relative_l2(packed(x_TI), expected) <= (1e-5 if dtype == torch.float32 else 1e-2)


@needs_kernels
def test_two_threads_compute_what_one_does():
    """The same bits."""
    made = runner("llama", "float32", HERE)
    made._small = False
    was = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one, _ = logits(made)
        torch.set_num_threads(2)
        two, _ = logits(made)
    finally:
        torch.set_num_threads(was)
    assert torch.equal(one, two)


@needs_kernels
def test_builds_at_once_end_in_one_library(tmp_path):
    """Three builds into one empty folder: each gets the same file, whole, and nothing else is left."""
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: build(tmp_path), range(3)))
    assert len(set(made)) == 1
    assert list(tmp_path.iterdir()) == [made[0]]
    assert Kernels(made[0]).library.lanes() >= 4


@needs_kernels
def test_a_folder_that_cannot_be_written_gives_way(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "taken").write_text("")
    made = build(tmp_path / "taken")
    assert isinstance(made, Path)
    assert made.exists()


def test_without_a_compiler_the_engine_says_why(monkeypatch, tmp_path):
    """Nothing fails: torch's own operators run."""
    absent = build(tmp_path, ("no-such-compiler",))
    assert isinstance(absent, Absent)
    assert "no-such-compiler" in absent.reason
    monkeypatch.setattr("symposia.engine.runner.choice.kernels", lambda: absent)
    with Engine.load("symposia:tiny") as engine:
        name, reason = engine.runner
    assert name == "lean"
    assert "no C compiler" in reason


def test_kernels_that_compute_wrongly_are_not_used(monkeypatch):
    """The check at load finds out, and torch's operators run."""
    if isinstance(HERE, Absent):
        pytest.skip(HERE.reason)
    monkeypatch.setattr(
        "symposia.engine.native.stack.NativeStack.run", lambda self, hidden_TD, batch, work: hidden_TD
    )
    with Engine.load("symposia:tiny") as engine:
        name, reason = engine.runner
    assert name == "lean"
    assert "not the kernels" in reason


def test_plain_torch_by_request():
    """`native=False`."""
    with Engine.load("symposia:tiny", options=EngineOptions(native=False)) as engine:
        assert "as asked for" in engine.runner[1]


@needs_kernels
def test_a_loaded_module_has_its_weights_when_they_are_needed():
    """Dropped while the engine runs, whole when lent and for an engine that runs the module itself."""
    code = """
from symposia.engine import Engine, EngineOptions
lean = Engine.load("symposia:tiny")
module = lean._model.loaded.model
weight = module.model.layers[1].mlp.down_proj.weight
assert lean.runner[0] == "lean" and not weight.numel(), lean.runner
with lean.exclusive() as lent:
    whole = lent.model.layers[1].mlp.down_proj.weight.detach().clone()
    assert whole.shape == (lent.config.hidden_size, lent.config.intermediate_size)
assert not weight.numel()
again = Engine.load("symposia:tiny")
assert again.runner[0] == "lean" and not weight.numel()
plain = Engine.load("symposia:tiny", options=EngineOptions(runner="hf"))
assert weight.equal(whole)
third = Engine.load("symposia:tiny")
assert third.runner[0] == "lean" and weight.equal(whole)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(symposia.__file__).parent.parent)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr
