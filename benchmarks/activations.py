"""`python benchmarks/activations.py [--quick]`: writing activations to disk, and memory while fitting on them.

Writing: generations of 3 layers x 128 tokens x 1024 in bfloat16, from 32 writers that each wait for their commit
(`turn`), or do not (`lazy`), and how long 8 writers wait; the physical limit is a plain file of the same bytes, synced
once. Fitting: scripted conversations of 8 turns, 128 tokens read and said in each, width 256, float32; a process of its
own fits at one layer, and tells how much its memory grew at most, mapped files included. At last the same through
`symposia:tiny`: conversations played by the engine, every token captured, a direction fitted from the folder, and no
forward run for it.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rows import Row, parser, progress, report, share

from symposia.core.capture import Capture
from symposia.core.positions import everything
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.options import Durability, StoreOptions
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import ActivationWriteFailed, Draft, Source
from symposia.interp.acts.store import ActivationStore
from symposia.interp.groups import Groups, fit_groups
from symposia.interp.taps import ModelShape
from symposia.interp.vector import Reading
from symposia.talk.scenario import Scenario

WRITERS, WAITING, LAYERS, TOKENS, WIDTH = 32, 8, 3, 128, 1024
TURNS, SAID, D = 8, 64, 256
MOST_SHARE, MOST_MS = 10.0, 100.0
SHAPE = ModelShape(
    name="scripted",
    digest="sha256:scripted",
    template="",
    tokenizer="",
    type="llama",
    layers=4,
    width=D,
    vocabulary=32_000,
    dtype="float32",
)
ALICE, BOB = ActivationQuery(author="alice"), ActivationQuery(author="bob")


def forward(conversation: str, turn: int, read: int, made: int) -> Source:
    """Alice reads bob and answers; turns come in twos."""
    spans = (
        Span(start=0, stop=read, role="user", phase="prompt", author="bob", turn=2 * turn),
        Span(
            start=read,
            stop=read + made,
            role="assistant",
            phase="answer",
            author="alice",
            turn=2 * turn + 1,
            generated=True,
        ),
    )
    return Source(
        about=About(run="bench", conversation=conversation, turn=2 * turn + 1),
        reader="alice",
        model=SHAPE.digest,
        request=f"{conversation} {turn}",
        token_ids=tuple(range(read + made)),
        spans=spans,
        steered=False,
        shape=SHAPE,
    )


@dataclass(frozen=True)
class Written:
    """Seconds in all, and milliseconds from handing over to the word that it is kept, generation by generation."""

    seconds: float
    waits: Sequence[float]


def written(folder: Path, generations: int, durability: Durability, *, writers: int = WRITERS) -> Written:
    """Threads that each wait for the word before the next one."""
    rows = torch.randn(TOKENS, WIDTH).bfloat16()
    waits: list[float] = []
    with ActivationStore.open(folder, write=True, options=StoreOptions(durability=durability)) as store:

        def write(number: int) -> None:
            told: queue.SimpleQueue[ActivationWriteFailed | None] = queue.SimpleQueue()
            for turn in range(generations // writers):
                drafts = [
                    Draft(rows=rows, site="resid_post", layer=layer, runs=((0, TOKENS),))
                    for layer in range(LAYERS)
                ]
                start = time.perf_counter()
                refs = store.put(forward(str(number), turn, TOKENS // 2, TOKENS // 2), drafts)
                store.when_kept(refs, told.put)
                assert told.get() is None
                waits.append(1e3 * (time.perf_counter() - start))

        start = time.perf_counter()
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.flush()
        return Written(time.perf_counter() - start, sorted(waits))


def plain_file(path: Path, size: int) -> float:
    """Seconds to write so many bytes, and to have them on the disk."""
    piece = os.urandom(1 << 20)
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(piece)
        os.fsync(file.fileno())
    return time.perf_counter() - start


def writing(folder: Path, generations: int) -> list[Row]:
    """Throughput beside the disk's, and how long a completion waits for its commit."""
    size = generations * LAYERS * TOKENS * WIDTH * 2
    floor = plain_file(folder / "plain", size)
    (folder / "plain").unlink()
    found = []
    for durability in ("turn", "lazy"):
        progress(f"writing {size >> 20} MiB, durability {durability}")
        got = written(folder / durability, generations, durability)
        shutil.rmtree(folder / durability)
        rate = f"{size / got.seconds / 1e6:,.0f} MB/s, {generations / got.seconds:,.0f} generations/s"
        found.append(share(f"write, {durability} ({rate})", got.seconds, floor, "s", None))
    progress(f"waiting, {WAITING} writers")
    waits = written(folder / "waits", generations // 4, "turn", writers=WAITING).waits
    late = waits[int(0.99 * len(waits))]
    what = f"wait for the commit, {WAITING} writers, 99 of 100"
    found.append(Row(what, "group commit", late, MOST_MS, "ms", late, "ms", MOST_MS, most=True))
    return found


def fill(folder: Path, conversations: int) -> int:
    """Scripted conversations; bytes of rows."""
    generator = torch.Generator().manual_seed(0)
    lean = torch.randn(D, generator=generator)
    with ActivationStore.open(folder, write=True, options=StoreOptions(durability="lazy")) as store:
        for number in range(conversations):
            for turn in range(TURNS):
                rows = torch.randn(2 * SAID, D, generator=generator)
                rows[SAID:] += 0.3 * lean
                draft = Draft(rows=rows, site="resid_post", layer=2, runs=((0, 2 * SAID),))
                store.put(forward(f"c{number}", turn, SAID, SAID), [draft])
    return conversations * TURNS * 2 * SAID * D * 4


def memory_mib(what: str) -> float:
    """What Linux says of this process, mapped files included: `VmRSS` now, `VmHWM` at most since `forget_most`."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{what}:")[1].split()[0]) / 1024


def forget_most() -> None:
    """Begin to watch the largest memory anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def fit_here(folder: Path) -> dict[str, float]:
    """In a process of its own: fit, and tell time and memory. A small fit comes before: libraries load themselves."""
    layer = Reading(where=everything(), layers=(2,))
    groups = Groups(ALICE, BOB)
    with tempfile.TemporaryDirectory() as small:
        fill(Path(small) / "small", 5)
        with ActivationStore.open(Path(small) / "small") as store:
            fit_groups(groups, store=store, read=layer)
    forget_most()
    before, start = memory_mib("VmRSS"), time.perf_counter()
    with ActivationStore.open(folder) as store:
        made = fit_groups(groups, store=store, read=layer)
    notes = made.vector.notes(2)
    return {
        "seconds": time.perf_counter() - start,
        "grown": memory_mib("VmHWM") - before,
        "samples": made.diagnosis.pairs,
        "auroc": notes.auroc or 0.0,
        "null": notes.null_auroc or 0.0,
    }


def fit_apart(folder: Path) -> dict[str, float]:
    """`fit_here`, in another process."""
    command = [sys.executable, __file__, "--fit", str(folder)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def auroc(told: dict[str, float]) -> str:
    """How well the held-out samples are told apart, and how well by chance."""
    return f"AUROC {told['auroc']:.2f} (chance {told['null']:.2f})"


def fitting(folder: Path, counts: Sequence[int]) -> list[Row]:
    """Memory of a fit against what is stored, for more and more conversations."""
    found = []
    for count in counts:
        progress(f"fitting on {count} conversations")
        stored = fill(folder / str(count), count) / 2**20
        told = fit_apart(folder / str(count))
        shutil.rmtree(folder / str(count))
        work = f"{count:,} conversations, {told['samples']:,.0f} samples a side, {told['seconds']:.1f} s"
        what = f"fit on {work}, {auroc(told)}"
        bar = MOST_SHARE if count == counts[-1] else None
        found.append(
            Row(
                what,
                "rows stored",
                told["grown"],
                stored,
                "MiB",
                100 * told["grown"] / stored,
                "%",
                bar,
                True,
            )
        )
    return found


def played(folder: Path, conversations: int) -> list[Row]:
    """Conversations on the bundled model, captured whole; then what a fit from the folder adds to the memory."""
    from symposia.facade import Conversation, engines_keeping, keeping

    progress(f"playing {conversations} conversations on symposia:tiny")
    sampling = Sampling(temperature=0.8, max_tokens=24)
    told = {
        "alice": "You are alice. You are warm and kind.",
        "bob": "You are bob. You are cold and unfriendly.",
    }
    people = tuple(
        Participant(name=name, profile=Profile(model="symposia:tiny", system=system, sampling=sampling))
        for name, system in told.items()
    )
    backend = keeping(folder / "played")
    start = time.perf_counter()
    for seed in range(conversations):
        talk = Conversation(scenario=Scenario(participants=people, seed=seed), backend=backend)
        with talk.capture(Capture(layers=(2, 4), where=everything())):
            talk.run(2, prompt="Do you like the sea?")
            talk.sample_all("And the mountains?")
    seconds = time.perf_counter() - start
    store = engines_keeping(folder / "played").store
    store.close()
    told_of = fit_apart(folder / "played")
    stored = sum(path.stat().st_size for path in (folder / "played" / "shards").iterdir()) / 2**20
    what = (
        f"symposia:tiny: {4 * conversations} generations captured in {seconds:.0f} s; fit, {auroc(told_of)}"
    )
    return [
        Row(
            what,
            "memory of rows stored",
            told_of["grown"],
            stored,
            "MiB",
            100 * told_of["grown"] / stored,
            "%",
        )
    ]


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    options = parser(__doc__, ("writing", "fitting", "played"))
    options.add_argument(
        "--fit", type=Path, help="fit on this folder, in this process, and tell time and memory"
    )
    chosen = options.parse_args()
    if chosen.fit:
        print(json.dumps(fit_here(chosen.fit)))
        return 0
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if "writing" in chosen.only:
            found += writing(folder, 320 if chosen.quick else 1280)
        if "fitting" in chosen.only:
            found += fitting(folder, (30, 100) if chosen.quick else (100, 300, 1000))
        if "played" in chosen.only:
            found += played(folder, 4 if chosen.quick else 24)
    return report(found, as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
