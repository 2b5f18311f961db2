"""What one request holds of the budgets: reserved before the first token, settled once on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.request import Request
from symposia.core.served import LedgerDown

from . import budget
from .address import Addressed
from .budget import Ask, BudgetExceeded, Decision, Route
from .call import Headers
from .faults import refused
from .headers import budget_headers, pool_headers
from .ledger import LedgerUnreachable, Standing

if TYPE_CHECKING:
    from .server import Server


class Reservation:
    """Nothing is held before `hold`. `maximum` is the output asked for; the decision may say less."""

    def __init__(self, server: Server, request_id: str) -> None:
        self._server, self._request_id = server, request_id
        self._settled = False
        self.decision: Decision | None = None
        self.prompt_tokens = self.maximum = 0
        self._refused: tuple[Standing, ...] = ()

    async def hold(self, requests: tuple[Request, ...], found: Addressed, key: str) -> tuple[Request, ...]:
        """Reserve for all choices; the requests, shrunk to what is free where the policy wants that.

        Raises `Fault` 429, or `LedgerUnreachable`. The prompt is measured only where a pool counts tokens.
        """
        server, first = self._server, requests[0]
        policy, revision = server.view.policy, server.view.revision
        route = Route(model=found.model.name, profile=found.label, key=key)
        if budget.counts_tokens(policy, route):
            self.prompt_tokens = (await found.model.backend.render(first)).tokens
        self.maximum = first.sampling.max_tokens
        ask = Ask(prompt=self.prompt_tokens, n=len(requests), maximum=self.maximum)
        try:
            decision = await budget.hold(
                policy, server.ledger, route, ask=ask, ttl_s=server.lease_s, random=server.random
            )
        except BudgetExceeded as error:
            server.emit(budget.blocked(error, self._request_id, revision))
            self._refused = error.refusal.standings
            raise refused(error.refusal) from None
        except LedgerUnreachable as error:
            server.emit(LedgerDown(request_id=self._request_id, admitted=False, why=str(error)))
            raise
        self.decision = decision
        if decision.decision == "unheld":
            server.emit(LedgerDown(request_id=self._request_id, admitted=True, why=decision.why))
            return requests
        server.emit(budget.decided(decision, self._request_id, revision))
        for crossing in decision.crossings:
            server.emit(budget.warned(crossing))
        if decision.maximum < self.maximum:
            return tuple(_shrunk(request, decision.maximum) for request in requests)
        return requests

    def headers(self) -> Headers:
        """How the pools stand, held or refused."""
        if self._refused:
            return pool_headers(self._refused)
        return budget_headers(self.decision, self.maximum)

    async def settle(self, *, tokens: int, requests: int) -> None:
        """What was used, in place of what was held. A ledger out of reach lets the lease run out by itself."""
        decision, server = self.decision, self._server
        if decision is None or decision.lease is None or self._settled:
            return
        self._settled = True
        try:
            settlement = await server.ledger.settle(decision.lease, tokens=tokens, requests=requests)
        except LedgerUnreachable as error:
            server.emit(LedgerDown(request_id=self._request_id, admitted=True, why=f"not settled: {error}"))
            return
        if not settlement.again:
            server.emit(budget.settled(settlement, decision.lease))
            for crossing in settlement.crossings:
                server.emit(budget.warned(crossing))


def _shrunk(request: Request, maximum: int) -> Request:
    return replace(request, sampling=replace(request.sampling, max_tokens=maximum))
