"""The transcript: an immutable sequence of messages and the whole state of a conversation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal, overload

from msgspec.structs import replace

from .errors import InvalidInput, UnsupportedFormat
from .files import write_atomic
from .html import fragment
from .message import Audience, Message, Part, Text
from .plain import openai_messages, plain_text
from .value import Value, canonical, checked, content_digest, decode

Ref = int | Message
FORMAT: Final = "symposia.transcript"


class TranscriptFile(Value, frozen=True, kw_only=True):
    """The stored form of a transcript."""

    format: Literal["symposia.transcript"] = FORMAT
    version: Literal[1] = 1
    messages: tuple[Message, ...]


class Transcript(Value, frozen=True):
    """Append, slice and edit give new transcripts; nothing changes in place."""

    messages: tuple[Message, ...] = ()

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    @overload
    def __getitem__(self, key: int) -> Message: ...
    @overload
    def __getitem__(self, key: slice) -> Transcript: ...
    def __getitem__(self, key: int | slice) -> Message | Transcript:
        if isinstance(key, slice):
            kept = range(len(self))[key]
            if kept.step < 0:
                raise InvalidInput("a transcript cannot be reversed; expected a slice with a positive step")
            return self._keep(kept)
        return self.messages[self.index(key)]

    def append(self, *messages: Message) -> Transcript:
        """The transcript with more messages at its end."""
        return Transcript(self.messages + messages)

    def index(self, ref: Ref) -> int:
        """The position of `ref`: an index (negatives allowed) or one of these very messages."""
        if isinstance(ref, Message):
            for position, message in enumerate(self.messages):
                if message is ref:
                    return position
            for position in range(len(self) - 1, -1, -1):  # a message that went through a file
                if self.messages[position] == ref:
                    return position
            raise InvalidInput(
                f"this message by {ref.author!r} is not in the transcript of {len(self)} messages"
            )
        if not -len(self) <= ref < len(self):
            valid = f"an index in {-len(self)}..{len(self) - 1}" if len(self) else "none: it has no messages"
            raise InvalidInput(f"message {ref}: expected {valid}")
        return ref % len(self)

    def seen_by(self, name: str) -> tuple[Message, ...]:
        """The messages `name` may see, in order."""
        return tuple(m for m in self.messages if m.heard_by(name))

    def turns(self, names: Collection[str]) -> tuple[Message, ...]:
        """The turn messages of `names`: no tool trails, nothing hidden from all, nothing merely put there."""
        return tuple(m for m in self.messages if m.author in names and m.is_turn())

    def up_to(self, n: int) -> Transcript:
        """The first n messages."""
        return self[:n] if n < len(self) else self

    def cut(self, n: int) -> Transcript:
        """The first n messages, fewer if a tool trail would lack its answer."""
        n = min(n, len(self))
        while n > 0:
            at = n - 1
            while (
                at and self.messages[at].stands_for is not None
            ):  # a summary made within a trail goes with it
                at -= 1
            if not _unanswered(self.messages[at]):
                break
            n = at
        return self.up_to(n)

    def rewind(self, ref: Ref) -> Transcript:
        """Everything up to and including `ref`."""
        return self.cut(self.index(ref) + 1)

    branch = rewind

    def edit(
        self,
        ref: Ref,
        *,
        text: str | None = None,
        author: str | None = None,
        parts: tuple[Part, ...] | None = None,
        audience: Audience | Literal["same"] = "same",
    ) -> Transcript:
        """The transcript with one message rewritten: given, without provenance; summaries covering it go."""
        if text is not None and parts is not None:
            raise InvalidInput("edit takes text or parts, not both")
        at = self.index(ref)
        old = self.messages[at]
        new = Message(
            author=old.author if author is None else author,
            parts=(Text(text),) if text is not None else old.parts if parts is None else parts,
            audience=old.audience if isinstance(audience, str) else audience,
            as_of=old.as_of,
            stands_for=old.stands_for,
        )
        edited = Transcript((*self.messages[:at], new, *self.messages[at + 1 :]))
        stale = {
            i for i, m in enumerate(self.messages) if m.stands_for and m.stands_for[0] <= at < m.stands_for[1]
        }
        return edited._keep([i for i in range(len(edited)) if i not in stale]) if stale else edited

    @property
    def digest(self) -> str:
        """Names what was said, to whom and in what order; provenance is outside."""
        bare = checked(Transcript(tuple(_bare(m) for m in self.messages)))
        fields = [{f: getattr(m, f) for f in _DIGESTED} for m in bare.messages]
        return content_digest(b"symposia/Transcript/1\n" + canonical(fields))

    def render(self, form: Literal["plain", "markdown"] = "plain", *, hidden: bool = False) -> str:
        """Text for people; `hidden` adds reasoning, tools and control messages."""
        return plain_text(self.messages, form, hidden=hidden)

    def __str__(self) -> str:
        return self.render()

    def to_openai(self, name: str) -> list[dict[str, Any]]:
        """Chat messages as `name` sees them: own ones as assistant, others' as user with their name."""
        return openai_messages(self.seen_by(name), name)

    def to_html(self) -> str:
        """One self-contained fragment: inline style, no script, all text escaped."""
        return fragment(self.messages)

    def _repr_html_(self) -> str:
        return self.to_html()

    def encode(self) -> bytes:
        """The stored form, versioned JSON; `InvalidInput` names a field that no file can hold."""
        return canonical(checked(TranscriptFile(messages=self.messages)))

    @staticmethod
    def decode(raw: bytes, path: str = "") -> Transcript:
        """A transcript from its stored form; `UnsupportedFormat` for anything else."""
        check_header(raw, FORMAT, 1, path)
        try:
            return Transcript(decode(raw, TranscriptFile).messages)
        except InvalidInput as error:
            raise UnsupportedFormat(expected=f"{FORMAT} version 1", got=str(error), path=path) from error

    def save(self, path: str | Path) -> None:
        """Write the stored form: a temporary file, fsync, rename."""
        write_atomic(Path(path), self.encode())

    @staticmethod
    def load(path: str | Path) -> Transcript:
        """Read a stored transcript."""
        return Transcript.decode(Path(path).read_bytes(), str(path))

    def _keep(self, kept: Sequence[int]) -> Transcript:
        """Only those messages, ascending; indexes follow; a summary that lost part of its range goes."""
        if not kept or kept[-1] == len(kept) - 1:  # a prefix: no index moves
            prefix = self.messages[: len(kept)]
            if all(m.stands_for is None or m.stands_for[1] <= len(kept) for m in prefix):
                return self if len(prefix) == len(self) else Transcript(prefix)
        whole = set(kept)
        lost = {i for i in kept if (r := self.messages[i].stands_for) and not whole.issuperset(range(*r))}
        if lost:
            return self._keep([i for i in kept if i not in lost])
        before = [0, *accumulate(i in whole for i in range(len(self)))]
        return Transcript(tuple(_moved(self.messages[i], before) for i in kept))


_DIGESTED = tuple(f for f in Message.__struct_fields__ if f != "provenance")


def _bare(message: Message) -> Message:
    return message if message.provenance is None else replace(message, provenance=None)


def _unanswered(message: Message) -> bool:
    """Whether a trail goes on after this message. The results of a forced call end their turn: they have `as_of`."""
    ends = message.author == "tool" and message.as_of is not None
    return message.has_tools and message.origin != "given" and not ends


def _moved(message: Message, before: list[int]) -> Message:
    """The message with its indexes counted among the kept messages only."""
    as_of = None if message.as_of is None else before[min(message.as_of, len(before) - 1)]
    covers = message.stands_for and (before[message.stands_for[0]], before[message.stands_for[1]])
    return replace(message, as_of=as_of, stands_for=covers)


class _Header(Value, frozen=True, forbid_unknown_fields=False):
    format: str = ""
    version: int = 0


def check_header(raw: bytes, form: str, newest: int, path: str) -> int:
    """The version of a stored document of format `form`; `UnsupportedFormat` if it is another or newer."""
    try:
        header = decode(raw, _Header)
    except InvalidInput as error:
        raise UnsupportedFormat(
            expected=form, got=f"no JSON object with a format ({error})", path=path
        ) from error
    if header.format != form:
        raise UnsupportedFormat(expected=form, got=header.format or "no format field", path=path)
    if not 1 <= header.version <= newest:
        newer = "; a newer symposia wrote it" if header.version > newest else ""
        raise UnsupportedFormat(
            expected=f"{form} version 1..{newest}", got=f"version {header.version}{newer}", path=path
        )
    return header.version
