"""Alignment and patching grids: against plain hooks, and their laws (promise 13)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.capture import ActivationRef, Capture
from symposia.core.errors import InvalidInput, InvalidIntervention
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.core.span import Span
from symposia.interp.align import AlignmentError, Sided, align
from symposia.interp.patch import How, KlToClean, LogitDiff, Logprob, Model, ReadoutOf, sweep
from tests.reference.asking import answer, engine_of, line, request
from tests.reference.families import BARS, build, relative_l2
from tests.reference.steering import hooked, random_vector

CLEAN = (line("user", "the red fox ran over seven hills", "bob", 0),)
CORRUPT = (line("user", "the fox red ran over seven hills", "bob", 0),)


def sided(ids, cuts):
    """Spans of two authors in turn, cut at the given places."""
    edges = [0, *cuts, len(ids)]
    spans = tuple(
        Span(start=a, stop=b, role="user", phase="prompt", author="xy"[i % 2], turn=i)
        for i, (a, b) in enumerate(pairwise(edges))
        if b > a
    )
    return Sided(tuple(ids), spans)


def swept(engine, metric, clean=CLEAN, corrupt=CORRUPT, **fields):
    return asyncio.run(
        sweep(
            request(engine, clean),
            request(engine, corrupt),
            metric,
            model=Model(engine, engine.store),
            **fields,
        )
    )


@given(
    a=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    b=st.lists(st.integers(0, 3), min_size=1, max_size=12),
)
def test_span_alignment_is_a_longest_common_subsequence(a, b):
    """Equal tokens, both orders rising, and no shorter than the textbook recursion says."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best[i + 1][j + 1] = best[i][j] + 1 if x == y else max(best[i][j + 1], best[i + 1][j])
    if not best[-1][-1]:
        with pytest.raises(AlignmentError, match="has a counterpart"):
            align(sided(a, ()), sided(b, ()))
        return
    found = align(sided(a, ()), sided(b, ()))
    assert len(found.pairs) == best[-1][-1]
    assert all(a[i] == b[j] for i, j in found.pairs)
    for (i, j), (k, m) in pairwise(found.pairs):
        assert i < k
        assert j < m
    assert sorted([*found.unmatched, *(j for _, j in found.pairs)]) == list(range(len(b)))


def test_spans_are_never_matched_across_turns():
    """The same token of another turn is no counterpart."""
    found = align(sided([1, 2, 3, 1], (2,)), sided([3, 1, 1, 2], (2,)))
    assert found.pairs == ((0, 1), (3, 2))


@given(
    text=st.text("ab c", min_size=1, max_size=20),
    cuts=st.lists(st.integers(1, 19), max_size=6),
    others=st.lists(st.integers(1, 19), max_size=6),
)
def test_text_alignment_pairs_tokens_that_end_after_the_same_characters(text, cuts, others):
    """Of one text tokenised twice: all common ends, and only those."""

    def cut(places):
        edges = [0, *sorted({p for p in places if p < len(text)}), len(text)]
        return [text[a:b] for a, b in pairwise(edges)]

    def ends(pieces):
        return [len("".join(pieces[: i + 1])) for i in range(len(pieces))]

    a, b = cut(cuts), cut(others)
    one, other = (replace(sided(range(len(p)), ()), texts=tuple(p)) for p in (a, b))
    found = align(one, other, "text")
    assert {(ends(a)[i], ends(b)[j]) for i, j in found.pairs} == {(e, e) for e in {*ends(a)} & {*ends(b)}}


def test_text_alignment_keeps_to_matching_text():
    """Where the texts differ nothing is paired, what follows is; without texts it is refused."""
    one = replace(sided(range(4), ()), texts=("the ", "red ", "fox", " ran"))
    other = replace(sided(range(4), ()), texts=("the ", "blue ", "fo", "x ran"))
    assert align(one, other, "text").pairs == ((0, 0), (1, 1), (3, 3))
    with pytest.raises(InvalidInput, match="spelled"):
        align(sided([1], ()), sided([1], ()), "text")


def test_authors_are_laid_side_by_side():
    """Narrowed on both sides, an author's turns are matched by order, whoever it is."""
    one, other = sided([1, 2, 3, 4], (2,)), sided([9, 3, 4], (1,))
    with pytest.raises(AlignmentError, match="has a counterpart"):
        align(sided([1, 2], (1,)), sided([2, 1], (1,)))
    assert align(one.only("y"), other.only("y")).pairs == ((2, 1), (3, 2))
    assert align(one.only("x"), other.only("y"), "index").pairs == ((0, 1), (1, 2))
    assert align(one.only("x"), other.only("y"), "last").pairs == ((1, 2),)
    assert align(sided([3, 4, 1, 2], (2,)).only("x"), other.only("y")).pairs == ((0, 1), (1, 2))
    with pytest.raises(AlignmentError, match=r"said by 'z'.*by x, y"):
        one.only("z")


def test_index_and_last():
    """Equal lengths position by position; the last of each; otherwise an error shows both windows."""
    one, other = sided([5, 6, 7], ()), sided([8, 6, 9, 9], ())
    assert align(one, one, "index").pairs == ((0, 0), (1, 1), (2, 2))
    assert align(one, other, "last").pairs == ((2, 3),)
    with pytest.raises(AlignmentError, match=r"got 3 and 4 tokens: \[5, 6, 7\].*\[8, 6, 9, 9\]"):
        align(one, other, "index")


@pytest.mark.parametrize("mode", ["restore", "break"])
def test_a_grid_is_what_plain_hooks_make(mode):
    """Cell by cell: rows of one run written into the other, log-probability of a word."""
    with engine_of("llama") as engine:
        grid = swept(
            engine,
            LogitDiff(" day", " town"),
            layers=(0, 2),
            how=How(mode=mode, rule="index", columns=((5,), (6, 7))),
        )
        ids = {}
        for name, lines in (("clean", CLEAN), ("corrupt", CORRUPT)):
            done = answer(engine, request(engine, lines))
            ids[name] = list(done.prompt_token_ids)
        a, b = (engine._model.tokenizer.encode(w, add_special_tokens=False) for w in (" day", " town"))
        assert len(a) == len(b) == 1
        source, target = ("clean", "corrupt") if mode == "restore" else ("corrupt", "clean")
        _, rows = hooked(build("llama"), ids[source], [])

    def plain(which, edits=()):
        logits, _ = hooked(build("llama"), ids[which], edits)
        return float(logits[-1, a[0]] - logits[-1, b[0]])

    clean, corrupt = plain("clean"), plain("corrupt")
    assert grid.clean == pytest.approx(clean)
    assert grid.corrupt == pytest.approx(corrupt)
    for i, layer in enumerate((0, 2)):
        for j, column in enumerate(((5,), (6, 7))):
            ref = ActivationRef(
                record="", digest="", site="resid_post", layer=layer, shape=(), dtype="", runs=()
            )
            edit = Replace(source=ref, pairs=tuple((p, p) for p in column), layers=(layer,))
            value = plain(target, [(edit, None, list(column), rows[layer])])
            expected = (value - corrupt) / (clean - corrupt)
            assert float(grid.values_SLC[0, i, j]) == pytest.approx(expected, abs=1e-9)


def test_a_whole_layer_from_the_clean_run_restores_exactly_one():
    """All positions of any layer at once; and by the next token's distribution, whatever the metric."""
    with engine_of("qwen2") as engine:
        n = len(answer(engine, request(engine, CLEAN)).prompt_token_ids)
        everywhere = How(rule="index", columns=(tuple(range(n)),))
        vector = random_vector(engine, 1)
        for metric in (Logprob(" day"), KlToClean(), ReadoutOf(vector.digest, 3)):
            grid = swept(engine, metric, layers=(0, 1, 3), how=everywhere)
            assert torch.allclose(grid.values_SLC, torch.ones(1, 3, 1, dtype=torch.float64), atol=1e-9)
            broken = swept(engine, metric, layers=(0, 3), how=How("break", "index", (tuple(range(n)),)))
            assert torch.allclose(broken.values_SLC, torch.zeros(1, 2, 1, dtype=torch.float64), atol=1e-9)


def test_runs_that_do_not_differ_are_refused_and_nothing_stays():
    """Patching from itself changes nothing, so there is no grid to scale; captured rows are dropped either way."""
    with engine_of("llama") as engine:
        free = engine.store.free
        with pytest.raises(InvalidInput, match="do not differ"):
            swept(engine, Logprob(" day"), corrupt=CLEAN, layers=(1,))
        with pytest.raises(
            AlignmentError, match=r"is out of range: target \[.*, source \[.*aligned positions"
        ):
            swept(engine, Logprob(" day"), layers=(1,), how=How(columns=((999,),)))
        swept(engine, Logprob(" day"), layers=(1,), how=How(rule="last"))
        assert engine.store.free == free


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2"])
def test_a_grid_by_head_is_what_plain_hooks_make(family):
    """One head's numbers at a position from the other run, the other heads as they are."""
    heads, layers, columns = (0, 3), (0, 2), ((5,), (4, 6))
    with engine_of(family) as engine:
        grid = swept(
            engine,
            LogitDiff(" day", " town"),
            layers=layers,
            sites=("z",),
            how=How(rule="index", columns=columns, heads=heads),
        )
        ids = {
            name: list(answer(engine, request(engine, lines)).prompt_token_ids)
            for name, lines in (("clean", CLEAN), ("corrupt", CORRUPT))
        }
        capture = Capture(site="z", layers=layers, where=everything())
        source = answer(engine, request(engine, CLEAN, sampling=Sampling(max_tokens=0), captures=(capture,)))
        rows = {ref.layer: engine.store.at(ref) for ref in source.activations}
        refs = {ref.layer: ref for ref in source.activations}
        a, b = (engine.tokens_of(word)[0] for word in (" day", " town"))
    assert grid.values_SLCH.shape == (1, 2, 2, 2)

    def plain(which, edits=()):
        logits = hooked(build(family), ids[which], edits)[0][-1].log_softmax(-1)
        return float(logits[a] - logits[b])

    clean, corrupt = plain("clean"), plain("corrupt")
    for cell, value in zip(grid.cells, grid.values_SLCH.flatten().tolist(), strict=True):
        at = columns[cell.column]
        edit = Replace(
            source=refs[cell.layer],
            site="z",
            pairs=tuple((p, p) for p in at),
            layers=(cell.layer,),
            heads=(cell.head,),
        )
        patched = plain("corrupt", [(edit, None, list(at), rows[cell.layer])])
        assert value == pytest.approx((patched - corrupt) / (clean - corrupt), abs=1e-7)
    with pytest.raises(InvalidInput, match="by head"):
        _ = grid.values_SLC


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("runner", ["hf", "lean"])
@pytest.mark.parametrize("site", ["z", "q", "k", "v"])
def test_all_heads_one_by_one_are_the_whole_row(site, runner, dtype):
    """A replace of every head at once is a replace of the row; and of itself, nothing."""
    with engine_of("qwen3", dtype, runner=runner) as engine:
        heads = engine.site_map.heads_at(site, 1)
        capture = Capture(site=site, layers=(1,), where=everything())
        reading = Sampling(max_tokens=0)
        source = answer(engine, request(engine, CLEAN, sampling=reading, captures=(capture,)))
        [ref] = source.activations
        logits = Capture(site="logits", where=everything())
        pairs = ((4, 4), (6, 6))

        def run(*edits):
            ask = request(engine, CORRUPT, sampling=reading, captures=(logits,), interventions=edits)
            return engine.store.at(answer(engine, ask).activations[0])

        whole = run(Replace(source=ref, site=site, pairs=pairs))
        each = run(*(Replace(source=ref, site=site, pairs=pairs, heads=(h,)) for h in range(heads)))
        one = run(Replace(source=ref, site=site, pairs=pairs, heads=(0,)))
        assert relative_l2(each, whole) <= BARS[dtype]
        assert relative_l2(one, whole) > 1e-4
        assert relative_l2(one, run()) > 1e-4
        with pytest.raises(InvalidIntervention, match=rf"{site} 1: expected heads 0..{heads - 1}; got \[9\]"):
            run(Replace(source=ref, site=site, pairs=pairs, heads=(9,)))
    with pytest.raises(InvalidIntervention, match="heads narrow z, q, k, v"):
        Replace(source=ref, pairs=pairs, heads=(0,))
    with engine_of("qwen3") as engine, pytest.raises(InvalidInput, match="heads narrow"):
        swept(engine, Logprob(" day"), layers=(1,), how=How(heads=(0,)))


def test_the_best_cell_is_named():
    """Site, layer, column and value of the largest."""
    with engine_of("llama") as engine:
        grid = swept(
            engine, Logprob(" day"), layers=(0, 1), sites=("resid_post", "mlp_out"), how=How(rule="index")
        )
    site, layer, column, value = grid.best()
    s, i, c = grid.sites.index(site), grid.layers.index(layer), grid.columns.index(column)
    assert value == float(grid.values_SLC.max()) == float(grid.values_SLC[s, i, c])
    with engine_of("llama") as engine:
        broken = swept(engine, Logprob(" day"), layers=(0, 1), how=How("break", "index"))
    assert broken.best()[3] == float(broken.values_SLC.min())
    assert str(broken).splitlines()[1].startswith(f"  {float(broken.values_SLC.min()):+.3f}")
