"""`Conversation`: participants talking, for notebooks and scripts.

Every generating method has an async twin with the prefix `a`; the sync ones work inside a running loop too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Intervention
from symposia.core.message import Message
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.request import Backend, Delta, Prompt, Request
from symposia.core.transcript import Ref, Transcript

from . import conversation_file, portal
from .ask import Ask, ask
from .holder import Holder, Speaker
from .moves import Either, FirstThen, Given, Test, as_condition
from .protocols import RoundRobin, Stop, Turn, TurnProtocol
from .rebuild import rebuild
from .rules import Kit
from .scenario import Scenario, as_prompt
from .session import PLAIN, Extras, Listener
from .stop import FREE, StopCondition, Turns
from .tools import Tools


class Conversation(Holder):
    """Participants talking. The transcript is the state; everything else follows from the scenario."""

    @classmethod
    def from_models(
        cls,
        models: Sequence[Any],
        *,
        names: Sequence[str] | None = None,
        shared_system: str | None = None,
        shared_context: str | None = None,
        prompt: str | Message | None = None,
        sampling: Sampling = Sampling(),
        backend: Backend | None = None,
        tools: Tools = (),
    ) -> Conversation:
        """One participant a model: addresses, or whatever the backend adopts. As many names as models.

        `tools` are typed functions or tools, for everybody or by name.
        """
        names = names if names is not None else [chr(ord("a") + i) for i in range(len(models))]
        if len(names) != len(models):
            raise InvalidInput(f"expected one name a model: {len(models)}; got {len(names)}")
        seats = tuple(
            Participant(name=name, profile=Profile(model=cls._address(model, name), sampling=sampling))
            for name, model in zip(names, models, strict=True)
        )
        scenario = Scenario(
            participants=seats, shared_system=shared_system, shared_context=shared_context, prompt=prompt
        )
        return cls(scenario=scenario, backend=backend, tools=tools)

    async def arun(
        self,
        turns: int | None = None,
        *,
        until: StopCondition | Test | None = None,
        first: Speaker | None = None,
        prompt: str | Message | None = None,
        protocol: TurnProtocol | None = None,
        listen: Listener | None = None,
    ) -> Transcript:
        """Talk on for `turns` turns from here, or until a condition, or until the protocol stops.

        `first` overrides who begins (a RoundRobin only); `prompt` is said before by the last participant; `listen`
        receives `Delta`s and `Message`s as they come. A failed turn raises; what was said before it stays.
        """
        rule = protocol or self.protocol
        ends = turns is not None or until is not None or self.scenario.until is not None
        if not ends and isinstance(rule, RoundRobin) and rule.turns is None:
            raise InvalidInput("nothing ends this run; give turns=, until=, or a protocol that stops")
        with self.session.alone():
            if prompt is not None:
                self._append(as_prompt(prompt, self._prompter(first)))
            at = len(self.transcript)
            if first is not None:
                rule = self._beginning_with(rule, self._name(first), at)
            limit = Turns(turns, at) if turns is not None else None
            outcome = await self.session.play(
                rule,
                self.participants,
                self.transcript,
                replace(self._rules(), until=_joined(limit, as_condition(until) or self.scenario.until)),
                commit=lambda messages: self._append(*messages),
                listen=listen,
            )
            self.stopped = outcome.stop
        return self.transcript

    def run(
        self,
        turns: int | None = None,
        *,
        until: StopCondition | Test | None = None,
        first: Speaker | None = None,
        prompt: str | Message | None = None,
        protocol: TurnProtocol | None = None,
        listen: Listener | None = None,
    ) -> Transcript:
        """See `arun`."""
        return portal.call(
            self.arun(turns, until=until, first=first, prompt=prompt, protocol=protocol, listen=listen)
        )

    async def stream(
        self, turns: int | None = None, *, until: StopCondition | Test | None = None
    ) -> AsyncIterator[Delta | Message]:
        """Run, giving pieces and messages as they come. Leaving the loop early cancels the turn under way."""
        queue: asyncio.Queue[Delta | Message | None] = asyncio.Queue()
        task = asyncio.ensure_future(self.arun(turns, until=until, listen=queue.put_nowait))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (item := await queue.get()) is not None:
                yield item
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def astep(
        self,
        speaker: Speaker | None = None,
        *,
        interventions: Sequence[Intervention] = (),
        captures: Sequence[Capture] = (),
        logprobs: int | None = None,
        max_tokens: int | None = None,
    ) -> Message | None:
        """One turn, by `speaker` or by whoever the protocol calls on; None if a hook denied it or nobody is called."""
        extras = _extras(interventions, captures, logprobs, max_tokens)
        with self.session.alone():
            turns = self._called_on() if speaker is None else (Turn(speaker=self._name(speaker)),)
            if not turns:
                return None
            at = len(self.transcript)
            await self.session.play(
                Given(turns, at),
                self.participants,
                self.transcript,
                self._rules(),
                extras=extras,
                commit=lambda messages: self._append(*messages),
            )
        last = self.transcript[-1]
        return None if last.is_control else last

    def step(
        self,
        speaker: Speaker | None = None,
        *,
        interventions: Sequence[Intervention] = (),
        captures: Sequence[Capture] = (),
        logprobs: int | None = None,
        max_tokens: int | None = None,
    ) -> Message | None:
        """See `astep`."""
        return portal.call(
            self.astep(
                speaker,
                interventions=interventions,
                captures=captures,
                logprobs=logprobs,
                max_tokens=max_tokens,
            )
        )

    async def asample(
        self,
        speaker: Speaker,
        message: str | Message | None = None,
        *,
        author: str | None = None,
        n: int = 1,
        interventions: Sequence[Intervention] = (),
        captures: Sequence[Capture] = (),
        logprobs: int | None = None,
    ) -> Message | tuple[Message, ...]:
        """What `speaker` would say now (after `message`, if given), `n` times; the transcript stays as it is.

        The k-th draw of a conversation has its own seed, so a loop varies and the script reproduces.
        """
        if n < 1:
            raise InvalidInput(f"n: expected at least 1; got {n}")
        name = self._name(speaker)
        start = self._with_message(message, author or self._other(name))
        extras = _extras(interventions, captures, logprobs, None)
        first = self.draws
        self.draws += n
        drawn = await asyncio.gather(*(self._draw(name, start, extras, first + k) for k in range(n)))
        return drawn[0] if n == 1 else tuple(drawn)

    def sample(
        self,
        speaker: Speaker,
        message: str | Message | None = None,
        *,
        author: str | None = None,
        n: int = 1,
        interventions: Sequence[Intervention] = (),
        captures: Sequence[Capture] = (),
        logprobs: int | None = None,
    ) -> Message | tuple[Message, ...]:
        """See `asample`."""
        return portal.call(
            self.asample(
                speaker,
                message,
                author=author,
                n=n,
                interventions=interventions,
                captures=captures,
                logprobs=logprobs,
            )
        )

    async def asample_all(self, message: str | Message | None = None) -> dict[str, Message]:
        """What each participant would say now, side by side; `message` is by the moderator."""
        start = self._with_message(message, self.scenario.view.moderator)
        draw, self.draws = self.draws, self.draws + 1
        names = self.scenario.names
        replies = await asyncio.gather(*(self._draw(name, start, PLAIN, draw) for name in names))
        return dict(zip(names, replies, strict=True))

    def sample_all(self, message: str | Message | None = None) -> dict[str, Message]:
        """See `asample_all`."""
        return portal.call(self.asample_all(message))

    async def aprompt(self, speaker: Speaker) -> Prompt:
        """The prompt its model would be given now, rendered by the backend."""
        return await self.session.backend.render(await self.anext_request(speaker))

    def prompt(self, speaker: Speaker) -> Prompt:
        """See `aprompt`."""
        return portal.call(self.aprompt(speaker))

    async def anext_request(self, speaker: Speaker) -> Request:
        """The request that its turn would be made of now: what patching compares, and twins are made from."""
        asked = await ask(
            self._table(), Turn(speaker=self._name(speaker)), self.transcript, len(self.transcript), FREE
        )
        if not isinstance(asked, Ask):
            raise InvalidInput("this view needs a summary first; take the turn to have it made")
        return asked.request

    def next_request(self, speaker: Speaker) -> Request:
        """See `anext_request`."""
        return portal.call(self.anext_request(speaker))

    def request(self, ref: Ref) -> Request:
        """The request that made a sampled message, rebuilt from the transcript; its digest is the stored one."""
        index = self.transcript.index(ref)
        made = self.transcript[index].provenance
        profile = self.session.profiles.get(made.profile) if made else None
        table = self._table(profile, self.transcript[index].author)
        return rebuild(table, self.transcript, index, protocol=self.protocol)

    def save(self, path: str | Path, *, without: Sequence[str] = (), completions: bool | None = None) -> None:
        """Write `path` (JSON); beside it `completions.jsonl`, on request or if logprobs or captures were asked for.

        `NotSerialisable` names a live field that cannot be stored, unless it is in `without`.
        """
        conversation_file.save(self, Path(path), frozenset(without), completions)

    @classmethod
    def load(
        cls, path: str | Path, *, backend: Backend | None = None, kit: Kit | None = None
    ) -> Conversation:
        """Read a saved conversation. Loading runs nothing, starts nothing, reads no key."""
        return conversation_file.load(cls, Path(path), backend, kit)

    async def _draw(self, name: str, start: Transcript, extras: Extras, k: int) -> Message:
        taken: list[Message] = []
        rules = replace(self._rules(), seed_key=(*self._seed_key(), "draw", k), purpose="sample")
        await self.session.play(
            Given((Turn(speaker=name),), len(start)),
            self.participants,
            start,
            rules,
            extras=extras,
            commit=taken.extend,
        )
        return taken[-1]

    def _called_on(self) -> tuple[Turn, ...]:
        step = self.protocol.next(self.transcript)
        if isinstance(step, Stop):
            self.stopped = step
            return ()
        if len(step) > 1:
            raise InvalidInput(
                f"the protocol calls on {len(step)} speakers at once; use run(), or step(speaker)"
            )
        return step

    def _beginning_with(self, rule: TurnProtocol, first: str, at: int) -> TurnProtocol:
        if not isinstance(rule, RoundRobin):
            raise InvalidInput(f"first= needs a RoundRobin; this conversation follows {type(rule).__name__}")
        return FirstThen(first, at, rule)

    def _prompter(self, first: Speaker | None) -> str:
        """Who says a prompt: the last participant who does not speak right after it."""
        begins = None if first is None else self._name(first)
        return (
            [n for n in self.scenario.names if n != begins][-1]
            if len(self.participants) > 1
            else self.scenario.view.moderator
        )

    def _other(self, name: str) -> str:
        others = [n for n in self.scenario.names if n != name]
        return others[0] if len(others) == 1 else self.scenario.view.moderator

    def _with_message(self, message: str | Message | None, author: str) -> Transcript:
        return self.transcript if message is None else self.transcript.append(as_prompt(message, author))


def _extras(
    interventions: Sequence[Intervention],
    captures: Sequence[Capture],
    logprobs: int | None,
    max_tokens: int | None,
) -> Extras:
    return Extras(
        interventions=tuple(interventions), captures=tuple(captures), logprobs=logprobs, max_tokens=max_tokens
    )


def _joined(limit: Turns | None, until: StopCondition | None) -> StopCondition | None:
    if limit is None or until is None:
        return limit or until
    return Either(limit, until)
