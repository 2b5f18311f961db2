"""What a debate needs beside its protocol: readers that make half a reply an abstention, answers to forced calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from symposia.core.message import Signal, Text, ToolCall
from symposia.core.parse import parse
from symposia.core.profile import Profile
from symposia.core.request import Completion
from symposia.core.toolspec import ToolSpec
from symposia.talk.rules import Kit, Reader, Reading

from .calls import answers_for
from .extract import extract_text
from .reading import FAILED
from .values import Team

if TYPE_CHECKING:
    from .protocol import Debate

KEPT = Reading()


def kit_for(debate: Debate, kit: Kit = Kit()) -> Kit:
    """`kit` with what the debate's seats and captain need; prices are the debate's where the kit has none."""
    reader = reader_for(debate)
    return replace(
        kit,
        readers={**kit.readers, **dict.fromkeys(debate.team.names, reader)},
        answers={**kit.answers, **answers_for(debate)},
        prices={**debate.budget.prices, **kit.prices},
    )


def with_tools(debate: Debate, tools: Sequence[ToolSpec]) -> Debate:
    """The debate with tools for its seats, never for the captain."""
    specs = tuple(tools)
    team = Team(
        debate.team.name,
        tuple(
            seat
            if seat.profile is None
            else msgspec.structs.replace(seat, profile=_equipped(seat.profile, specs))
            for seat in debate.team.seats
        ),
    )
    profile = None if debate.profile is None else _equipped(debate.profile, specs)
    names = tuple(spec.name for spec in specs)
    return msgspec.structs.replace(debate, team=team, profile=profile, tools=names)


def _equipped(profile: Profile, specs: tuple[ToolSpec, ...]) -> Profile:
    return msgspec.structs.replace(profile, tools=specs)


def reader_for(debate: Debate) -> Reader:
    """A seat's reader: it changes no word, and discards what is no finished answer, with its cause."""
    offered = bool(debate.tools)

    def read(completion: Completion) -> Reading:
        if completion.scores is not None:
            return KEPT
        parts = completion.parts or parse(
            completion.text, completion.syntax, offered=offered, opens_thinking=completion.opens_thinking
        )
        if any(isinstance(part, ToolCall) for part in parts):
            return KEPT
        if completion.finish_reason in ("content_filter", "refusal"):
            return _lost(completion.finish_reason)
        text = "".join(part.text for part in parts if isinstance(part, Text))
        cause = extract_text(text, truncated=completion.finish_reason == "length").cause
        return KEPT if cause is None else _lost(cause)

    return read


def _lost(cause: str) -> Reading:
    return Reading(discard=True, signals=(Signal(FAILED, cause),))
