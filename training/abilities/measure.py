"""All abilities in one call, at full or quick sample sizes."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from training.abilities import behaviour, patch, skills, steer
from training.abilities.row import Row
from training.abilities.subject import Subject

Settings = Mapping[str, tuple[int, float]]  # attribute -> block and dose that steer it


def settings(directory: Path, *, threads: int = 2) -> dict[str, tuple[int, float]]:
    """The best block and dose for every attribute that is steered, by search."""
    torch.set_num_threads(threads)
    subject = Subject(directory)
    return {attribute: steer.find(subject, attribute, pairs=1000, trial=32) for attribute in steer.POLES}


def abilities(directory: Path, steered: Settings, *, quick: bool, threads: int = 2) -> Iterator[Row]:
    """Every row of the specification's table, when it is measured; `quick`: about a fifth of the samples."""
    torch.set_num_threads(threads)
    subject = Subject(directory)

    def size(full: int) -> int:
        return max(12, full // 5) if quick else full

    yield behaviour.fluency(subject, size(500))
    yield behaviour.turn_format(subject, size(500))
    for attribute in behaviour.FOLLOWED:
        yield behaviour.follows(subject, attribute, size(500))
    yield skills.recall(subject, size(200))
    measured: tuple[Callable[[], list[Row]], ...] = (
        lambda: skills.answers(subject, size(150)),
        lambda: skills.tools(subject, size(100)),
        lambda: [skills.next_speaker(subject, size(100))],
        lambda: patch.patching(subject, size(60)),
    )
    for rows in measured:
        yield from rows()
    for attribute, (layer, dose) in steered.items():
        yield from steer.steering(
            subject, attribute, pairs=size(1000), count=size(120), layer=layer, dose=dose
        )
