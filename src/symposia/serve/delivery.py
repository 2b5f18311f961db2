"""A generation on its way to the caller: one JSON object, or events as they come. Headers wait for the first sign.

What is written is counted, so that a reader who takes nothing and a silence that wants a ping are seen from outside.
"""

from __future__ import annotations

import asyncio

import msgspec

from symposia.core.request import Request, Syntax

from .address import Addressed
from .book import Book
from .call import Call, Gone
from .faults import Fault
from .generation import Generation
from .replies import (
    PING,
    ChoiceObject,
    Envelope,
    SteeringBlock,
    UsageObject,
    choice_of,
    reply,
    steering_of,
    usage_of,
)
from .said import broken, told_apart
from .stream import Events, lanes_of
from .wire import ChatRequest


class Turn(msgspec.Struct, frozen=True):
    """What is answered: the words, what answers, and the request of each choice."""

    ask: ChatRequest
    found: Addressed
    requests: tuple[Request, ...]


class Delivery:
    """One reply. `ping` is set from outside when the caller should hear something; then wake the generation."""

    def __init__(self, call: Call, book: Book, turn: Turn, generation: Generation) -> None:
        self._call, self._book, self._turn, self._generation = call, book, turn, generation
        self._task = asyncio.current_task()
        self._stalled = False
        self.ping = self.writing = False
        self.writes = 0

    def envelope(self, created: int) -> Envelope:
        """What all of the reply has in common."""
        id_ = f"chatcmpl-{self._call.own_id[-24:]}"
        return Envelope(id_, created, self._turn.ask.model, self._turn.found.model.fingerprint)

    def give_up(self) -> None:
        """The caller takes nothing any more: whoever writes stops waiting."""
        if self.writing and not self._stalled and self._task is not None:
            self._stalled = True
            self._task.cancel()

    async def first(self) -> None:
        """Until the backend says something. Raises what it fails with before."""
        generation = self._generation
        while not generation.items:
            if generation.error is not None:
                raise generation.error
            await generation.wait()

    async def whole(self, created: int) -> bytes:
        """The body, once every choice is there."""
        generation = self._generation
        while not generation.whole:
            if generation.error is not None:
                raise generation.error
            await generation.wait()
        usage, block = self._finished()
        choices = [choice for _, choice in sorted(self._book.choices.items())]
        return reply(self.envelope(created), choices, usage, block)

    async def stream(self, created: int, syntax: Syntax, *, stops: bool) -> None:
        """Events until the last one is out; raises what ends the reply before. `stops`: circles end it."""
        generation, choices = self._generation, self._book.choices
        lanes = lanes_of(self._turn.requests, syntax)
        events = Events(self.envelope(created), lanes, usage=self._turn.ask.wants_usage, detects=stops)
        while True:
            out = events.pieces(generation.take())
            if generation.whole:
                await self.write(out + self._ending(events), more=False)
                return
            if len(generation.completions) > len(choices):
                out += self._ended(events)
            if out or self.ping:
                self.ping = False
                await self.write(out or PING)
            if generation.error is not None:
                raise generation.error
            if events.degenerate is not None:
                self._book.degenerate = events.degenerate
                raise _circles(events.degenerate)
            await generation.wait()

    async def write(self, raw: bytes, *, more: bool = True) -> None:
        """Send a piece of the body. Raises `Gone` where nobody takes it."""
        self.writes += 1
        self.writing = True
        try:
            await self._call.send(raw, more=more)
        except asyncio.CancelledError:
            if self._stalled and self._task is not None:
                self._task.uncancel()
                raise Gone from None
            raise
        finally:
            self.writing = False

    def _ended(self, events: Events) -> bytes:
        """The ends of choices that ended while others go on."""
        new = sorted(self._generation.completions.keys() - self._book.choices.keys())
        return b"".join([events.ended(self._told(index)) for index in new])

    def _ending(self, events: Events) -> bytes:
        left = sorted(self._generation.completions.keys() - self._book.choices.keys())
        usage, block = self._finished()
        return events.ending([self._book.choices[index] for index in left], usage, block)

    def _told(self, index: int) -> ChoiceObject:
        request = self._turn.requests[index]
        stem = f"{self._call.own_id[-12:]}_{index}"
        completion = told_apart(self._generation.completions[index], request, stem)
        choice = self._book.choices[index] = choice_of(index, completion, request)
        return choice

    def _finished(self) -> tuple[UsageObject, SteeringBlock]:
        """Everything is there: what it came to."""
        book, turn = self._book, self._turn
        whole = [completion for _, completion in sorted(self._generation.completions.items())]
        for index, completion in enumerate(whole):
            choice = book.choices.get(index) or self._told(index)
            book.degenerate = book.degenerate or broken(completion, choice)
        book.finished(whole)
        turn.found.model.answered()
        block = steering_of(
            book.decided(turn.requests[0].seed),
            book.receipts,
            verbatim=turn.ask.steering is not None and turn.ask.steering.receipts,
            degenerate=book.degenerate,
        )
        return usage_of(book.usage), block


def _circles(cause: str) -> Fault:
    return Fault("degenerate_output", f"the reply went round in circles ({cause}); it was ended", param=cause)
