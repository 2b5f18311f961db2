"""What a debate is to be seen beside, on one question nobody has an answer for: one call, and the vote of as many."""

from __future__ import annotations

from dataclasses import replace

from symposia.core.request import Backend
from symposia.evals.tasks.item import Question
from symposia.talk.rules import Kit

from .method import Bench, Budget, Ran, Setup
from .registry import method
from .samples import Samples


async def baselines(
    question: Question, setup: Setup, calls: int, backend: Backend, *, kit: Kit | None = None
) -> dict[str, Ran]:
    """`single` and `sc@calls` on a question that a debate put `calls` calls into; with tools, `single_tools`."""
    bench = Bench(setup=setup, item=question, backend=backend, kit=kit or Kit())
    bench = replace(bench, budget=Budget(calls=calls, tokens=0))
    samples = Samples(bench)
    names = ("single_tools" if setup.tools else "single", "sc@calls")
    try:
        return {name: await method(name).attempt(bench, samples) for name in names}
    finally:
        await samples.close()
