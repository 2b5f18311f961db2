"""200 tasks against a limit of 10,000 tokens: never above it, an exact Retry-After, and a switch to warn only."""

import asyncio
from collections import Counter

from openai import APIStatusError, AsyncOpenAI

from symposia.testing import served

LIMIT = 10_000
POLICY = {"default": {"max_tokens": LIMIT, "window_s": 30, "soft_fraction": 0.8}}
MESSAGES = [{"role": "user", "content": "What do you think of the rain?"}]


async def main(url: str) -> None:
    """Spend it all, and see what is said."""
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    admin = AsyncOpenAI(base_url=f"{url}/admin/v1", api_key="any", max_retries=0)
    told = {"headers": {"if-match": '"0"'}, "params": {"reason": "the example"}}
    await admin.put("/budget", cast_to=object, body=POLICY, options=told)
    most = 0

    async def task(number: int, tokens: int = 60) -> tuple[str, int]:
        ask = {"messages": MESSAGES, "max_tokens": tokens, "seed": number}
        try:
            await client.chat.completions.create(model="tiny", **ask)
        except APIStatusError as error:
            return f"{error.status_code} {error.code}", int(error.response.headers["retry-after-ms"])
        return "200", 0

    async def taken() -> int:
        pools = (await admin.get("/budget/usage", cast_to=object))["pools"]
        return sum(pool["used"] + pool["reserved"] for pool in pools)

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, await taken())
            await asyncio.sleep(0.05)

    watching = asyncio.ensure_future(watch())
    done = Counter(said for said, _ in await asyncio.gather(*map(task, range(200))))
    watching.cancel()
    print(f"200 tasks: {dict(done)}; most used and reserved at any time: {most} of {LIMIT}")
    rest = LIMIT - await taken()
    print(f"one that asks for {rest} more:", (await task(200, rest))[0])
    await admin.post("/budget/hard-limits", cast_to=object, body={"enabled": False, "reason": "unblock"})
    print("warn only, the same one:", (await task(200, rest))[0])
    await admin.post("/budget/hard-limits", cast_to=object, body={"enabled": True, "reason": "over"})
    rest = LIMIT - await taken()
    said, wait_ms = await task(201, rest)
    print(f"hard again, {rest} more: {said}, retry-after-ms {wait_ms}")
    await asyncio.sleep(wait_ms / 1000 - 0.5)
    print("half a second before:", (await task(201, rest))[0])
    await asyncio.sleep(0.5)
    print("then:", (await task(201, rest))[0])


with served("--insecure-dev") as url:  # symposia serve --insecure-dev
    asyncio.run(main(url))
