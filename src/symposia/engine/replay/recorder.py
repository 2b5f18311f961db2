"""What records a computation on tensors that stay where they are: CUDA, or a stand-in that computes it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Recording(Protocol):
    """A recorded computation; `output` holds what the last replay made, and is overwritten by the next."""

    @property
    def output(self) -> Tensor:
        """Always the same tensor."""
        ...

    def replay(self) -> None:
        """Compute it again from what its input tensors hold now."""
        ...


class Recorder(Protocol):
    """Makes recordings. `run` reads only tensors that live as long as the recording, and never waits for the device.

    It is run while being recorded, also several times: its inputs must make that harmless.
    """

    def record(self, run: Callable[[], Tensor]) -> Recording:
        """The recording of a computation."""
        ...


@dataclass(frozen=True, eq=False)
class _Again:
    run: Callable[[], Tensor]
    output: Tensor

    def replay(self) -> None:
        self.output.copy_(self.run())


class Rerun:
    """Implements `Recorder` anywhere, by computing anew at every replay: for tests without a GPU."""

    def record(self, run: Callable[[], Tensor]) -> Recording:
        return _Again(run, run())


@dataclass(frozen=True, eq=False)
class _Graph:
    graph: torch.cuda.CUDAGraph
    output: Tensor

    def replay(self) -> None:
        self.graph.replay()


class CudaRecorder:
    """Implements `Recorder` by CUDA graphs, which share one pool of memory: they are never replayed side by side."""

    def __init__(self) -> None:
        self._pool: Any = None  # torch's own type is private

    def record(self, run: Callable[[], Tensor]) -> Recording:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # kernels are compiled and libraries set up outside of the recording
            for _ in range(2):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = run()
        self._pool = self._pool or graph.pool()
        return _Graph(graph, output)
