"""A chat template compiled in a sandbox, with its only clock passed in.

The environment is the one Hugging Face templates are written for: trimmed blocks, loop controls, `raise_exception`,
`strftime_now`, `tojson` without HTML escapes, and the `generation` block, whose body is rendered as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date as Date
from functools import lru_cache
from typing import Any

from jinja2 import Environment, Template, TemplateError, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from symposia.core import errors

BARE_DATE = "2025-01-01"
JsonObject = dict[str, Any]


class Refused(Exception):
    """The template raised; the text says what it raised. Internal: a probe's answer, or the cause of an error."""


class _Generation(Extension):
    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


class JinjaTemplate:
    """One compiled template. Rendering is pure: the same arguments give the same text."""

    def __init__(self, source: str, specials: Mapping[str, str]) -> None:
        self.source = source
        self._specials = dict(specials)
        try:
            self._template = _compiled(source)
        except TemplateError as error:
            raise errors.TemplateError(
                f"the chat template is not valid Jinja: {error}; repair it or pass another"
            ) from error

    def render(
        self,
        messages: Sequence[JsonObject],
        *,
        tools: Sequence[JsonObject] = (),
        generation: bool = True,
        date: str = BARE_DATE,
        flags: Mapping[str, object] | None = None,
        clock_read: Callable[[], None] | None = None,
    ) -> str:
        """The rendered text; `Refused` if the template raises. `clock_read` is called when it asks the date."""

        def strftime_now(form: str) -> str:
            if clock_read is not None:
                clock_read()
            return Date.fromisoformat(date).strftime(form)

        try:
            return self._template.render(
                {
                    **self._specials,
                    "messages": messages,
                    "tools": list(tools) or None,
                    "documents": None,
                    "add_generation_prompt": generation,
                    "strftime_now": strftime_now,
                    **(flags or {}),
                }
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    environment: Environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, LoopControlExtension]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(source)


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
