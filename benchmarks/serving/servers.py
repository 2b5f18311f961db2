"""The servers that are compared: how each is started, and what it is asked with. Each has a core to itself."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCES = ROOT / "src"
PEER = Path(sys.prefix) / "litellm" / "bin" / "litellm"
UPSTREAM_KEY = "sk-upstream-" + "0" * 24
_START_S = 120.0
BUDGET = """default = {max_tokens = 1_000_000_000_000, max_requests = 1_000_000_000, window_s = 3600}
ceilings = [{name = "per key", kind = "rate", per = ["key"], max_requests = 1_000_000_000, window_s = 60}]
"""
MODELS = ("tiny", "paced", "hang")


@dataclass(frozen=True)
class Made:
    """How a server is started, and the key its callers have."""

    command: list[str]
    key: str = "none"
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Running:
    """A server that listens; `start_s` is how long that took."""

    pid: int
    port: int
    key: str
    start_s: float


def ours(port: int, upstream: str, folder: Path) -> Made:
    """The full path: keys, budgets, events to SQLite, metrics, the log."""
    from symposia.core.clock import SystemClock
    from symposia.store.keyfile import KeyFile
    from symposia.store.keys import Grant

    keys, budget = folder / "keys.jsonl", folder / "budget.toml"
    _, secret = KeyFile(keys, SystemClock()).create(
        Grant(name="bench", scopes=("inference", "metrics")), actor="benchmark"
    )
    budget.write_text(BUDGET)
    command = [
        sys.executable,
        "-m",
        "symposia.cli",
        "serve",
        "--upstream",
        upstream,
        "--only",
        ",".join(MODELS),
    ]
    command += ["--port", str(port), "--store", str(folder / "events.db"), "--keys-file", str(keys)]
    command += ["--budget", str(budget), "--max-in-flight", "4000"]
    environment = (("PYTHONPATH", str(SOURCES)), ("INFERENCE_API_KEY", UPSTREAM_KEY))
    return Made(command, secret.reveal(), environment)


def plain(port: int, upstream: str, folder: Path) -> Made:
    """The least there can be."""
    del folder
    return Made([sys.executable, str(HERE / "relay.py"), str(port), upstream])


def litellm(port: int, upstream: str, folder: Path) -> Made:
    """LiteLLM's proxy: one worker, no database, no budgets, no log; its one key, without which it does not start."""
    config = folder / "litellm.yaml"
    where = {"api_base": upstream, "api_key": UPSTREAM_KEY}
    listed = [{"model_name": m, "litellm_params": {"model": f"openai/{m}", **where}} for m in MODELS]
    config.write_text(json.dumps({"model_list": listed}))  # JSON is YAML
    command = [str(PEER), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    command += ["--num_workers", "1", "--telemetry", "False"]
    key = f"sk-{secrets.token_hex(32)}"
    environment = (
        ("LITELLM_MASTER_KEY", key),
        ("LITELLM_LOG", "ERROR"),
        ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
    )
    return Made(command, key, environment)


Arm = Callable[[int, str, Path], Made]
ARMS: dict[str, Arm] = {"symposia": ours, "relay": plain, "litellm": litellm}


def free_port() -> int:
    """One nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def pinned(core: int) -> Callable[[], None]:
    """For a child before it begins: its core, where the machine has two."""
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core % len(cores)]})


@contextmanager
def listening(
    command: list[str], port: int, *, core: int, told: Path, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that accepts connections at its port; killed, and all it started, on leaving."""
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")} | more
    with told.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=told.parent,
            preexec_fn=pinned(core),  # noqa: PLW1509  no threads here
            start_new_session=True,
        )
        try:
            _wait(process, port, told)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, told: Path) -> None:
    until = time.perf_counter() + _START_S
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}:\n{told.read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise RuntimeError(f"{process.args} does not listen after {_START_S} s:\n{told.read_text()[-2000:]}")


@contextmanager
def running(arm: str, upstream: str, folder: Path) -> Iterator[Running]:
    """A server of this kind, on the first core."""
    port = free_port()
    made = ARMS[arm](port, upstream, folder)
    began = time.perf_counter()
    told = folder / f"{arm}.log"
    with listening(made.command, port, core=0, told=told, **dict(made.environment)) as process:
        yield Running(process.pid, port, made.key, time.perf_counter() - began)


def version(python: Path) -> str:
    """LiteLLM's."""
    asked = "import importlib.metadata as m; print(m.version('litellm'))"
    return subprocess.run(
        [str(python), "-c", asked], capture_output=True, text=True, check=True
    ).stdout.strip()


def dumps(value: object) -> str:
    """A line of the raw results."""
    return json.dumps(value, separators=(",", ":"))
