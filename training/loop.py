"""The training loop: batch, loss, step; resumable from its newest checkpoint."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForCausalLM

from training import attention
from training.corpus import Corpus, batches, padded
from training.muon import Muon
from training.recipe import Recipe, config, rate
from training.team import Place


def nll(model: LlamaForCausalLM, ids: Tensor, where: Tensor) -> Tensor:
    """Negative log-likelihood in nats of the tokens `ids[where]`, each given its row before it.

    `ids` is `[B, T]` padded on the right; `where` is a `[B, T]` mask whose first column is ignored.
    """
    picked = where[:, 1:]
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][picked]
    logits = model.lm_head(hidden).float()
    return functional.cross_entropy(logits, ids[:, 1:][picked], reduction="none")


def weighted_loss(model: LlamaForCausalLM, corpus: Corpus, chosen: npt.NDArray[np.int64]) -> Tensor:
    """Weighted mean negative log-likelihood over the chosen samples."""
    ids, weight, _ = (torch.from_numpy(array) for array in padded(corpus, chosen))
    where = weight > 0
    where[:, 0] = False
    losses = nll(model, ids, where)
    picked = weight[where]
    return (losses * picked).sum() / picked.sum()


@torch.no_grad()
def held_out(model: LlamaForCausalLM, corpus: Corpus, samples: int) -> tuple[float, float]:
    """Nats per own token on the first `samples`: the model's, and the grammar's derivation cost."""
    total, count = 0.0, 0
    model.eval()
    for low in range(0, samples, 16):
        ids, _, own = (torch.from_numpy(a) for a in padded(corpus, np.arange(low, min(low + 16, samples))))
        losses = nll(model, ids, own)
        total, count = total + float(losses.sum()), count + len(losses)
    model.train()
    return total / count, float(corpus.nats[:samples].sum()) / count


def optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, Adam for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    known = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in known]
    return [
        Muon(matrices, lr=recipe.matrix_rate, decay=recipe.matrix_decay),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


@dataclass
class Trained:
    """A model, the loss of every step so far, and the seconds they took, over all sittings."""

    model: LlamaForCausalLM
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


def _resume(path: Path, trained: Trained, opts: list[torch.optim.Optimizer]) -> None:
    if not path.exists():
        return
    state = torch.load(path, weights_only=True)
    trained.model.load_state_dict(state["model"])
    for opt, stored in zip(opts, state["optimizers"], strict=True):
        opt.load_state_dict(stored)
    trained.losses = list(state["losses"])
    trained.seconds = float(state["seconds"])


def _save(path: Path, trained: Trained, opts: list[torch.optim.Optimizer]) -> None:
    partial = path.with_suffix(".partial")
    state = {
        "model": trained.model.state_dict(),
        "optimizers": [opt.state_dict() for opt in opts],
        "losses": trained.losses,
        "seconds": trained.seconds,
    }
    torch.save(state, partial)
    partial.replace(path)


def _batch(model: LlamaForCausalLM, corpus: Corpus, chosen: npt.NDArray[np.int64]) -> float:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = weighted_loss(model, corpus, chosen)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _update(opts: list[torch.optim.Optimizer], multiplier: float) -> None:
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = group.setdefault("base", group["lr"]) * multiplier
        opt.step()
        opt.zero_grad()


def fresh(recipe: Recipe, vocabulary: int) -> LlamaForCausalLM:
    """The untrained model: every block starts as the identity."""
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(config(recipe, vocabulary))
    model.set_attn_implementation(attention.NAME)
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            nn.init.zeros_(weight)
    return model


@dataclass(frozen=True)
class Reading:
    """What a run reads: the mixture, and the samples of its last steps."""

    mixture: Corpus
    school: Corpus


def fed(recipe: Recipe, reading: Reading) -> Iterator[tuple[Corpus, npt.NDArray[np.int64]]]:
    """The batches of the whole run in order, those of one step beside each other: the short, all, the school's."""
    short = min(recipe.short_until, recipe.steps)
    stages = (
        (reading.mixture, short, recipe.short_tokens),
        (reading.mixture, recipe.steps - short, recipe.context),
        (reading.school, recipe.school_steps, recipe.context),
    )
    for corpus, steps, longest in stages:
        feed = batches(corpus, recipe.batch_tokens, recipe.seed, longest)
        yield from ((corpus, chosen) for chosen in itertools.islice(feed, steps * recipe.workers))


def train(
    recipe: Recipe,
    reading: Reading,
    vocabulary: int,
    folder: Path,
    *,
    place: Place,
    show: Callable[[str], None],
    save_every: int = 100,
    snapshot: Callable[[LlamaForCausalLM, int], None] | None = None,
) -> Trained:
    """The trained model. Resumes from `folder/checkpoint.pt` if there is one.

    Every worker of the team calls this; only rank 0 shows, saves and takes snapshots, one at every fourth
    checkpoint and at the end.
    """
    trained = Trained(fresh(recipe, vocabulary))
    parameters = list(trained.model.parameters())
    opts = optimizers(trained.model, recipe)
    path = folder / "checkpoint.pt"
    _resume(path, trained, opts)
    done, before = len(trained.losses), trained.seconds
    started, tokens = time.monotonic(), 0
    feed = itertools.islice(fed(recipe, reading), place.rank, None, place.size)
    for step, (corpus, chosen) in enumerate(feed, start=1):
        if step <= done:
            continue
        multiplier = rate(recipe, step - 1)
        tokens += int(corpus.lengths()[chosen].sum()) * place.size
        loss = place.average(parameters, _batch(trained.model, corpus, chosen))
        if not math.isfinite(loss):
            raise FloatingPointError(f"step {step}: loss {loss}; lower matrix_rate or other_rate")
        _update(opts, multiplier)
        trained.losses.append(loss)
        trained.seconds = before + time.monotonic() - started
        if place.rank > 0:
            continue
        if step % 20 == 0:
            speed = tokens / (trained.seconds - before)
            mean = sum(trained.losses[-20:]) / 20
            show(f"step {step:5d}  loss {mean:.4f}  rate {multiplier:.3f}  {speed:,.0f} tokens/s")
        last = step == recipe.whole
        if step % save_every == 0 or last:
            _save(path, trained, opts)
        if snapshot is not None and (step % (4 * save_every) == 0 or last):
            snapshot(trained.model, step)
    return trained
