"""The trace writer: a line a request in the day's file, never a secret, and never in the way of serving."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.core.redact import Redactor
from symposia.core.served import TracingStopped
from symposia.core.trace import Flags, Piece, Said, Trace, redacted
from symposia.core.value import decode
from symposia.serve.traces import Traces, line
from tests.occurrences import any_of
from tests.traced import DAY, traced

SECRET = "https://up.example/v1?key=hush-hush-42"
PLAIN = Redactor({"UPSTREAM": SECRET})


def written(folder: Path, *traces: Trace, **options: Any) -> tuple[Traces, list[Any]]:
    told: list[Any] = []
    kept = Traces(folder, PLAIN, told.append, **options)
    for trace in traces:
        kept(trace)
    kept.close()
    return kept, told


def lines(path: Path) -> list[Trace]:
    return [decode(raw, Trace) for raw in path.read_bytes().splitlines()]


def test_a_request_is_a_line_of_its_day(tmp_path: Path) -> None:
    """By UTC, in the order they came, as they were; a server started again goes on in the same file."""
    first = [traced(request_id=f"req_{i}", time=DAY + i) for i in range(3)]
    late = traced(request_id="req_9", time=DAY + 86_400)
    kept, told = written(tmp_path, *first, late)
    assert kept.untraced == 0
    kept(late)  # it is closed
    assert lines(tmp_path / "2026-09-22.jsonl") == first
    assert lines(tmp_path / "2026-09-23.jsonl") == [late]
    assert (kept.untraced, told) == (1, [])
    written(tmp_path, late)
    assert lines(tmp_path / "2026-09-23.jsonl") == [late, late]
    assert (tmp_path / "2026-09-22.jsonl").stat().st_mode & 0o077 == 0


@given(trace=any_of(Trace, st.sampled_from([SECRET, f"a\n{SECRET}", "\nsk-" + "a1" * 12, "plain"])))
def test_no_field_of_a_line_shows_a_secret(tmp_path_factory: Any, trace: Trace) -> None:
    """Whatever words a trace holds: what is written has neither a known secret nor what looks like a key."""
    folder = tmp_path_factory.mktemp("traces")
    day = replace(trace, time=DAY)
    kept, _ = written(folder, day)
    assert kept.untraced == 0
    raw = (folder / "2026-09-22.jsonl").read_text()
    assert "hush" not in raw
    assert "a1" * 12 not in raw
    marks = raw.count("[redacted:")
    assert json.loads(raw)["redactions"] == marks


def test_a_full_disk_stops_tracing_once(tmp_path: Path) -> None:
    """One event, then silence: every request after it is counted, none waits, none fails."""
    (tmp_path / "2026-09-22.jsonl").symlink_to("/dev/full")
    kept, told = written(tmp_path, *(traced() for _ in range(5)))
    assert told == [TracingStopped(why=os.strerror(28))]
    assert kept.untraced == 5


FILLING = """
import resource, sys
from pathlib import Path
from symposia.core.redact import Redactor
from symposia.serve.traces import Traces, line
from tests.traced import traced
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
told = []
kept = Traces(Path(sys.argv[1]), Redactor({}), told.append)
for i in range(100):
    kept(traced(said="x" * 500, request_id=f"req_{i}"))
kept.close()
print(len(told), kept.untraced)
"""


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    """What the disk took half of is cut off again: every line of the file can be read."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
    )
    events, left = map(int, done.stdout.split())
    kept = lines(tmp_path / "2026-09-22.jsonl")
    assert events == 1
    assert 0 < len(kept) == 100 - left
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000


def test_a_line_cut_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    """It is ended when the file is opened again, and stands alone as what cannot be read."""
    path = tmp_path / "2026-09-22.jsonl"
    whole = msgspec.json.encode(traced())
    path.write_bytes(whole + b"\n" + whole[:40])
    written(tmp_path, traced(request_id="req_2"))
    first, broken, last = path.read_bytes().splitlines()
    assert (decode(first, Trace), broken) == (traced(), whole[:40])
    assert decode(last, Trace).request_id == "req_2"


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """While nothing can be written, requests go on; traces beyond the bound are counted, not kept."""
    let = threading.Event()

    class Held(Redactor):
        """What every trace goes through before it is written."""

        def json(self, raw: bytes) -> bytes:
            let.wait()
            return super().json(raw)

    kept = Traces(tmp_path, Held({}), lambda event: None, waiting=10_000)
    for _ in range(50):
        kept(traced(said="x" * 2_000))
    assert 50 > kept.untraced >= 40
    let.set()
    kept.close()
    assert len((tmp_path / "2026-09-22.jsonl").read_bytes().splitlines()) == 50 - kept.untraced


def test_a_folder_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    """Not at the first request."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Traces(tmp_path / "file" / "traces", PLAIN, lambda event: None)


def test_a_trace_is_kept_from_any_thread(tmp_path: Path) -> None:
    """Nothing is lost or mixed."""
    kept = Traces(tmp_path, PLAIN, lambda event: None)

    def some(name: str) -> Callable[[], None]:
        return lambda: [
            kept(traced(request_id=f"{name}{i}", flags=Flags(slow=True), messages=(Said(role="user"),)))
            for i in range(50)
        ]

    threads = [threading.Thread(target=some(name)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.close()
    found = [trace.request_id for trace in lines(tmp_path / "2026-09-22.jsonl")]
    assert sorted(found) == sorted(f"{name}{i}" for name in "abcd" for i in range(50))


@given(st.lists(st.text(max_size=6), max_size=6), st.integers(1, 5))
def test_what_is_written_is_the_redacted_trace(words: list[str], size: int) -> None:
    """The short way gives what the long one gives: secrets said in pieces, and none at all."""
    text = " ".join([*words, SECRET if len(words) % 2 else "no secret"])
    pieces = tuple(Piece(float(i), text[i : i + size]) for i in range(0, len(text), size))
    one = traced(generations=tuple(replace(g, pieces=pieces) for g in traced().generations))
    assert decode(line(one, PLAIN), Trace) == redacted(one, PLAIN)
