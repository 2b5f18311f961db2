"""Runs in openai-420's own environment: debates on a scripted endpoint, timed here, asked for over a pipe.

Every line of standard input is a JSON object: `debates`, `rounds`, `at_once`, and `url`, empty for an endpoint inside
this process. Every answer is one of CPU and wall seconds, and the process's largest memory. Imports nothing of
Symposia.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import httpx2
import openai
from openai_420 import orchestrators

sys.path.insert(0, str(Path(__file__).parent.parent))
from upstream import body


def answer(request: httpx2.Request) -> httpx2.Response:
    """The endpoint, in this process."""
    kind, raw = body(json.loads(request.content))
    return httpx2.Response(200, headers={"content-type": kind}, content=raw)


async def hold(debates: int, rounds: int, at_once: int, url: str) -> None:
    """All debates, so many at a time."""
    inside = None if url else httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = openai.AsyncOpenAI(
        api_key="none", base_url=url or "http://inside/v1", http_client=inside, max_retries=0
    )
    kind = orchestrators.get("parallel_consensus")
    questions = iter(range(debates))

    async def one_after_another() -> None:
        for number in questions:
            held = kind.from_args(
                client=client, model="m", gen_params={"temperature": 0.7}, group="A", max_rounds=rounds
            )
            assert await held.run(f"Question {number}: how long does the train take?")

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    await client.close()


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        cpu, wall = time.process_time(), time.perf_counter()
        asyncio.run(hold(**asked))
        took = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
