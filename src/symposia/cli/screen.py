"""The conversation as it is made, on stdout: streamed in columns on a terminal, one line a message elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symposia.core.events import (
    Event,
    GenerationRetried,
    SummaryMade,
    ToolCalled,
    ToolReturned,
    TurnDenied,
    TurnTaken,
)
from symposia.core.message import Message
from symposia.core.request import About, Delta
from symposia.core.transcript import Transcript
from symposia.core.value import canonical

from .flow import Flow
from .terminal import Terminal

WIDEST = 16


class Screen:
    """Follows deltas and events of one conversation. Of turns taken side by side the first to speak is streamed.

    `numbered` puts each message's index before it on a terminal; elsewhere it always stands there.
    """

    def __init__(self, out: Terminal, names: Sequence[str], *, numbered: bool = False) -> None:
        self._out, self._numbered = out, numbered
        self.name_width = min(max(map(len, names), default=0), WIDEST)
        self._count = 0
        self._speaker: str | None = None
        self._shown = ""
        self._flow: Flow | None = None
        self._phase = "answer"
        self._followed: set[str] = set()  # whose tool calls of the turn under way were shown as they happened

    @property
    def indent(self) -> int:
        """Where the text column begins on a terminal."""
        return self.name_width + 2 + 5 * self._numbered if self._out.tty else 0

    def seek(self, count: int) -> None:
        """So many messages are there; the next one shown has this index."""
        self._count = count

    def begin(self, messages: Iterable[Message]) -> None:
        """What stands before the first turn."""
        for message in messages:
            self.message(message)

    def delta(self, about: About, delta: Delta) -> None:
        """A piece of a reply; shown at once on a terminal."""
        if not self._out.tty or about.purpose not in ("turn", "tool") or delta.phase == "tool":
            return
        if self._speaker is None:
            self._speaker = about.speaker
            self._open(about.speaker)
        if about.speaker != self._speaker or self._flow is None:
            return
        text = delta.text
        if not self._shown:
            text = text.lstrip()
        if delta.phase == "answer":
            self._shown += text
        self._phase = delta.phase
        self._flow.feed(text)

    def event(self, event: Event) -> None:
        """Commit what was shown, or show what was not."""
        match event:
            case TurnTaken(about=about, messages=messages):
                self._committed(about, messages)
            case TurnDenied(about=about, message=denied, before=before):
                self._committed(about, (*before, denied))
            case ToolCalled(about=about, name=name, arguments=arguments):
                self._aside(about, f"calls {name} {canonical(arguments).decode()}")
            case ToolReturned(about=about, name=name, error=error, text=text):
                self._aside(about, f"{'error from' if error else 'result of'} {name}: {text}")
            case SummaryMade():
                self._drop("")
            case GenerationRetried(cause=cause):
                self._drop(f"({cause}; once more)")
            case _:
                pass

    def _aside(self, about: About, text: str) -> None:
        """What a tool is asked and answers, as it happens; the streamed speaker's only."""
        if not self._out.tty or self._speaker not in (None, about.speaker):
            return
        self._close()
        self._open(about.speaker)
        self._phase = "aside"
        if self._flow is not None:
            self._flow.feed(text)
        self._close()
        self._followed.add(about.speaker)

    def _committed(self, about: About, messages: Sequence[Message]) -> None:
        """The messages of a turn; a trail that was followed as it happened is not shown again."""
        for message in messages:
            if about.speaker in self._followed and message.has_tools:
                self._count += 1
            else:
                self.message(message)
        self._followed.discard(about.speaker)

    def message(self, message: Message) -> None:
        """One committed message; only its line end if it was streamed as it is."""
        index, self._count = self._count, self._count + 1
        if self._speaker == message.author and self._flow is not None:
            if self._shown.strip() == message.text.strip() and message.text:
                self._close()
                return
            self._drop("(not said so: it was changed before it was committed)")
        said = message.text and not message.has_tools
        text, style = (message.text, "") if said else (hidden(message), "dim")
        if not text:
            return
        whisper = f" (to {', '.join(sorted(message.audience))})" if message.audience else ""
        if self._out.tty:
            self._open(message.author, index)
            if self._flow is not None:
                self._phase = "answer" if not style and not whisper else "aside"
                self._flow.feed(text + whisper)
            self._close()
        else:
            self._out.piece(f"[{index}] {message.author}{whisper}: {text}\n")

    def end(self) -> None:
        """No more will come; an unfinished reply keeps its line."""
        if self._flow is not None:
            self._drop("(cut off)")

    def _open(self, author: str, index: int | None = None) -> None:
        if self._numbered:
            self._out.piece(f"{self._count if index is None else index:>4} ", "dim")
        self._out.piece(f"{author[: self.name_width]:<{self.name_width}}", f"bold {self._out.colour(author)}")
        self._out.piece("  ")
        self._flow = Flow(self._write, indent=self.indent, width=self._out.width)
        self._shown, self._phase = "", "answer"

    def _write(self, text: str) -> None:
        self._out.piece(text, "" if self._phase == "answer" else "dim")

    def _drop(self, why: str) -> None:
        if self._flow is not None and why:
            self._phase = "aside"
            self._flow.feed(f" {why}")
        self._close()

    def _close(self) -> None:
        if self._flow is not None:
            self._flow.end()
        self._flow, self._speaker, self._shown = None, None, ""


def hidden(message: Message) -> str:
    """What a message without text did: a denial, a call, scores."""
    shown = Transcript((message,)).render(hidden=True)
    return shown.partition(": ")[2]
