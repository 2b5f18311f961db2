"""What deserves a second look in a debate, by name. Pure; a flag of a seat and a round reads `name:seat:round`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .beliefs import STILL, Belief, argmax, beliefs_of
from .keys import group_key
from .reading import Round, Said
from .rulings import ruling_of
from .values import Ruling

if TYPE_CHECKING:
    from .protocol import Debate


def flags_of(rounds: Sequence[Round], debate: Debate, reason: str) -> tuple[str, ...]:
    """Every flag of a debate that ended for `reason`, round by round, seats in team order."""
    found: list[str] = []
    before: dict[str, Belief] = {}
    for at, held in enumerate(rounds):
        for said in held.answers:
            found += (f"{name}:{said.seat}:{held.number}" for name in _form(said))
        beliefs = beliefs_of(held, debate, rounds[: at + 1]) if debate.reads_beliefs else {}
        earlier = rounds[at - 1] if at else None
        for said in held.answers:
            if said.seat in beliefs:
                named = _belief(said, beliefs[said.seat], debate)
                named += _conformed(said, earlier, before.get(said.seat), beliefs[said.seat])
                found += (f"{name}:{said.seat}:{held.number}" for name in named)
        if _false_consensus(held, beliefs, debate):
            found.append(f"false_consensus:{held.number}")
        before = beliefs
    if reason == "sprt_split":
        found.append("split")
    return tuple(found)


def _form(said: Said) -> Iterator[str]:
    if not said.extracted.marker:
        yield "marker_missing"
    if said.extracted.truncated:
        yield "truncated"


def _belief(said: Said, belief: Belief, debate: Debate) -> list[str]:
    top = argmax(belief)
    if top is None or group_key(top, debate.kind, debate.options) == said.key:
        return []
    return ["says_not_believes"]


def _conformed(said: Said, earlier: Round | None, before: Belief | None, after: Belief) -> list[str]:
    """It gave up its answer, though it went on to hold that one about as likely as before."""
    old = None if earlier is None else earlier.answer_of(said.seat)
    if old is None or before is None or old.key == said.key:
        return []
    was = next((share for choice, share in before.items() if choice == old.extracted.text), None)
    now = after.get(old.extracted.text, 0.0)
    return ["conformed"] if was is not None and was - now < STILL else []


def _false_consensus(held: Round, beliefs: dict[str, Belief], debate: Debate) -> bool:
    if debate.stop != "captain":
        return False
    ruling = ruling_of(held)
    tops = {argmax(belief) for belief in beliefs.values()}
    return isinstance(ruling, Ruling) and ruling.consensus and len(tops) > 1
