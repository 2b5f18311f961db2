"""Numbers by label values, as a scrape reads them: counters and histograms in plain dictionaries.

No clock, no environment, no lock: whoever keeps them holds one. Counting costs what a dictionary does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from symposia.core.redact import Redactor

MOST, LONGEST, OTHER = 200, 200, "other"
Labels = tuple[str, ...]


class Names:
    """Values of a label that callers or administrators choose: the first `MOST`, redacted; then all are `other`."""

    def __init__(self, redactor: Redactor, *, most: int = MOST) -> None:
        self._redactor, self._most = redactor, most
        self._known: dict[str, str] = {}

    def of(self, value: str, *, new: bool = True) -> str:
        """The label value of a name. `new=False`: a name not met before is `other` and not kept."""
        known = self._known.get(value)
        if known is not None:
            return known
        if not new or len(self._known) >= self._most:
            return OTHER
        named = self._known[value] = self._redactor.text(value)[:LONGEST]
        return named


class Counter:
    """A number that only grows, by label values."""

    def __init__(self, name: str, told: str, labels: Sequence[str] = ()) -> None:
        self._name, self._told, self._labels = name, told, tuple(labels)
        self._values: dict[Labels, int] = {} if labels else {(): 0}

    def add(self, labels: Labels = (), amount: int = 1) -> None:
        """Count one, or more at once."""
        values = self._values
        values[labels] = values.get(labels, 0) + amount

    def family(self) -> CounterMetricFamily:
        """Its samples."""
        family = CounterMetricFamily(self._name, self._told, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


class Histogram:
    """How often a quantity fell below each bound, and its sum, by label values."""

    def __init__(self, name: str, told: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._told, self._labels = name, told, tuple(labels)
        self._bounds = tuple(bounds)
        self._rows: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value in the first bucket whose bound it does not exceed."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = ([0] * (len(self._bounds) + 1), [0.0])
        row[0][bisect_left(self._bounds, value)] += 1
        row[1][0] += value

    def family(self) -> HistogramMetricFamily:
        """Its samples: cumulative counts by upper bound."""
        family = HistogramMetricFamily(self._name, self._told, labels=self._labels)
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for labels, (counts, (total,)) in self._rows.items():
            family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return family


class Series:
    """Counters and histograms, kept in the order they were made."""

    def __init__(self) -> None:
        self._made: list[Counter | Histogram] = []

    def counter(self, name: str, told: str, *labels: str) -> Counter:
        """A new counter; `_total` is added to its name."""
        made = Counter(name, told, labels)
        self._made.append(made)
        return made

    def histogram(self, name: str, told: str, bounds: Sequence[float], *labels: str) -> Histogram:
        """A new histogram; `bounds` rise."""
        made = Histogram(name, told, labels, bounds)
        self._made.append(made)
        return made

    def families(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """What all of them have counted."""
        for made in self._made:
            yield made.family()


def total(name: str, told: str, value: float) -> CounterMetricFamily:
    """A count without labels that somebody else keeps."""
    return CounterMetricFamily(name, told, value=value)


def gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    """One reading without labels."""
    return GaugeMetricFamily(name, told, value=value)


def gauges(name: str, told: str, label: str, values: Mapping[str, float]) -> Iterator[GaugeMetricFamily]:
    """Readings by one label; no family where nothing was read."""
    if not values:
        return
    family = GaugeMetricFamily(name, told, labels=(label,))
    for labelled, value in values.items():
        family.add_metric((labelled,), value)
    yield family
