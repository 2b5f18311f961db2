"""Promise: training is what it says: orthogonal steps, causal attention, right weights, resumable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from training import shipped
from training.attention import written_out
from training.corpus import Corpus, Extract, batches, build, padded
from training.grammar.mixture import sample, schooling
from training.loop import Reading, train
from training.muon import orthogonal
from training.recipe import Recipe, rate
from training.team import Place

SMALL = Recipe(
    hidden=32,
    heads=2,
    kv_heads=1,
    layers=2,
    inner=32,
    steps=4,
    school_steps=2,
    workers=1,
    batch_tokens=512,
    context=512,
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Sixty samples under the shipped tokenizer."""
    return build(tokenizer(), Extract(sample, 0, 60, 512))


def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(shipped.DIRECTORY / "tokenizer.json"))


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (32, 32)])
def test_muon_moves_all_singular_values_close_to_one(shape: tuple[int, int]) -> None:
    """Five Newton-Schulz steps bring them into [0.4, 1.3]."""
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
    assert values.min() > 0.4
    assert values.max() < 1.3


def test_written_out_attention_is_causal_attention() -> None:
    """It equals the reference implementation, with shared key and value heads, and refuses a mask."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 7, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 8)
    ours, _ = written_out(nn.Module(), query, key, value, None, scaling=8**-0.5)
    theirs = functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, enable_gqa=True
    ).transpose(1, 2)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="no mask"):
        written_out(nn.Module(), query, key, value, torch.ones(7, 7), scaling=1.0)


def test_only_what_was_said_carries_weight(corpus: Corpus) -> None:
    """Own tokens weigh 1, the others' at most 0.3, markup nothing; every sample has own tokens."""
    assert set(np.unique(corpus.weight).tolist()) <= {0, 30, 100}
    assert (corpus.weight[corpus.own] == 100).all()
    assert (corpus.weight[~corpus.own] < 100).all()
    _, _, own = padded(corpus, np.arange(len(corpus)))
    assert own.any(1).all()
    assert not own[:, 0].any()


def test_an_epoch_feeds_every_sample_once_within_the_token_limit(corpus: Corpus) -> None:
    """Batches partition the corpus; a padded batch holds at most the tokens allowed, or one sample."""
    feed, seen = batches(corpus, 1024, seed=3, longest=512), []
    while len(seen) < len(corpus):
        chosen = next(feed)
        seen += chosen.tolist()
        assert len(chosen) == 1 or len(chosen) * corpus.lengths()[chosen].max() <= 1024
    assert sorted(seen) == list(range(len(corpus)))


def test_a_resumed_run_ends_with_the_same_weights(corpus: Corpus, tmp_path: Path) -> None:
    """Stopping after any checkpoint and starting again changes nothing."""
    reading = Reading(corpus, build(tokenizer(), Extract(schooling, 0, 40, 512)))
    size = int(corpus.ids.max()) + 1
    size = max(size, 2304)
    shown: list[str] = []
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(SMALL, reading, size, tmp_path / "a", place=Place(), show=shown.append, save_every=2)

    class Stopped(Exception):
        """The run is cut at its first snapshot."""

    def stop(_: object, __: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train(
            SMALL,
            reading,
            size,
            tmp_path / "b",
            place=Place(),
            show=shown.append,
            save_every=1,
            snapshot=stop,
        )
    resumed = train(SMALL, reading, size, tmp_path / "b", place=Place(), show=shown.append, save_every=2)
    assert resumed.losses == whole.losses
    assert all(
        torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    )


def test_the_rate_warms_up_and_ends_near_zero() -> None:
    """Never above 1, never negative, rising first, falling last."""
    recipe = replace(Recipe(), steps=1000)
    rates = [rate(recipe, step) for step in range(1000)]
    assert max(rates) == 1.0
    assert min(rates) > 0
    assert rates[0] < rates[10]
    assert rates[-1] < 0.01
