"""Messages as callers send them: one struct a role, `role` is the tag. Every text is a string or a list of text parts.

Fields that must be null are part of the reply objects of SDKs, which callers send back whole. A struct that stands
alone has its `type` as a field: a tag may be left out there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .asked import Asked, Name, NonEmpty


class TextPart(Asked, frozen=True, kw_only=True):
    """A piece of text."""

    type: Literal["text"]
    text: str


Content = str | Annotated[tuple[TextPart, ...], Meta(min_length=1)]


class SystemMessage(Asked, frozen=True, kw_only=True, tag_field="role", tag="system"):
    """Instructions."""

    content: Content
    name: Name | None = None


class DeveloperMessage(Asked, frozen=True, kw_only=True, tag_field="role", tag="developer"):
    """Instructions, by their newer name."""

    content: Content
    name: Name | None = None


class UserMessage(Asked, frozen=True, kw_only=True, tag_field="role", tag="user"):
    """What a person, or anybody but the model, said."""

    content: Content
    name: Name | None = None


class CalledFunction(Asked, frozen=True, kw_only=True):
    """A function by name, and its arguments: the text of a JSON object."""

    name: NonEmpty
    arguments: str


class SentCall(Asked, frozen=True, kw_only=True):
    """A call the model made earlier."""

    id: NonEmpty
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(Asked, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    """What the model said or did earlier."""

    content: Content | None = None
    name: Name | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[SentCall, ...] | None = None
    annotations: tuple[None, ...] | None = None
    audio: None = None
    function_call: None = None


class ToolMessage(Asked, frozen=True, kw_only=True, tag_field="role", tag="tool"):
    """What a call returned."""

    content: Content
    tool_call_id: NonEmpty
    name: Name | None = None


ChatMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


def text_of(content: Content | None) -> str:
    """The text, its parts joined as they are."""
    if isinstance(content, str):
        return content
    return "" if content is None else "".join([part.text for part in content])
