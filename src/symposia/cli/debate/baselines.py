"""The plainer methods beside a debate: asked once, and asked as often as the debate asked."""

from __future__ import annotations

from msgspec.structs import replace

from symposia.core.profile import Profile
from symposia.core.request import Backend
from symposia.evals.methods.method import Bench, Budget, Setup
from symposia.evals.methods.registry import method
from symposia.evals.methods.samples import Samples
from symposia.evals.tasks.item import Question
from symposia.talk.debate.hold import Held
from symposia.talk.debate.ledger import exact_cost, totals
from symposia.talk.rules import Kit

from .report import BaselineReport


async def baselines(held: Held, question: str, backend: Backend, kit: Kit) -> tuple[BaselineReport, ...]:
    """What the first seat's model answers alone, without a standard: once, and by the vote of equal calls."""
    bench = _bench(held, question, backend, kit)
    spent = totals(held.answer.ledger)
    tokens = spent.prompt_tokens - spent.cached_tokens + spent.completion_tokens
    bench = bench.with_budget(Budget(calls=spent.calls, tokens=tokens))
    samples = Samples(bench)
    try:
        names = ("single_tools" if held.debate.tools else "single", "sc@calls")
        return tuple([await _tried(name, bench, samples, held) for name in names])
    finally:
        await samples.close()


def _bench(held: Held, question: str, backend: Backend, kit: Kit) -> Bench:
    debate = held.debate
    profile = debate.profile_of(debate.team.names[0])
    plain = Profile(model=profile.model, sampling=profile.sampling)
    setup = Setup(
        profile=plain,
        prompts=debate.prompts,
        seed=debate.seed,
        tools=profile.tools,
        tool_budget=debate.tool_budget,
    )
    item = Question(id="1", question=question, kind=debate.kind)
    return Bench(setup=setup, item=item, backend=backend, kit=kit)


async def _tried(name: str, bench: Bench, samples: Samples, held: Held) -> BaselineReport:
    tried = (await method(name).attempt(bench, samples)).tried
    used = tried.usage
    price = held.debate.budget.prices.get(bench.setup.profile.model)
    return BaselineReport(
        method=name,
        model=bench.setup.profile.model,
        answer=tried.answer,
        calls=used.calls,
        tokens=used.input_tokens + used.output_tokens,
        cost=exact_cost(replace(used, cost_usd=None if tried.unpriced else used.cost_usd), price),
        cause=tried.cause or None,
    )
