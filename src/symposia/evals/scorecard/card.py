"""The scorecard: a pure function of what was asked and of the trials. No clock is in it: same trials, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from symposia.core.profile import Profile
from symposia.core.value import Count, Value
from symposia.evals.methods.method import Counting
from symposia.talk.debate import Debate

from .compare import Comparison, comparisons
from .courses import Courses, courses
from .methodrow import MethodRow, method_row
from .trial import Trial


class Asked(Value, frozen=True, kw_only=True):
    """What was asked for: enough to run it again. `items` are digests by task, in order.

    `prompts` are digests of what the methods and the debate may say. `count` says which tokens a budget counts: those
    that no cache held, or all.
    """

    methods: tuple[str, ...]
    profile: Profile
    debate: Debate | None = None
    prompts: tuple[str, str]
    items: tuple[tuple[str, tuple[str, ...]], ...]
    repeats: Count = 1
    seed: int = 0
    count: Counting = "fresh"


class TaskRow(Value, frozen=True, kw_only=True):
    """One task set, all methods."""

    task: str
    rows: tuple[MethodRow, ...]


class Scorecard(Value, frozen=True, kw_only=True):
    """`reference` is compared with every other method: the debate, or the first method where none is one."""

    format: Literal["symposia.scorecard"] = "symposia.scorecard"
    version: Literal[1] = 1
    asked: Asked
    reference: str
    rows: tuple[MethodRow, ...]
    tasks: tuple[TaskRow, ...]
    comparisons: tuple[Comparison, ...]
    courses: tuple[Courses, ...]
    trials: tuple[Trial, ...]


def scorecard(asked: Asked, reference: str, trials: Sequence[Trial]) -> Scorecard:
    """Fold all trials, in whatever order they ended."""
    places = {name: at for at, (name, _) in enumerate(asked.items)}
    order = {name: at for at, name in enumerate(asked.methods)}
    told = tuple(sorted(trials, key=lambda t: (places[t.task], t.item, t.repeat, order[t.method])))
    by_method = {name: [t for t in told if t.method == name] for name in asked.methods}
    seed = f"scorecard/{asked.seed}"
    tasks = tuple(
        TaskRow(
            task=task, rows=_rows({m: [t for t in ts if t.task == task] for m, ts in by_method.items()}, seed)
        )
        for task in places
    )
    went = (courses(name, ts) for name, ts in by_method.items())
    return Scorecard(
        asked=asked,
        reference=reference,
        rows=_rows(by_method, seed),
        tasks=tasks,
        comparisons=comparisons(by_method, reference, seed),
        courses=tuple(one for one in went if one is not None),
        trials=told,
    )


def _rows(by_method: dict[str, list[Trial]], seed: str) -> tuple[MethodRow, ...]:
    return tuple(method_row(name, trials, f"{seed}/{name}") for name, trials in by_method.items())
