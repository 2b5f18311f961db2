"""Deadlines by numbers: which of them has passed, and that nothing is overdue before its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from symposia.core.clock import VirtualClock
from symposia.serve.watch import TICK_S, Patience, Times, Watch, overdue, silent, stalled

PATIENCE = Patience(first_s=6.0, idle_s=3.0, total_s=60.0, ping_s=1.5, write_stall_s=5.0)
MOMENTS = st.floats(min_value=0, max_value=100)


@given(item=st.none() | MOMENTS, now=MOMENTS, streams=st.booleans())
def test_a_deadline_passes_when_its_time_has_and_not_before(item, now, streams):
    times = Times(asked=0.0, streams=streams, item=item)
    late = overdue(times, PATIENCE, now)
    if now >= PATIENCE.total_s:
        assert late == "total"
    elif item is None:
        assert late == ("first_token" if streams and now >= PATIENCE.first_s else None)
    else:
        assert late == ("idle" if streams and now - item >= PATIENCE.idle_s else None)


@given(written=st.none() | MOMENTS, writing=st.none() | MOMENTS, now=MOMENTS)
def test_a_ping_is_for_who_listens_and_a_stall_for_who_does_not(written, writing, now):
    times = Times(asked=0.0, streams=True, written=written, writing=writing)
    assert not (silent(times, PATIENCE, now) and stalled(times, PATIENCE, now))
    assert stalled(times, PATIENCE, now) == (writing is not None and now - writing >= 5.0)
    if silent(times, PATIENCE, now):
        assert written is not None
        assert writing is None


async def test_everyone_under_way_is_looked_at_every_tick():
    class One:
        def __init__(self):
            self.seen = []

        def look(self, now):
            self.seen.append(now)

    clock, one = VirtualClock(), One()
    watch = Watch(clock)
    watch.start()
    watch.add(one)
    await clock.advance(10 * TICK_S + 0.01)
    assert len(one.seen) == 10
    watch.discard(one)
    await clock.advance(1.0)
    assert len(one.seen) == 10
    watch.stop()
