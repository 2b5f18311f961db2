"""A conversation on disk: everything needed to go on with it, or an error that names what cannot be stored."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from symposia.core.errors import InvalidInput, NotSerialisable, UnsupportedFormat
from symposia.core.files import write_atomic
from symposia.core.message import Message
from symposia.core.profile import Profile
from symposia.core.request import Backend, Completion
from symposia.core.transcript import Transcript, check_header
from symposia.core.value import Value, canonical, decode, digest

from .hooks import SavedHook
from .rules import Kit
from .scenario import Scenario

if TYPE_CHECKING:
    from .conversation import Conversation

FORMAT = "symposia.conversation"
C = TypeVar("C", bound="Conversation")


class ConversationFile(Value, frozen=True, kw_only=True):
    """The stored form. Every profile digest in the transcript resolves in `profiles`."""

    format: str = FORMAT
    version: int = 1
    scenario: Scenario
    conversation: str
    branch: str = ""
    draws: int = 0
    branches: int = 0
    seed: int | None = None
    profiles: dict[str, Profile] = {}
    transcript: tuple[Message, ...] = ()


def encode(conversation: Conversation, without: Collection[str] = ()) -> bytes:
    """The stored bytes. `NotSerialisable` names a live field that is not in `without`."""
    for field, why in live_fields(conversation):
        if field not in without:
            raise NotSerialisable(field, why)
    used = {m.provenance.profile for m in conversation.transcript if m.provenance is not None}
    known = {
        **{digest(p.profile): p.profile for p in conversation.participants},
        **conversation.session.profiles,
    }
    return canonical(
        ConversationFile(
            scenario=conversation.scenario,
            conversation=conversation.id,
            branch=conversation.branch_id,
            draws=conversation.draws,
            branches=conversation.branches,
            seed=conversation.scenario.seed,
            profiles={name: known[name] for name in sorted(used) if name in known},
            transcript=conversation.transcript.messages,
        )
    )


def live_fields(conversation: Conversation) -> list[tuple[str, str]]:
    """Fields no file can hold, each with the reason."""
    kit = conversation.session.kit
    found: list[tuple[str, str]] = []
    if conversation.live_protocol is not None:
        found.append(
            ("protocol", f"{type(conversation.live_protocol).__name__} is not one of the built-in protocols")
        )
    found += [
        ("hooks", f"{type(h).__name__} is a live object") for h in kit.hooks if not isinstance(h, SavedHook)
    ][:1]
    found += [
        (n, "it holds functions")
        for n, held in (("readers", kit.readers), ("summarisers", kit.summarisers))
        if held
    ]
    return found


def save(conversation: Conversation, path: Path, without: Collection[str], completions: bool | None) -> None:
    """Write the conversation, and its raw completions beside it when they hold more than text, or on request."""
    write_atomic(path, encode(conversation, without))
    kept = conversation.session.completions
    named = [
        c for m in conversation.transcript if m.provenance for c in m.provenance.completions if c in kept
    ]
    rich = any(kept[c].logprobs is not None or kept[c].activations for c in named)
    if named and (rich if completions is None else completions):
        write_atomic(
            path.with_name("completions.jsonl"),
            b"".join(canonical(kept[c]) + b"\n" for c in dict.fromkeys(named)),
        )


def load(cls: type[C], path: Path, backend: Backend | None, kit: Kit | None) -> C:
    """A conversation that goes on where the saved one stopped."""
    raw = path.read_bytes()
    stored = read(raw, str(path))
    conversation = cls(
        scenario=stored.scenario, transcript=Transcript(stored.transcript), backend=backend, kit=kit
    )
    conversation.restore(
        conversation=stored.conversation,
        branch=stored.branch,
        branches=stored.branches,
        draws=stored.draws,
        profiles=stored.profiles,
    )
    beside = path.with_name("completions.jsonl")
    if beside.exists():
        for number, line in enumerate(beside.read_bytes().splitlines()):
            completion = decode(line, Completion, f"{beside} line {number + 1}")
            conversation.session.completions[completion.digest] = completion
    return conversation


def read(raw: bytes, path: str = "") -> ConversationFile:
    """The stored value; `UnsupportedFormat` for another format, a newer version or an unknown field."""
    check_header(raw, FORMAT, 1, path)
    try:
        stored = decode(raw, ConversationFile)
    except InvalidInput as error:
        raise UnsupportedFormat(expected=f"{FORMAT} version 1", got=str(error), path=path) from error
    missing = {
        m.provenance.profile for m in stored.transcript if m.provenance and m.provenance.profile
    } - set(stored.profiles)
    if missing:
        raise UnsupportedFormat(
            expected="every profile the transcript names", got=f"none for {min(missing)}", path=path
        )
    return stored
