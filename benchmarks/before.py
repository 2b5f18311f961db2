"""`python benchmarks/before.py CHECKOUT [--quick] [--only ARM ...]`: what a call cost in another checkout, and here.

The arms of `debate.py` that cost CPU a call, in both trees in turns, each time in a process of its own; the least of
the repeats counts. On a shared machine that says more than two runs of `debate.py` on two days.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from debate import AT_ONCE, HERE, ms, upstream
from rows import Row, parser, progress, report

ARMS = {
    "plain": "CPU a call of a conversation, no SDK",
    "talked": "CPU a call of a conversation, openai SDK, transport in the process",
    "scripted": "CPU a call of a debate, no SDK, journal on",
    "sdk": "CPU a call of a debate, openai SDK, server on loopback, journal on",
}


def measured(tree: Path, arm: str, debates: int, url: str) -> float:
    """CPU milliseconds a call of one run of an arm."""
    share = 4 if arm in ("talked", "sdk") else 1
    order = {"arm": arm, "debates": debates // share, "rounds": 1, "at_once": AT_ONCE, "url": url}
    ran = subprocess.run(
        [sys.executable, str(tree / "benchmarks" / "debating.py")],
        input=json.dumps(order | {"journal": arm in ("scripted", "sdk")}) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ms(json.loads(ran.stdout))


def rows(before: Path, only: list[str], repeats: int, debates: int) -> Iterator[Row]:
    """A row an arm."""
    with upstream() as address:
        for arm in only:
            progress(f"{arm} ...")
            url = address if arm == "sdk" else ""
            pairs = [
                [measured(tree, arm, debates, url) for tree in (before, HERE.parent)] for _ in range(repeats)
            ]
            then, now = (min(times) for times in zip(*pairs, strict=True))
            yield Row(ARMS[arm], "before", now, then, "ms", then / now)


def main() -> int:
    """Measure and print."""
    options = parser(__doc__, tuple(ARMS))
    options.add_argument("before", type=Path, metavar="CHECKOUT")
    asked = options.parse_args()
    repeats = asked.repeats or (2 if asked.quick else 5)
    found = list(rows(asked.before, asked.only, repeats, 200 if asked.quick else 1000))
    return report(found, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
