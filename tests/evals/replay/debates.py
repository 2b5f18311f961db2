"""A debate whose seats say what they have read: their answers follow from the board, so every edit shows."""

from __future__ import annotations

import re
import zlib
from typing import Any

from symposia.backends import Journal, Journalled, Scripted
from symposia.core.message import said
from symposia.core.profile import Profile, Sampling
from symposia.core.request import Request
from symposia.core.transcript import Transcript
from symposia.evals.replay.replaying import Held
from symposia.talk.converse import converse
from symposia.talk.debate import Debate
from symposia.talk.debate.setting import kit_for
from symposia.talk.debate.teams import team
from symposia.talk.rules import Rules

PROFILE = Profile(model="m", sampling=Sampling(temperature=0.7))
RULES = Rules(seed_key=(0, "debate", "1"), conversation="1")
ALL = frozenset({"force", "choices"})


def texts(request: Request) -> str:
    return "\n".join(line.text for line in request.lines)


def heard(request: Request) -> int:
    """A number that changes with every word a speaker was shown, and with nothing else."""
    return zlib.crc32(texts(request).encode()) % 1000


def argue(request: Request) -> Any:
    """Seats answer with what they heard; the captain never agrees, and chooses the first label."""
    if request.choices:
        return request.choices[heard(request) % len(request.choices)]
    if request.force is not None and request.force.name == "conclude":
        return {"consensus": False, "direction": f"You differ; so it seems after {heard(request)}."}
    if request.force is not None:
        return {"choice": request.force.parameters["properties"]["choice"]["enum"][0]}
    return f"I have read it all.\n[[ANSWER]] {heard(request)}"


def lead(request: Request) -> Any:
    """Everybody takes over what `evidence` said before; `evidence` alone knows that it is 42."""
    if request.force is not None or request.choices:
        return argue(request)
    if request.speaker == "evidence":
        return "I have looked.\n[[ANSWER]] 42"
    said = r'"author":"evidence","kind":"answer","content":"[^"]*\[\[ANSWER\]\] (\d+)'
    told = re.findall(said, texts(request))
    mine = {"derivation": 7, "practice": 7}.get(request.speaker, 8)
    return f"So I say.\n[[ANSWER]] {told[-1] if told else mine}"


def debate_of(**fields: Any) -> Debate:
    return Debate(**{"team": team("A"), "captain": PROFILE, "profile": PROFILE, **fields})


async def hold(debate: Debate, script: Scripted, journal: Journal, rules: Rules = RULES) -> Held:
    """A debate held over a journal."""
    question = Transcript((said("moderator", "What is it?"),))
    done = await converse(
        debate,
        debate.participants,
        Journalled(script, journal),
        transcript=question,
        rules=rules,
        kit=kit_for(debate),
    )
    return Held(debate, done.transcript, Journalled(script, journal), rules)


def script(reply: Any = argue, **options: Any) -> Scripted:
    return Scripted(reply, features=ALL, **options)
