"""What a command may know of the outside: environment, clock, two terminals. Built once, here, and passed down."""

from __future__ import annotations

import os
import re
import sys
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from symposia.core.clock import Clock, SystemClock
from symposia.core.errors import SymposiaError
from symposia.core.redact import Redactor

from .exits import DONE, exit_code, told
from .terminal import Terminal

_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD", re.IGNORECASE)


@dataclass(frozen=True)
class World:
    """`out` carries results only; `err` everything else."""

    env: Mapping[str, str]
    clock: Clock
    out: Terminal
    err: Terminal
    redactor: Redactor

    def fail(self, error: BaseException, *, generated: bool = False) -> int:
        """Say what went wrong, without secrets; the exit code it has. A bug is raised again."""
        if isinstance(error, BrokenPipeError):
            return exit_code(error, generated=True)
        self.err.always(f"error: {self.redactor.text(told(error))}", "bold red")
        return exit_code(error, generated=generated)


def this_world(*, quiet: bool = False) -> World:
    """The process's own."""
    env = dict(os.environ)
    return World(
        env=env,
        clock=SystemClock(),
        out=Terminal(sys.stdout, env),
        err=Terminal(sys.stderr, env, quiet=quiet),
        redactor=Redactor({name: value for name, value in env.items() if _SECRET.search(name)}),
    )


def guarded(world: World, work: Callable[[], int | None]) -> int:
    """Do a command's work; a deliberate error or an interruption becomes its exit code, a bug stays one."""
    try:
        return work() or DONE
    except CancelledError:  # how asyncio tells of an interruption that comes before its task has begun
        return world.fail(KeyboardInterrupt())
    except (SymposiaError, OSError, ModuleNotFoundError, KeyboardInterrupt) as error:
        return world.fail(error)
