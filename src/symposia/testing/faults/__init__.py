"""An upstream that fails as told: a server on loopback speaking chat completions and Anthropic messages.

In a test::

    async with FaultyUpstream("429:retry-after-ms=5,500,200") as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key=PLANTED_KEY)

A model called `fault-NAME` is always answered in that way of `MATRIX`, whatever the plan. As a server of its own:
`python -m symposia.testing.faults --serve 9101`.

Around a command: `python -m symposia.testing.faults --plan eof -- symposia run FILE`. The command finds the server by
the variables the official clients read, and ours: `OPENAI_BASE_URL` (ends in /v1), `OPENAI_API_KEY`,
`ANTHROPIC_BASE_URL` (without /v1), `ANTHROPIC_API_KEY`. Both keys are `PLANTED_KEY`, so that a test can look for it.
"""

from .matrix import MATRIX, UPSTREAM_SECRET, Row
from .plan import KINDS, Step, parse_plan
from .reply import SENTENCE, Call, Received, Reply, Script, Used
from .server import FaultyUpstream
from .storm import Storm

PLANTED_KEY = "planted/key+0123456789abcdef=="
"""A key of no known shape, with characters that URLs and JSON escape: only knowing it finds it."""

__all__ = [
    "FaultyUpstream",
    "Storm",
    "Step",
    "parse_plan",
    "KINDS",
    "Reply",
    "Call",
    "Used",
    "Received",
    "Script",
    "SENTENCE",
    "PLANTED_KEY",
    "UPSTREAM_SECRET",
    "MATRIX",
    "Row",
]
