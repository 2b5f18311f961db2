"""The house rules in numbers, over `src/symposia`. Prints them; exit 1 names each place that breaks one.

The numbers are a smoke alarm, not a target to game: where a rule makes code worse, change it here, say why.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

FILE_MEDIAN, FILE_P90, FILE_MAX = 150, 300, 450
FUNCTION_P90, FUNCTION_MAX = 30, 70
PARAMETERS = 7
POSITIONAL = 3  # optional parameters beyond the third are keyword-only; see `_parameters`

BOUNDARIES = {
    "talk/boundary.py": "one conversation: hooks, readers, summarisers and backends are other people's code",
    "talk/converse.py": "one conversation",
    "serve/pipeline.py": "one request",
    "cli/world.py": "one command: deliberate errors become exit codes, anything else is raised again",
    "engine/loop.py": "the engine loop: a bug in one batch must reach every waiting caller",
}
"""Where `except Exception` may stand, and what it guards."""

REFLECTION = {
    "__init__.py": "PEP 562: a name of a module, looked up when first used",
    "core/value.py": "walks the fields of any struct to name the one that holds a NaN",
    "core/transcript.py": "takes a message apart by the names of its digested fields",
    "engine/__init__.py": "PEP 562, as the package itself",
    "engine/template/codec.py": "a tokenizer is a third party's object with optional attributes",
    "engine/families/models.py": "classes of transformers, by the name a recipe gives",
    "interp/anatomy.py": "a model's modules are a third party's, found by name",
}
"""Where getattr or hasattr may stand: on objects that are not ours, or by field name."""

PARAMETER_EXCEPTIONS = {
    "talk/view.py:view": "the signature of the specification, in the order a reader meets the concepts",
    "talk/conversation.py:from_models": "the keywords of the specification: who speaks, of what, with what",
    "engine/engine.py:load": "the keywords of the specification: what to load, then how to run it",
    "engine/runner/inside.py:paged_attention": "the signature transformers calls an attention function with",
}
"""Functions whose number or order of parameters is not ours to choose."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Shape:
    """What was measured, and every broken rule as `path:line: message`."""

    files: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def numbers(self) -> str:
        """One line for files, one for functions."""
        files, functions = self.files, self.functions
        return (
            f"files: {len(files)}; lines: median {percentile(files, 50)} (<= {FILE_MEDIAN}), "
            f"p90 {percentile(files, 90)} (<= {FILE_P90}), max {max(files, default=0)} (<= {FILE_MAX})\n"
            f"functions: {len(functions)}; lines: p90 {percentile(functions, 90)} (<= {FUNCTION_P90}), "
            f"max {max(functions, default=0)} (<= {FUNCTION_MAX}); "
            f"parameters: max {max(self.parameters, default=0)} (<= {PARAMETERS})"
        )


def percentile(sizes: Sequence[int], percent: int) -> int:
    """The smallest size that at least `percent` of all do not exceed; 0 of none."""
    ordered = sorted(sizes)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)] if ordered else 0


def measure(root: Path) -> Shape:
    """Measure every Python file below `root`."""
    shape = Shape()
    for path in sorted(root.rglob("*.py")):
        _measure_file(path, path.relative_to(root).as_posix(), shape)
    for what, got, most in (
        ("file median", percentile(shape.files, 50), FILE_MEDIAN),
        ("file p90", percentile(shape.files, 90), FILE_P90),
        ("function p90", percentile(shape.functions, 90), FUNCTION_P90),
    ):
        if got > most:
            shape.broken.append(f"{root}: {what} is {got} lines; expected <= {most}")
    return shape


def _measure_file(path: Path, name: str, shape: Shape) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, str(path))
    lines = len(source.splitlines())
    shape.files.append(lines)
    if lines > FILE_MAX:
        shape.broken.append(f"{path}:1: {lines} lines; expected <= {FILE_MAX}")
    for owner, function in _functions(tree):
        begin = function.body[0].lineno if _kernel(function) else function.lineno  # its signature is a list
        length = (function.end_lineno or function.lineno) - begin + 1
        shape.functions.append(length)
        shape.parameters.append(0 if _kernel(function) else len(_named(function, owner)))
        if length > FUNCTION_MAX:
            shape.broken.append(
                f"{path}:{function.lineno}: {function.name} has {length} lines; <= {FUNCTION_MAX}"
            )
        for message in (*_parameters(function, owner, name), *_annotations(function, owner)):
            shape.broken.append(f"{path}:{function.lineno}: {function.name} {message}")
    shape.broken += [f"{path}:{line}: {message}" for line, message in _forbidden(tree, name)]


def _functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    """Every function with the name of the class it is a method of, if any."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield owner, node
            yield from _functions(node)
        else:
            yield from _functions(node, node.name if isinstance(node, ast.ClassDef) else owner)


def _static(function: Function) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)


def _kernel(function: Function) -> bool:
    return any(ast.unparse(d) == "triton.jit" for d in function.decorator_list)


def _named(function: Function, owner: str) -> list[ast.arg]:
    """The parameters a caller can give one by one; `self` and `cls` aside."""
    positional = [*function.args.posonlyargs, *function.args.args]
    if owner and not _static(function):
        positional = positional[1:]
    return [*positional, *function.args.kwonlyargs]


def _parameters(function: Function, owner: str, name: str) -> Iterator[str]:
    """Too many parameters; optional ones that can be given without a name.

    Required parameters may be positional: pure functions take their inputs in the order of the idea
    (transcript, participant, roster, rules), and naming them at each call only repeats the variables' names.
    A Triton kernel takes every pointer, stride and compile-time constant one by one: it knows no structures.
    Private functions are called from the file that defines them. The keyword-only parameters of an `__init__` are
    the fields of a configuration, as a struct's are, and count as little.
    """
    if f"{name}:{function.name}" in PARAMETER_EXCEPTIONS or _kernel(function):
        return
    named = _named(function, owner)
    positional = len(named) - len(function.args.kwonlyargs)
    counted = positional if function.name == "__init__" else len(named)
    if counted > PARAMETERS:
        yield f"has {counted} parameters; expected <= {PARAMETERS}"
    beyond = min(positional - POSITIONAL, len(function.args.defaults))
    private = function.name.startswith("_")
    if beyond > 0 and not private:
        loose = ", ".join(arg.arg for arg in named[positional - beyond : positional])
        yield f"takes {loose} without a name; put `*` before optional parameters beyond the third"


def _annotations(function: Function, owner: str) -> Iterator[str]:
    stars = [arg for arg in (function.args.vararg, function.args.kwarg) if arg is not None]
    bare = [arg.arg for arg in [*_named(function, owner), *stars] if arg.annotation is None]
    if bare:
        yield f"has no annotation for {', '.join(bare)}"
    if function.returns is None:
        yield "has no return annotation"


def _forbidden(tree: ast.AST, name: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _too_wide(node) and name not in BOUNDARIES:
            yield node.lineno, f"catches everything; only {', '.join(BOUNDARIES)} may"
        if _reflects(node) and name not in REFLECTION:
            yield node.lineno, "reflects; match on the type, or add the file and a reason to REFLECTION"


def _reflects(node: ast.AST) -> TypeGuard[ast.Call]:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id in ("getattr", "hasattr")


def _too_wide(handler: ast.ExceptHandler) -> bool:
    """Whether it swallows any error: wide, and not a clean-up that raises again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    wide = {kind.id for kind in kinds if isinstance(kind, ast.Name)} & {"Exception", "BaseException"}
    last = handler.body[-1]
    raises_again = isinstance(last, ast.Raise) and last.exc is None
    return (handler.type is None or bool(wide)) and not raises_again


def main(roots: Sequence[str]) -> int:
    """Measure the given trees, `src/symposia` by default."""
    worst = 0
    for root in roots or ["src/symposia"]:
        shape = measure(Path(root))
        print(shape.numbers())
        for line in shape.broken:
            print(line, file=sys.stderr)
        worst = max(worst, int(bool(shape.broken)))
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
