"""A process that writes activations and is killed: `python activations_writer.py`, orders on stdin, reports on stdout.

An order is `FOLDER SEED KILL_AFTER`. A fork writes generations as fast as it can and reports each that was delivered;
this process reads along, and kills it in the middle of whatever it does after KILL_AFTER reports and up to 30 ms.
Odd seeds write to a slow disk, so that most of their time lies between the bytes and the index: the moment a kill must
find. Then it reports every delivery it read, and `killed`.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
import warnings
from pathlib import Path

import torch

from symposia.core.request import About
from symposia.interp.acts.options import StoreOptions
from symposia.interp.acts.store import ActivationStore
from tests.interp.acts import draft, source

OPTIONS = StoreOptions(shard_bytes=1 << 16, shard_tensors=25)


def rows_of(seed: int, turn: int, layer: int) -> torch.Tensor:
    """What a generation left at a layer; the parent makes the same again."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + turn * 7 + layer)
    return torch.randn(3, 1 + (turn * 37 + layer) % 500, generator=generator)


def slow_disk() -> None:
    """Every sync of this process takes 5 ms more."""
    sync = os.fsync

    def slow(file: int) -> None:
        sync(file)
        time.sleep(0.005)

    os.fsync = slow


def write(folder: Path, seed: int, out: int) -> None:
    """Until killed."""
    warnings.simplefilter("ignore")
    if seed % 2:
        slow_disk()
    store = ActivationStore.open(folder, write=True, options=OPTIONS)
    turn = 0
    while True:
        about = About(conversation=str(seed), turn=turn)
        drafts = [draft(rows_of(seed, turn, layer), layer) for layer in range(1 + turn % 3)]
        refs = store.put(source(about=about, texts=tuple("abcde")), drafts)
        said = "".join(f"{seed} {turn} {ref.layer} {ref.record} {ref.digest}\n" for ref in refs).encode()
        store.when_kept(refs, lambda lost, said=said: os.write(out, b"lost\n" if lost else said))
        turn += 1


def main() -> None:
    for order in sys.stdin:
        folder, seed, after = order.split()
        read, out = os.pipe()
        child = os.fork()
        if not child:
            write(Path(folder), int(seed), out)
        os.close(out)
        got = b""
        while got.count(b"\n") < int(after) and (piece := os.read(read, 4096)):
            got += piece
        time.sleep(random.Random(int(seed)).uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while select.select([read], [], [], 0)[0] and (piece := os.read(read, 4096)):
            got += piece
        os.close(read)
        sys.stdout.write(got[: got.rfind(b"\n") + 1].decode() + "killed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
