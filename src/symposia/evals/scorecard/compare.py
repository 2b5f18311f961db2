"""One method against another on the items that both answered: pairs, never two columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from symposia.core.value import Count, Value
from symposia.evals.statistics.bootstrap import bootstrap
from symposia.evals.statistics.interval import Interval, Wording, wording
from symposia.evals.statistics.paired import holm, mcnemar, sign_flip

from .methodrow import Key
from .trial import Trial

Repeat = tuple[str, str, int]


class Difference(Value, frozen=True, kw_only=True):
    """`n` items with a result under both. `fixed` are better here, `broken` there, of several repeats by their means.

    `difference` is that of accuracy, here less there, with its 95 % interval over items. `p` is McNemar's, or with
    repeats the sign-flip test's; `p_holm` is adjusted for all comparisons of the card. The wording is the interval's.
    """

    n: Count
    fixed: Count
    broken: Count
    difference: float
    interval: Interval
    test: Literal["mcnemar", "sign_flip"]
    p: float
    p_holm: float = 1.0
    wording: Wording


class Comparison(Value, frozen=True, kw_only=True):
    """`method` against `baseline`. `graded` leaves out items on which either failed; `strict` has them as wrong."""

    method: str
    baseline: str
    graded: Difference | None
    strict: Difference | None


def comparisons(trials: Mapping[str, Sequence[Trial]], method: str, seed: str) -> tuple[Comparison, ...]:
    """`method` against every other, Holm's adjustment over all of them. None where no item has both results."""
    found = [
        Comparison(
            method=method,
            baseline=other,
            graded=_difference(trials[method], trials[other], f"{seed}/{other}", strict=False),
            strict=_difference(trials[method], trials[other], f"{seed}/{other}", strict=True),
        )
        for other in trials
        if other != method
    ]
    graded = _adjusted([one.graded for one in found])
    strict = _adjusted([one.strict for one in found])
    return tuple(
        msgspec.structs.replace(one, graded=g, strict=s)
        for one, g, s in zip(found, graded, strict, strict=True)
    )


def _difference(
    here: Sequence[Trial], there: Sequence[Trial], seed: str, *, strict: bool
) -> Difference | None:
    pairs = _pairs(here, there, strict=strict)
    if not pairs:
        return None
    differences = [Fraction(sum(a - b for a, b in both), len(both)) for both in pairs.values()]
    fixed, broken = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    single = all(len(both) == 1 for both in pairs.values())
    interval = bootstrap([float(d) for d in differences], seed)
    return Difference(
        n=len(pairs),
        fixed=fixed,
        broken=broken,
        difference=float(sum(differences) / len(differences)),
        interval=interval,
        test="mcnemar" if single else "sign_flip",
        p=mcnemar(fixed, broken) if single else sign_flip(differences, seed),
        wording=wording(interval),
    )


def _pairs(
    here: Sequence[Trial], there: Sequence[Trial], *, strict: bool
) -> dict[Key, list[tuple[bool, bool]]]:
    """Results of both by item, repeat with the same repeat; a failure is no result, or wrong if `strict`."""
    results = {_repeat(t): t.right for t in there if strict or t.graded}
    pairs: dict[Key, list[tuple[bool, bool]]] = {}
    for trial in here:
        if (strict or trial.graded) and _repeat(trial) in results:
            pairs.setdefault((trial.task, trial.item), []).append((trial.right, results[_repeat(trial)]))
    return pairs


def _repeat(trial: Trial) -> Repeat:
    return trial.task, trial.item, trial.repeat


def _adjusted(found: Sequence[Difference | None]) -> list[Difference | None]:
    ps = iter(holm([one.p for one in found if one is not None]))
    return [None if one is None else msgspec.structs.replace(one, p_holm=next(ps)) for one in found]
