"""`python relay.py PORT UPSTREAM`: the least a gateway in Python can do. aiohttp, bytes in, bytes out, unread."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web


def application(upstream: str) -> web.Application:
    """Relays chat completions."""
    made = web.Application()

    async def session(app: web.Application) -> AsyncIterator[None]:
        del app
        async with ClientSession(connector=TCPConnector(limit=0)) as client:
            made["client"] = client
            yield

    async def relay(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {"content-type": "application/json"}
        url = f"{upstream}/chat/completions"
        async with made["client"].post(url, data=raw, headers=headers) as answer:
            kind = answer.headers["content-type"]
            if not kind.startswith("text/event-stream"):
                return web.Response(body=await answer.read(), headers={"content-type": kind})
            reply = web.StreamResponse(headers={"content-type": kind})
            await reply.prepare(request)
            async for piece in answer.content.iter_any():
                await reply.write(piece)
            await reply.write_eof()
            return reply

    made.cleanup_ctx.append(session)
    made.router.add_post("/v1/chat/completions", relay)
    return made


async def main(port: int, upstream: str) -> None:
    """Serve until killed."""
    runner = web.AppRunner(application(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
