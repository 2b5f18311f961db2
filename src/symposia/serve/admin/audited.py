"""Who changed what, and why."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

from .forms import AuditQuery
from .operation import Ask, Reply
from .shown import AuditPage

if TYPE_CHECKING:
    from symposia.serve.server import Server


async def audit(server: Server, ask: Ask[None, AuditQuery]) -> Reply:
    """Acts after a number, in order."""
    query = ask.query
    return Reply(AuditPage(rows=await to_thread(server.storage.audit, query.since, query.limit)))
