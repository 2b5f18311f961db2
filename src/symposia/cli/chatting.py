"""A chat: what one line does. Text is said by you; a line that begins with `/` is a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from symposia.core.errors import InvalidInput, SymposiaError, UnknownName
from symposia.core.events import Event
from symposia.core.message import said

from .progress import Progress
from .screen import Screen
from .world import World

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation

YOU = "you"


class Chat:
    """The conversation under way, and the branches left behind."""

    def __init__(self, conversation: Conversation, world: World) -> None:
        self.world = world
        names = (*conversation.scenario.names, YOU)
        self.screen = Screen(world.out, names)
        both = world.out.tty and world.err.tty
        self.progress = Progress(world.err, world.clock, self.screen.indent if both else 0)
        self.branches: dict[str, Conversation] = {}
        self.over = False
        self.conversation = conversation
        self.take_up(conversation)

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names."""
        return self.conversation.scenario.names

    def take_up(self, conversation: Conversation) -> None:
        """Go on with this conversation."""
        screen, progress = self.screen, self.progress

        def emit(event: Event) -> None:
            screen.event(event)
            progress.event(event)

        conversation.session.emit = emit
        conversation.session.kit = replace(conversation.session.kit, listen=screen.delta)
        self.conversation = conversation
        self.branches[conversation.branch_id] = conversation
        self.screen.seek(len(conversation.transcript))

    def greet(self) -> None:
        """Who is here, and how to get help."""
        people = ", ".join(f"{p.name} is {p.profile.model}" for p in self.conversation.participants)
        more = "an empty line lets the next one speak; " if len(self.names) > 1 else ""
        self.world.err.line(f"{people}; you are {YOU}. {more}/help lists the commands.", "dim")

    def part(self) -> None:
        """The last word."""
        self.progress.usage()

    def take(self, line: str) -> bool:
        """Do what a line asks. False if it could not be done; that is said, and the chat goes on."""
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._talk(line.strip())
        except KeyboardInterrupt as error:
            self.screen.end()
            if type(error) is not KeyboardInterrupt:  # SIGTERM ends the chat
                raise
            self.world.err.line("(stopped; nothing of it was kept)", "dim")
        except (SymposiaError, OSError) as error:
            self.screen.end()
            self.world.fail(error)
            return False
        return True

    def say(self, author: str, text: str) -> None:
        """Put a message into the conversation."""
        message = said(author, text)
        self.conversation.say(author, text)
        if self.world.out.tty and author == YOU:
            self.screen.seek(len(self.conversation.transcript))
        else:
            self.screen.message(message)

    def reply(self, speaker: str | None = None) -> None:
        """One turn, by `speaker` or by whoever is next."""
        if speaker is None and len(self.names) == 1:
            speaker = self.names[0]
        self.conversation.step(speaker)

    def keep(self, count: int) -> None:
        """Forget everything after the first `count` messages."""
        if not 0 <= count <= len(self.conversation.transcript):
            raise InvalidInput(f"expected up to {len(self.conversation.transcript)} messages to forget")
        if count:
            self.conversation.rewind(count - 1)
        else:
            self.conversation.reset()
        self.screen.seek(len(self.conversation.transcript))

    def note(self, text: str) -> None:
        """What a command did, for people."""
        self.world.err.line(text, "dim")

    def _talk(self, text: str) -> None:
        if text:
            self.say(YOU, text)
        elif len(self.names) == 1 and not self.conversation.transcript.messages:
            return
        self.reply()

    def _command(self, line: str) -> None:
        from .slash import COMMANDS

        name, _, rest = line[1:].partition(" ")
        commands: Mapping[str, Callable[[Chat, str], None]] = COMMANDS
        if name not in commands:
            raise UnknownName("command", f"/{name}", [f"/{known}" for known in commands])
        commands[name](self, rest.strip())
