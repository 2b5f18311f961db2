"""The journal's file: whole lines only, one writer, found again by request and draw."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import Journal, JournalCut, JournalLocked
from symposia.backends.journal import FILE, Generation, read_journal
from symposia.core.errors import InvalidInput, NotKept, UnsupportedFormat
from symposia.core.request import About
from symposia.core.value import content_digest
from tests.company import completion

ROOT = Path(__file__).parents[2]


def generation(text: str, draw: int = 0, *, named: str = "") -> Generation:
    return Generation(
        request=content_digest((named or text).encode()),
        draw=draw,
        about=About(conversation="c", turn=3, speaker="ann"),
        at=1_750_000_000.25,
        took_s=0.5,
        completion=completion(text),
    )


async def kept(folder: Path, *generations: Generation) -> None:
    with Journal.open(folder) as journal:
        for one in generations:
            await journal.add(one)


@given(texts=st.lists(st.text(), max_size=8))
async def test_what_is_added_is_found_in_this_process_and_the_next(
    texts: list[str], tmp_path_factory
) -> None:
    """Every field of every generation, whatever the text, by request and draw; in the order they were kept."""
    folder = tmp_path_factory.mktemp("run")
    rows = [generation(text, draw, named="same") for draw, text in enumerate(texts)]
    with Journal.open(folder) as journal:
        for row in rows:
            await journal.add(row)
            assert await journal.find(row.request, row.draw) == row
    with Journal.open(folder) as journal:
        assert len(journal) == len(rows)
        assert [await journal.find(row.request, row.draw) for row in rows] == rows
        assert await journal.find(generation("", named="same").request, len(rows)) is None
    assert list(read_journal(folder)) == rows


@pytest.mark.slow
async def test_a_line_torn_at_any_byte_is_cut_and_told(tmp_path: Path) -> None:
    """Cut anywhere, header included: whole lines stay, the torn one goes with a warning, and writing goes on."""
    rows = [generation("one"), generation("two"), generation("three\nlines \u2028 of it")]
    await kept(tmp_path / "whole", *rows)
    raw = (tmp_path / "whole" / FILE).read_bytes()
    ends = [i + 1 for i, byte in enumerate(raw) if byte == ord("\n")]
    assert len(ends) == 4
    for size in range(len(raw) + 1):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / FILE).write_bytes(raw[:size])
        whole = sum(end <= size for end in ends)
        torn = size - max([0, *(end for end in ends if end <= size)])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with Journal.open(folder) as journal:
                assert (journal.cut, len(journal)) == (torn, max(whole - 1, 0))
                await journal.add(generation("after"))
        assert [w.category for w in told] == [JournalCut] * bool(torn)
        assert list(read_journal(folder)) == [*rows[: max(whole - 1, 0)], generation("after")]


async def test_a_reader_needs_no_lock_and_sees_no_torn_line(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        await journal.add(generation("one"))
        with (tmp_path / FILE).open("ab") as file:
            file.write(b'{"request": "sha')
        assert list(read_journal(tmp_path)) == [generation("one")]


def test_one_process_writes(tmp_path: Path) -> None:
    """A second writer is refused, in this process and in another; the next one is not."""
    open_it = f"from symposia.backends import Journal; Journal.open({str(tmp_path)!r})"
    with Journal.open(tmp_path):
        with pytest.raises(JournalLocked, match="one writer"):
            Journal.open(tmp_path)
        ran = subprocess.run(
            [sys.executable, "-c", open_it],
            env={"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "JournalLocked" in ran.stderr
    Journal.open(tmp_path).close()


@pytest.mark.parametrize("line", [b"no JSON\n", b"{}\n", b'{"request":"sha256:xyz"}\n', b"[1]\n", b"\n"])
async def test_a_line_that_is_not_ours_is_named(tmp_path: Path, line: bytes) -> None:
    await kept(tmp_path, generation("one"))
    with (tmp_path / FILE).open("ab") as file:
        file.write(line)
    with pytest.raises(InvalidInput, match=f"{FILE}:3"):
        Journal.open(tmp_path)


async def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"format":"symposia.transcript","version":1}\n')
    with pytest.raises(UnsupportedFormat, match=r"expected symposia\.journal"):
        Journal.open(tmp_path)
    (tmp_path / FILE).write_bytes(b'{"format":"symposia.journal","version":2}\n')
    with pytest.raises(UnsupportedFormat, match="newer symposia"):
        list(read_journal(tmp_path))


def test_a_folder_without_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected a run folder"):
        list(read_journal(tmp_path))


@contextmanager
def no_file_larger_than(size: int):
    """As on a full disk: writes beyond fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_said_and_what_was_kept_is_whole(tmp_path: Path) -> None:
    """Whoever waits hears it, everything after is refused, the file ends with a whole line, and can be taken up."""
    with Journal.open(tmp_path) as journal:
        await journal.add(generation("one"))
        with no_file_larger_than((tmp_path / FILE).stat().st_size + 500):
            lost = generation("long " * 400)
            with pytest.raises(NotKept, match="make room"):
                await journal.add(lost)
            with pytest.raises(NotKept, match="make room"):
                await journal.find(lost.request)
        with pytest.raises(NotKept, match="make room"):
            await journal.add(generation("two"))
        assert await journal.find(generation("one").request) == generation("one")
    assert list(read_journal(tmp_path)) == [generation("one")]
    await kept(tmp_path, generation("two"))
    assert list(read_journal(tmp_path)) == [generation("one"), generation("two")]


async def test_many_at_once_are_all_kept_with_few_syncs(tmp_path: Path) -> None:
    """A hundred at once share syncs; each returns only when its own line is in the file."""

    async def add(number: int) -> bool:
        row = generation(f"number {number}")
        await journal.add(row)
        return row in list(read_journal(tmp_path))

    with Journal.open(tmp_path) as journal:
        assert all(await asyncio.gather(*(add(number) for number in range(100))))
    assert len(list(read_journal(tmp_path))) == 100


async def test_an_unkept_journal_leaves_nothing_behind() -> None:
    with Journal.unkept() as journal:
        await journal.add(generation("one"))
        assert await journal.find(generation("one").request) == generation("one")
    assert await journal.find(generation("one").request) is None
    with pytest.raises(NotKept, match="closed"):
        await journal.add(generation("two"))
