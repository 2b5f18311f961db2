"""YAML as plain JSON values that remember where they stand.

Stricter than YAML: a duplicate key, an anchor, a tag, and the readings of YAML 1.1 that nobody expects (12:30 as a
number, 010 as eight, a bare date as a date) are errors at their line. `no` stays false, and says so where text is
expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .located import Mark, Path, ScenarioFileError

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_EXPONENT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_TRUE = frozenset({"y", "yes", "true", "on"})
_PREFIX = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Composes nodes only; a file that refers to itself could grow without bound."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not read here; write the value out",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


@dataclass
class Tree:
    """`data` is plain JSON; the rest says where it stands.

    `values` and `keys` are the places of values and of their keys; `bare` holds the source of scalars that YAML did not
    read as text; `given` are paths that the command line set.
    """

    file: str
    lines: list[str]
    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    bare: dict[Path, str] = field(default_factory=dict)
    given: dict[Path, str] = field(default_factory=dict)

    def error(self, path: Path, problem: str, *, at_key: bool = False) -> ScenarioFileError:
        """The error pointing at a value, or at its key; at the nearest thing above it that the file says."""
        for length in range(len(path), -1, -1):
            above = path[:length]
            if above in self.given:
                inside = path[length:]
                return ScenarioFileError(self.given[above], None, inside, problem)
            mark = self.keys.get(above) if at_key and length == len(path) else None
            mark = mark or self.values.get(above)
            if mark is not None:
                return ScenarioFileError(self.file, mark, path, problem, self.line(mark))
        return ScenarioFileError(self.file, None, path, problem)

    def line(self, mark: Mark) -> str:
        """The source line of a mark."""
        return self.lines[mark.line - 1] if mark.line <= len(self.lines) else ""


def read_tree(text: str, file: str) -> Tree:
    """The one document of a YAML text. `ScenarioFileError` for what is not YAML, or not as strict as this."""
    tree = Tree(file, text.splitlines())
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Mark(mark.line + 1, mark.column + 1) if mark else None
        why = error.problem or error.context or "not YAML"
        raise ScenarioFileError(file, where, (), why, tree.line(where) if where else "") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ScenarioFileError(
            file, Mark(line, 1), (), f"a character no YAML has: {error.reason}"
        ) from error
    tree.data = _plain(node, (), tree) if node is not None else None
    return tree


def _plain(node: yaml.Node, path: Path, tree: Tree) -> Any:
    tree.values[path] = _mark(node)
    if isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
        return _mapping(node, path, tree)
    if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
        return [_plain(item, (*path, index), tree) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, path, tree)
    raise tree.error(path, f"expected a plain value; got the tag {node.tag.removeprefix(_PREFIX)!r}")


def _mapping(node: yaml.MappingNode, path: Path, tree: Tree) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key_node, value_node in node.value:
        mark, name = _mark(key_node), str(key_node.value)
        line = tree.line(mark)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _PREFIX + "str":
            raise ScenarioFileError(
                tree.file, mark, path, f'expected text as a key; quote it: "{name}"', line
            )
        key = (*path, name)
        if name in made:
            first = tree.keys[key].line
            raise ScenarioFileError(tree.file, mark, key, f"this key stands already at line {first}", line)
        tree.keys[key] = mark
        made[name] = _plain(value_node, key, tree)
    return made


def _scalar(node: yaml.ScalarNode, path: Path, tree: Tree) -> Any:
    raw = str(node.value)
    kind = node.tag.removeprefix(_PREFIX)
    if kind in ("str", "value"):
        if node.style is None and _EXPONENT.fullmatch(raw):  # text in YAML 1.1, a number to everybody else
            tree.bare[path] = raw
            return float(raw)
        return raw
    tree.bare[path] = raw
    match kind:
        case "null":
            return None
        case "bool":
            return raw.lower() in _TRUE
        case "int" if _DECIMAL.fullmatch(raw):
            return int(raw)
        case "float" if ":" not in raw and "_" not in raw and raw.lstrip("+-.").lower() not in ("inf", "nan"):
            return float(raw)
        case "int" | "float":
            raise tree.error(
                path, f'{raw} is not what it looks like in YAML 1.1; quote it if it is text: "{raw}"'
            )
        case "timestamp":
            raise tree.error(path, f'{raw} is a date to YAML; quote it: "{raw}"')
    raise tree.error(path, f"expected a plain value; got the tag {kind!r}")


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
