"""The words of the methods that are no debate. How an answer must end they say as a debate does, word for word."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from symposia.core.value import canonical, content_digest
from symposia.talk.debate.values import Size

NAMES = ("single", "consistent", "best")


@cache
def prompt(size: Size, name: str) -> str:
    """The text of that name, without the line end of its file."""
    file = files(__package__).joinpath("prompts", size, f"{name}.txt")
    return file.read_text(encoding="utf-8").strip()


def prompts_digest(size: Size) -> str:
    """Names all of them of a size."""
    return content_digest(b"symposia/method-prompts/1\n" + canonical({n: prompt(size, n) for n in NAMES}))
