"""The recipe as one value: shape, data, optimisation. Same recipe, same versions: same weights."""

from dataclasses import dataclass

from transformers import LlamaConfig


@dataclass(frozen=True)
class Recipe:
    """Numbers of one training run; the defaults made the shipped weights.

    Until the step `short_until` only samples of at most `short_tokens` are fed: per token they hold the most
    lessons in copying and in following the system text. After `steps` come `school_steps` on samples of which most
    are lessons: one stated attribute, one reply.
    """

    seed: int = 0
    workers: int = 2
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    inner: int = 512
    context: int = 2048
    samples: int = 130_000
    held_out: int = 300
    steps: int = 6000
    short_until: int = 2800
    short_tokens: int = 256
    batch_tokens: int = 2560
    matrix_rate: float = 0.016
    matrix_decay: float = 0.1
    other_rate: float = 0.0025
    warm_up: int = 86
    decay: float = 0.45
    school_samples: int = 50_000
    school_steps: int = 1200
    school_rate: float = 0.5

    @property
    def whole(self) -> int:
        """Steps of the whole run."""
        return self.steps + self.school_steps


def config(recipe: Recipe, vocabulary: int) -> LlamaConfig:
    """The architecture: a plain Llama decoder with tied embeddings."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        head_dim=recipe.hidden // recipe.heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


def rate(recipe: Recipe, step: int) -> float:
    """Multiplier of the learning rates: warm-up, flat, linear decay to 0 over the last `decay`; again at school."""
    if step >= recipe.steps:
        at, height = step - recipe.steps, recipe.school_rate
        return height * min((at + 1) / recipe.warm_up, 1 - at / recipe.school_steps)
    return min((step + 1) / recipe.warm_up, 1.0, (recipe.steps - step) / (recipe.decay * recipe.steps))
