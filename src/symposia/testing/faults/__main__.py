"""`python -m symposia.testing.faults --plan PLAN -- COMMAND`: run a command against an upstream that fails as told.

`--serve PORT` in place of a command: stand there until interrupted. A model called fault-NAME is always answered in
that way, any other by the plan; GET /faults tells what was asked, DELETE /faults forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from symposia.core.errors import InvalidInput

from . import KINDS, MATRIX, PLANTED_KEY, FaultyUpstream, Reply, Storm
from .matrix import PREFIX

BAD_INPUT = 2
MOST_KEPT = 1_000
"""Requests a standing server remembers."""


def main(arguments: Sequence[str]) -> int:
    """The command's exit code; 2: the plan cannot be read or the port is taken; 128 + N: a signal ended it."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if bool(asked.command) == (asked.serve is not None):
        parser.error("expected a command after --, or --serve PORT")
    try:
        server = _server(asked)
        if asked.serve is None:
            code = asyncio.run(_run(server, asked.command, os.environ))
        else:
            code = asyncio.run(_stand(server, asked.serve))
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


_FAULTS = tuple(PREFIX + row.name for row in MATRIX)
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
        models=("gpt-x", "claude-x") if asked.serve is None else ("gpt-x", "claude-x", *_FAULTS),
    )


async def _stand(server: FaultyUpstream, port: int) -> int:
    """Answer until SIGINT or SIGTERM."""
    server.keeps = MOST_KEPT
    await server.listen(port)
    asked_to_end = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, asked_to_end.set)
    sys.stdout.write(f"{server.base_url} answers; models: gpt-x, claude-x, {', '.join(_FAULTS)}\n")
    sys.stdout.flush()
    await asked_to_end.wait()
    await server.aclose()
    return 0


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
    faults = "\n".join(f"  {PREFIX + row.name:20} {row.does}" for row in MATRIX)
    steps = "\n".join(f"  {name:20} {what}" for name, what in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m symposia.testing.faults",
        description=__doc__,
        epilog=f"steps of a plan, separated by commas; NAME*3 is three of them; the last is repeated:\n{steps}\n\n"
        f"models that fail, whatever the plan; {PREFIX}STEP takes any step above:\n{faults}",
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
    parser.add_argument(
        "--serve", type=int, metavar="PORT", help="no command: a server of its own; 0: a free port"
    )
    parser.add_argument("command", nargs="*", help="after --: the command and its arguments")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
