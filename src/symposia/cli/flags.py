"""A command's flags as one frozen value: the dataclass is the signature, so a command is a function of its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)


def add(app: typer.Typer, name: str, options: type[T], run: Callable[[T], int]) -> None:
    """Register `run` as a command. `options` is a dataclass of `Annotated` fields; `run` gives the exit code."""
    hints = get_type_hints(options, include_extras=True)

    def command(**given: Any) -> None:
        raise typer.Exit(run(options(**given)))

    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
        )
        for field in fields(options)
    ]
    vars(command)["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = hints
    app.command(name, help=inspect.getdoc(run))(command)
