"""What processes take: CPU and memory of whole trees, read from /proc; and how much of the machine others had."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_TICKS = os.sysconf("SC_CLK_TCK")
CPUS = len(os.sched_getaffinity(0))


def tree(root: int) -> Iterator[int]:
    """A process and all that it started."""
    yield root
    for children in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                yield from tree(int(child))
        except (FileNotFoundError, ProcessLookupError):
            continue


def cpu_s(root: int) -> float:
    """Seconds of CPU of a tree so far, to the nanosecond; threads that ended are not in it."""
    total = 0
    for pid in tree(root):
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total / 1e9


def resident_mb(root: int) -> float:
    """Resident memory of a tree."""
    total = 0
    for pid in tree(root):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


@dataclass(frozen=True)
class Moment:
    """The machine and some trees at one time."""

    at: float
    busy_s: float
    ours_s: float


def moment(roots: Iterable[int]) -> Moment:
    """Now."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, soft, steal = (int(field) for field in fields[:8])
    busy = (user + nice + system + irq + soft + steal) / _TICKS
    return Moment(perf_counter(), busy, sum(cpu_s(root) for root in roots))


def foreign(before: Moment, after: Moment) -> float:
    """The share of the machine's CPU between two moments that somebody else had."""
    theirs = (after.busy_s - before.busy_s) - (after.ours_s - before.ours_s)
    return max(0.0, theirs) / ((after.at - before.at) * (os.cpu_count() or 1))
