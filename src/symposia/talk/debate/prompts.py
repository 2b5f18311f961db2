"""The words a debate is held in: text files shipped with the package, in a full and a short size.

They are part of every request, so whatever changes in them changes a run's requests; their digest names them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from symposia.core.errors import UnknownName
from symposia.core.value import canonical, content_digest

from .values import Size

SIZES: tuple[Size, ...] = ("full", "short")


@cache
def prompt(size: Size, name: str) -> str:
    """The text of that name, without the line end of its file."""
    folder = files("symposia.talk.debate").joinpath("prompts", size)
    return folder.joinpath(*PurePosixPath(f"{name}.txt").parts).read_text(encoding="utf-8").strip()


@cache
def roster(size: Size) -> dict[str, str]:
    """Every disposition and the one line teammates read of it, in the order of the file."""
    rows = (line.partition(": ") for line in prompt(size, "roster").splitlines() if line.strip())
    return {name: standard for name, _, standard in rows}


def disposition(size: Size, name: str) -> str:
    """The private framing of a seat; `UnknownName` lists what there is."""
    if name not in roster(size):
        raise UnknownName("disposition", name, roster(size))
    return prompt(size, f"dispositions/{name}")


@cache
def prompts_digest(size: Size) -> str:
    """Names everything a debate of this size may say."""
    names = ("team", "captain", "seat", "neutral", "choose", "agree", "direct", "closing", "roster")
    texts = {name: prompt(size, name) for name in names}
    texts |= {f"dispositions/{name}": disposition(size, name) for name in roster(size)}
    return content_digest(b"symposia/debate-prompts/1\n" + canonical([size, texts]))
