"""Debates to test with: teams of any size, captains and seats that do what a seed says, and one call to hold one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from symposia.backends import Scripted
from symposia.core.errors import BackendError
from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.profile import Profile, Sampling
from symposia.core.request import Backend, Completion, Request, ServedBy
from symposia.core.usage import Usage
from symposia.talk.debate import Debate, Seat, Team
from symposia.talk.debate.hold import Held, hold
from symposia.talk.debate.prompts import roster

PROFILE = Profile(model="m", sampling=Sampling(temperature=0.7, max_tokens=200))
ALL = frozenset({"force", "choices", "tools"})
Reply = Callable[[Request], Any]


def team_of(size: int) -> Team:
    """A team of the first dispositions there are."""
    return Team("some", tuple(Seat(name, name) for name in list(roster("short"))[:size]))


def debate_of(size: int = 3, **fields: Any) -> Debate:
    fields = {"captain": PROFILE, "profile": PROFILE, "prompts": "short", **fields}
    return Debate(team=team_of(size), **fields)


def held(debate: Debate, reply: Reply | Backend, question: str = "What is 6 times 7?", **more: Any) -> Held:
    """The debate, held to its end; a function is a script that can do everything."""
    backend = Scripted(reply, features=ALL) if callable(reply) else reply
    return asyncio.run(hold(question, debate, backend, **more))


def completion(*parts: Any, finish: str = "stop", tokens: int = 5) -> Completion:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return Completion(
        text=text,
        parts=parts,
        finish_reason=finish,  # type: ignore[arg-type]
        usage=Usage(input_tokens=7, output_tokens=tokens),
        served=ServedBy(endpoint="scripted", model="m"),
    )


def called(*arguments: dict[str, Any], name: str = "conclude") -> Completion:
    """A reply of forced calls with these arguments."""
    calls = [ToolCall(id=f"call_{at}", name=name, arguments=one) for at, one in enumerate(arguments)]
    return completion(*calls, finish="tool_calls")


class Wild:
    """Replies of every kind, decided by a seed and by what is asked. Each text is like no other; `said` keeps them."""

    def __init__(self, seed: int, *, failing: float = 0.2, words: Sequence[str] = ("42", "41", "7")) -> None:
        self.seed, self.failing, self.words = seed, failing, words
        self.said: list[str] = []

    def __call__(self, request: Request) -> Any:
        dice = random.Random(f"{self.seed}:{request.digest}")
        if dice.random() < self.failing:
            return self._failed(dice)
        if request.choices:
            return dice.choice(request.choices)
        if request.force is None:
            return self._answer(request, dice)
        return self._choice(request, dice) if request.force.name == "choose" else self._ruling(request, dice)

    def _failed(self, dice: random.Random) -> Any:
        cause = dice.choice(("server_error", "timeout", "content_filter", "invalid_request", "empty_reply"))
        return BackendError("down", cause=cause)

    def _answer(self, request: Request, dice: random.Random) -> Completion:
        unique = f"{request.speaker}-{dice.randrange(10**9)}"
        self.said.append(unique)
        thought = Reasoning(f"secret {unique}")
        end = dice.choice(("", f"\n[[ANSWER]] {dice.choice(self.words)}"))
        first = dice.choice(("", "[[ANSWER]] 9999\n"))
        text = Text(f'{unique} "says" \\ so.\n{first}because{end}')
        return completion(thought, text, finish=dice.choice(("stop", "stop", "stop", "length")))

    def _ruling(self, request: Request, dice: random.Random) -> Any:
        good = {"consensus": dice.random() < 0.3, "direction": f"look {dice.randrange(10**9)}"}
        bad = ({"consensus": "false", "direction": None}, {"consensus": True}, {"x": 1}, {})
        return dice.choice(
            (
                called(good),
                called(good),
                called(good, good),
                called(good, bad[0]),
                called(dice.choice(bad)),
                "They agree.",
            )
        )

    def _choice(self, request: Request, dice: random.Random) -> Any:
        assert request.force is not None
        allowed = request.force.parameters["properties"]["choice"]["enum"]
        return dice.choice(
            (
                called({"choice": dice.choice(allowed)}, name="choose"),
                called({"choice": "1"}, name="choose"),
                "A",
            )
        )
