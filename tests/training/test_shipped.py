"""Promise: the shipped directory is the one that was measured, small enough, and described by its card."""

from training import shipped
from training.abilities.subject import Subject


def test_the_digest_is_the_recorded_one() -> None:
    """Weights, configuration, tokenizer and template are those that `shipped.json` and the card name."""
    digest = shipped.digest()
    assert digest == shipped.recorded().digest
    assert digest in (shipped.DIRECTORY / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_it_fits_the_wheel(subject: Subject) -> None:
    """Two to six million parameters, at most 12 MB, a context of at least 1,024."""
    assert 2e6 <= subject.model.num_parameters() <= 6e6
    assert sum(file.stat().st_size for file in shipped.DIRECTORY.iterdir()) <= 12e6
    assert subject.model.config.max_position_embeddings >= 1024


def test_end_of_turn_ends_generation(subject: Subject) -> None:
    """The generation configuration stops at `<|im_end|>` and pads with `<|endoftext|>`."""
    config = subject.model.generation_config
    assert subject.tokenizer.convert_ids_to_tokens([config.eos_token_id, config.pad_token_id]) == [
        "<|im_end|>",
        "<|endoftext|>",
    ]
