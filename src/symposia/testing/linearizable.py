"""Whether what several processes saw of one shared object could have happened one call at a time.

The search of Wing and Gong (JPDC 17, 1993) with the memory of Lowe (2017): a call may go next if no other call that
has not gone ended before it began.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

C = TypeVar("C")
S = TypeVar("S", bound=Hashable)


class Call(NamedTuple, Generic[C]):
    """A call with its answer, and when it began and ended on one clock all callers share."""

    begun: int
    ended: int
    what: C


def linearized(calls: Sequence[Call[C]], start: S, step: Callable[[S, C], S | None]) -> list[Call[C]] | None:
    """The calls in an order in which each could have been answered as it was; None if there is none.

    `step(state, what)` is the object's next state, or None if it would have answered otherwise.
    """
    history = sorted(calls, key=lambda call: (call.begun, call.ended))
    state, done = start, 0
    seen: set[tuple[int, S]] = set()
    taken: list[tuple[int, S]] = []
    choices = [_next(history, done)]
    while len(taken) < len(history):
        for index in choices[-1]:
            after = step(state, history[index].what)
            if after is not None and (done | 1 << index, after) not in seen:
                taken.append((index, state))
                state, done = after, done | 1 << index
                seen.add((done, state))
                choices.append(_next(history, done))
                break
        else:
            choices.pop()
            if not taken:
                return None
            index, state = taken.pop()
            done &= ~(1 << index)
    return [history[index] for index, _ in taken]


def _next(history: Sequence[Call[C]], done: int) -> Iterator[int]:
    """The calls that may go next, by when they began."""
    first = (~done & (done + 1)).bit_length() - 1  # the lowest that has not gone
    ends = None
    for index in range(first, len(history)):
        if done >> index & 1:
            continue
        call = history[index]
        if ends is not None and call.begun > ends:
            return
        ends = call.ended if ends is None else min(ends, call.ended)
        yield index
