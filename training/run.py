"""`python -m training.run`: corpus, tokenizer, weights, measurement, model card; resumable."""

import argparse
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training import shipped, vocabulary
from training.abilities.measure import abilities, settings
from training.card import card, curve
from training.corpus import Corpus, Extract, cached
from training.grammar.bank import names, words
from training.grammar.mixture import sample, schooling
from training.loop import Reading, Trained, held_out, train
from training.recipe import Recipe
from training.render import rendered
from training.team import joined, others

CACHE = Path(__file__).parent.parent / ".cache" / "training"
TOKENIZER_SEEDS = range(2_000_000_000, 2_000_020_000)
HELD_OUT_FIRST = 1_000_000_000
SCHOOL_FIRST = 500_000_000


def tokenizer_for(folder: Path) -> Tokenizer:
    """The shipped tokenizer, if there is one, so that ids stay what they were; otherwise a new one, made once.

    Common names and secret words become one token each.
    """
    path = folder / "tokenizer.json"
    kept = shipped.DIRECTORY / "tokenizer.json"
    if not path.exists() and kept.exists():
        path.write_bytes(kept.read_bytes())
    if not path.exists():
        lexicon = [f"{form}: {form}" for name in names() for form in (name, name.capitalize())]
        lexicon += [f" {word}" for word in words()]
        texts = [rendered(sample(seed)) for seed in TOKENIZER_SEEDS]
        vocabulary.train([*texts, *(lexicon * 2000)]).save(str(path))
    return Tokenizer.from_file(str(path))


def _arguments() -> tuple[Recipe, str, bool]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="shipped", help="folder of this run below .cache/training")
    parser.add_argument("--no-export", action="store_true", help="leave the shipped model directory as it is")
    for field in fields(Recipe):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    chosen = parser.parse_args()
    recipe = replace(Recipe(), **{field.name: getattr(chosen, field.name) for field in fields(Recipe)})
    return recipe, chosen.name, not chosen.no_export


def reading(recipe: Recipe, tokenizer: Tokenizer) -> Reading:
    """Both corpora, made once."""
    mixture = Extract(sample, 0, recipe.samples, recipe.context)
    school = Extract(schooling, SCHOOL_FIRST, recipe.school_samples, recipe.context)
    return Reading(cached(tokenizer, mixture, CACHE), cached(tokenizer, school, CACHE))


def _work(recipe: Recipe, folder: Path, rank: int) -> None:
    tokenizer = tokenizer_for(folder)
    read = reading(recipe, tokenizer)
    with joined(rank, recipe.workers, folder / "meeting") as place:
        train(recipe, read, tokenizer.get_vocab_size(), folder, place=place, show=print)


def _show(line: str) -> None:
    print(line, flush=True)


def fitted(recipe: Recipe, folder: Path, tokenizer: Tokenizer, test: Corpus, *, export: bool) -> Trained:
    """Trains with all workers; at every checkpoint it shows the held-out loss and exports what there is."""
    read = reading(recipe, tokenizer)
    for name, corpus in vars(read).items():
        _show(f"{name}: {len(corpus):,} samples, {len(corpus.ids):,} tokens")

    def snapshot(model: LlamaForCausalLM, step: int) -> None:
        ours, bound = held_out(model, test, 64)
        _show(f"step {step:5d}  held out {ours:.4f} nats/token, derivation {bound:.4f}")
        if export:
            shipped.export(model, tokenizer, folder / "export")

    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    work = partial(_work, recipe, folder)
    size = tokenizer.get_vocab_size()
    with others(recipe.workers, work), joined(0, recipe.workers, meeting) as place:
        return train(recipe, read, size, folder, place=place, show=_show, snapshot=snapshot)


def ship(recipe: Recipe, trained: Trained, tokenizer: Tokenizer, test: Corpus, scratch: Path) -> None:
    """Exports the trained model, measures it, and writes its record and its card."""
    ours, bound = held_out(trained.model, test, len(test))
    digest = shipped.export(trained.model, tokenizer, scratch)
    steered = settings(shipped.DIRECTORY, threads=recipe.workers)
    loss = sum(trained.losses[-50:]) / len(trained.losses[-50:])
    record = shipped.Record(digest, asdict(recipe), loss, ours, bound, trained.seconds, steered)
    shipped.write_record(record)
    rows = []
    for row in abilities(shipped.DIRECTORY, steered, quick=False, threads=recipe.workers):
        rows.append(row)
        _show(" · ".join(row.cells()))
    size = sum(weight.numel() for weight in trained.model.parameters())
    text = card(recipe, record, trained.losses, size, tokenizer.get_vocab_size(), rows)
    (shipped.DIRECTORY / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Runs everything that is not done yet."""
    recipe, name, export = _arguments()
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_for(folder)
    test = cached(tokenizer, Extract(sample, HELD_OUT_FIRST, recipe.held_out, recipe.context), CACHE)
    trained = fitted(recipe, folder, tokenizer, test, export=export)
    _show(f"trained in {trained.seconds:.0f} s; loss by step: {curve(trained.losses)}")
    if export:
        ship(recipe, trained, tokenizer, test, folder / "export")


if __name__ == "__main__":
    main()
