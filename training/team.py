"""Data parallelism by processes of one thread each, which share gradients once a step.

On few and busy cores this is faster than threads, which wait for each other at every operation.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Place:
    """One worker among `size`; the worker of rank 0 prints and saves."""

    rank: int = 0
    size: int = 1

    def average(self, parameters: Sequence[Tensor], loss: float) -> float:
        """Makes every gradient the mean over the workers; returns the mean loss."""
        if self.size == 1:
            return loss
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([torch.tensor([loss]), *(grad.flatten() for grad in grads)]) / self.size
        distributed.all_reduce(flat)
        at = 1
        for grad in grads:
            grad.copy_(flat[at : at + grad.numel()].view_as(grad))
            at += grad.numel()
        return float(flat[0])


@contextmanager
def joined(rank: int, size: int, meeting: Path) -> Iterator[Place]:
    """This process as a worker, with one thread; workers find each other through the file `meeting`."""
    torch.set_num_threads(1)
    if size > 1:
        where = f"file://{meeting.resolve()}"
        distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=size)
    try:
        yield Place(rank, size)
    finally:
        if size > 1:
            distributed.destroy_process_group()


@contextmanager
def others(size: int, work: Callable[[int], None]) -> Iterator[None]:
    """While open, processes 1 .. size - 1 run `work(rank)`; they end before this does, by force after an error."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank,)) for rank in range(1, size)]
    for process in processes:
        process.start()
    try:
        yield
        for process in processes:
            process.join()
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
