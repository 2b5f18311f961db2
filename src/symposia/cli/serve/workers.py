"""Several processes on consecutive ports, each a server of its own; they share the store and the ledger."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from types import FrameType

from msgspec.structs import replace

from symposia.cli.world import World, guarded, this_world

from .assembled import assembled
from .configured import Configured

_FAILED, _REFUSED = 3, 2


def run_workers(told: Configured, world: World) -> int:
    """Start them, pass signals on, wait for all. Exit 0 if all ended well; one that fails ends the others."""
    with assembled(told, world, listens=False) as ready:  # what keeps one from starting keeps all
        for refusal in ready.refusals:
            world.err.always(f"error: {world.redactor.text(refusal)}", "bold red")
        if ready.refusals:
            return _REFUSED
    context = multiprocessing.get_context("spawn")
    settings = told.settings
    workers: list[BaseProcess] = []
    for place in range(settings.workers):
        own = Configured(
            settings=replace(settings, port=settings.port + place, workers=1),
            policy=told.policy if place == 0 else None,
        )
        worker = context.Process(target=_work, args=(own,), name=f"symposia-serve-{own.settings.port}")
        worker.start()
        workers.append(worker)

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        _tell(workers, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    return _wait(workers)


def _wait(workers: Sequence[BaseProcess]) -> int:
    """Until all have ended; the first that fails has the others told to end."""
    left = list(workers)
    failed = False
    while left:
        connection.wait([worker.sentinel for worker in left])
        ended = [worker for worker in left if not worker.is_alive()]
        left = [worker for worker in left if worker.is_alive()]
        if any(worker.exitcode for worker in ended) and not failed:
            failed = True
            _tell(left, signal.SIGTERM)
    return _FAILED if failed else 0


def _tell(workers: Sequence[BaseProcess], number: int) -> None:
    for worker in workers:
        if worker.is_alive() and worker.pid is not None:
            os.kill(worker.pid, number)


def _work(told: Configured) -> None:
    from .running import run

    world = this_world()

    def work() -> int:
        with assembled(told, world) as ready:
            return run(ready, world)

    raise SystemExit(guarded(world, work))
