"""`python -m symposia.testing.faults --plan PLAN -- COMMAND`: run a command against an upstream that fails as told."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from symposia.core.errors import InvalidInput

from . import KINDS, PLANTED_KEY, FaultyUpstream, Reply, Storm

BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    """The command's exit code; 2 where the plan cannot be read, 128 + N where a signal ended it."""
    asked = _parser().parse_args(arguments)
    try:
        server = _server(asked)
        code = asyncio.run(_run(server, asked.command, os.environ))
        if asked.record:
            _record(server, Path(asked.record))
    except (InvalidInput, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    return code


def environment(server: FaultyUpstream, env: Mapping[str, str]) -> dict[str, str]:
    """The environment in which clients of both protocols find the server, whatever was set before."""
    theirs = {name: value for name, value in env.items() if name not in _OTHER_WAYS}
    return {
        **theirs,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": PLANTED_KEY,
        "ANTHROPIC_BASE_URL": server.root_url,
        "ANTHROPIC_API_KEY": PLANTED_KEY,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


_OTHER_WAYS = ("OPENAI_API_KEY_FILE", "ANTHROPIC_API_KEY_FILE", "ANTHROPIC_AUTH_TOKEN")


def _server(asked: argparse.Namespace) -> FaultyUpstream:
    replies = None
    if asked.replies:
        replies = [_reply(line) for line in Path(asked.replies).read_text().splitlines() if line.strip()]
    return FaultyUpstream(
        asked.plan,
        replies=replies,
        strict=asked.strict,
        storm=Storm(asked.rpm, asked.tpm, asked.window) if asked.rpm or asked.tpm else None,
        reasoning_field=asked.reasoning_field,
    )


async def _run(server: FaultyUpstream, command: Sequence[str], env: Mapping[str, str]) -> int:
    async with server:
        process = await asyncio.create_subprocess_exec(*command, env=environment(server, env))
        code = await process.wait()
    return code if code >= 0 else 128 - code


def _record(server: FaultyUpstream, path: Path) -> None:
    lines = (msgspec.json.encode([one.path, one.body]).decode() for one in server.received)
    path.write_text("".join(f"{line}\n" for line in lines))


def _reply(line: str) -> Reply | str:
    try:
        return msgspec.json.decode(line, type=Reply | str)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"--replies: {line[:60]!r}: expected a JSON text or a reply: {error}") from error


def _parser() -> argparse.ArgumentParser:
    steps = "\n".join(f"  {name:20} {what}" for name, what in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m symposia.testing.faults",
        description=__doc__,
        epilog=f"steps of a plan, separated by commas; NAME*3 is three of them; the last is repeated:\n{steps}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", default="200", help="what each request gets, in order; default: 200")
    parser.add_argument(
        "--replies", metavar="FILE", help="what is said: a JSON text or reply a line, in order"
    )
    parser.add_argument("--strict", action="store_true", help="400 to tool calls without results")
    parser.add_argument("--rpm", type=int, help="enforce requests a window, with 429")
    parser.add_argument("--tpm", type=int, help="enforce tokens a window, with 429")
    parser.add_argument("--window", type=float, default=60.0, metavar="SECONDS", help="default: 60")
    parser.add_argument("--reasoning-field", default="reasoning", choices=("reasoning", "reasoning_content"))
    parser.add_argument(
        "--record", metavar="FILE", help="write every request's path and body, a JSON line each"
    )
    parser.add_argument("command", nargs="+", help="after --: the command and its arguments")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
