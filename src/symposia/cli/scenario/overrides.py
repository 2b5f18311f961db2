"""`--set PATH=VALUE`: one value of a scenario file replaced on the command line, read as YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symposia.core.errors import InvalidInput

from .located import Path
from .tree import Tree, read_tree


def override(tree: Tree, settings: Sequence[str]) -> None:
    """Apply `PATH=VALUE` settings in order. A path goes through names and list indexes: `participants.bob.system`."""
    for setting in settings:
        target, equals, raw = setting.partition("=")
        if not equals or not target:
            raise InvalidInput(
                f"--set {setting}: expected PATH=VALUE, such as participants.alice.sampling.temperature=0.3"
            )
        value = read_tree(raw, f"--set {target}")
        if not isinstance(tree.data, dict):
            raise tree.error((), "expected a mapping at the top")
        path = _put(tree, target, value.data)
        tree.given[path] = f"--set {target}"
        tree.bare |= {(*path, *below): text for below, text in value.bare.items()}


def _put(tree: Tree, target: str, value: Any) -> Path:
    at: Any = tree.data
    path: Path = ()
    rest = target
    while True:
        step, rest = _next(at, rest)
        key = _index(at, step, target)
        path = (*path, key)
        if not rest:
            at[key] = value
            return path
        if isinstance(at, dict) and at.get(key) is None:
            at[key] = {}
        at = at[key]
        if not isinstance(at, dict | list):
            raise InvalidInput(f"--set {target}: {step!r} is a plain value; nothing can be set inside it")


def _next(at: Any, rest: str) -> tuple[str, str]:
    """The next step: the longest key there is (names may hold dots), or the text up to the next dot."""
    keys = [k for k in at if rest == k or rest.startswith(k + ".")] if isinstance(at, dict) else []
    step = max(keys, key=len) if keys else rest.partition(".")[0]
    return step, rest[len(step) + 1 :]


def _index(at: Any, step: str, target: str) -> str | int:
    if isinstance(at, dict):
        return step
    if not step.isdecimal() or int(step) >= len(at):
        raise InvalidInput(f"--set {target}: expected an index 0..{len(at) - 1} into a list; got {step!r}")
    return int(step)
