"""Calls written as Python: `name(argument=literal)`. Read by `ast`, nothing is ever evaluated."""

from __future__ import annotations

import ast
import math
import warnings
from threading import Lock

from symposia.core.message import ToolCall

from .jsoncalls import call_with, malformed

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
MOST = 200_000  # characters; the reader's memory is many times its source
_EXPECTED = "calls like name(argument=literal)"
_WORDS = {"true": True, "false": False, "null": None}  # models write JSON's words too
_quiet = Lock()


def read_code(source: str, index: int) -> tuple[ToolCall, ...]:
    """The calls of a program that is nothing but calls: one a statement, or in a list; `print(...)` is looked into."""
    try:
        calls = [call for statement in _parsed(source).body for call in _calls(statement)]
    except UNREADABLE as error:
        return (malformed(index, _EXPECTED, source, why=_reason(error)),)
    if not calls:
        return (malformed(index, _EXPECTED, source),)
    return tuple(_read(call, index + n) for n, call in enumerate(calls))


def is_code(source: str) -> bool:
    """Whether it is a program of nothing but calls whose arguments can be read."""
    return not any(call.error for call in read_code(source, 0))


def literal(source: str) -> object:
    """The value of one literal. Raises one of `UNREADABLE`."""
    body = _parsed(source).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise ValueError("expected one literal")
    return _value(body[0].value)


def _parsed(source: str) -> ast.Module:
    if len(source) > MOST:
        raise ValueError(f"more than {MOST:,} characters")
    with _quiet, warnings.catch_warnings():  # of odd escapes and numbers, on which Python has an opinion
        warnings.simplefilter("ignore")
        return ast.parse(source.strip())


def _calls(statement: ast.stmt) -> list[ast.Call]:
    if not isinstance(statement, ast.Expr):
        raise ValueError(f"got a statement ({type(statement).__name__})")
    found = statement.value
    if isinstance(found, ast.Call) and _name(found.func) == "print" and len(found.args) == 1:
        found = found.args[0]
    listed = found.elts if isinstance(found, ast.List | ast.Tuple) else [found]
    calls = [each for each in listed if isinstance(each, ast.Call)]
    if len(calls) != len(listed):
        raise ValueError("got something that is not a call")
    return calls


def _read(call: ast.Call, index: int) -> ToolCall:
    try:
        name = _name(call.func)
        if call.args:
            raise ValueError("arguments need names")
        arguments: dict[str, object] = {}
        for word in call.keywords:
            if word.arg is None:
                raise ValueError("** is not a literal")
            arguments[word.arg] = _value(word.value)
    except UNREADABLE as error:
        return malformed(index, _EXPECTED, ast.unparse(call)[:500], why=_reason(error))
    return call_with(name, arguments, index)


def _name(node: ast.expr) -> str:
    """A function's name; it may have dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise ValueError("a function is called by its name")
    return ".".join([node.id, *reversed(parts)])


def _value(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=str() as text):
            return text.encode("utf-16", "surrogatepass").decode(
                "utf-16"
            )  # JSON's pairs of escapes become one
        case ast.Constant(value=None | bool() | int() as value):
            return value
        case ast.Constant(value=float() as value) if math.isfinite(value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Name(id=word) if word in _WORDS:
            return _WORDS[word]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float())):
            number = _value(node.operand)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number if isinstance(sign, ast.USub) else number
    raise ValueError(f"{type(node).__name__} is not a literal that JSON knows")


def _key(node: ast.expr | None) -> str:
    key = _value(node) if node is not None else None
    if not isinstance(key, str):
        raise ValueError("keys must be text")
    return key


def _reason(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
