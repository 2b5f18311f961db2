"""When a conversation ends, and how much a turn may still use. Pure functions of transcript and tally."""

from __future__ import annotations

from typing import Annotated, Protocol, runtime_checkable

from msgspec import Meta

from symposia.core.drift import DriftMeter, crossings
from symposia.core.errors import InvalidInput
from symposia.core.events import Tally
from symposia.core.transcript import Transcript
from symposia.core.value import Value

Positive = Annotated[int, Meta(ge=1)]


class Allowance(Value, frozen=True, kw_only=True):
    """What one turn may use: at most `max_tokens`, ending right after any of `stop_after`."""

    max_tokens: int | None = None
    stop_after: tuple[str, ...] = ()

    def __and__(self, other: Allowance) -> Allowance:
        """The smaller budget and all strings."""
        caps = [n for n in (self.max_tokens, other.max_tokens) if n is not None]
        strings = tuple(dict.fromkeys(self.stop_after + other.stop_after))
        return Allowance(max_tokens=min(caps) if caps else None, stop_after=strings)


FREE = Allowance()


class Share(Value, frozen=True):
    """Whose turn it is, and how many simultaneous turns share what is left."""

    speaker: str
    turns: int = 1

    def of(self, left: int) -> int:
        """This turn's part of `left`; never 0, since no turn starts with nothing."""
        return max(1, left // self.turns)


class StopCondition(Protocol):
    """A value that says when to stop."""

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        """The reason to stop now, or None."""
        ...

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        """What the turn of `share.speaker` may use."""
        ...


@runtime_checkable
class Compound(Protocol):
    """A condition made of others, which checks before a run must see."""

    @property
    def inner(self) -> tuple[StopCondition, ...]:
        """The conditions it is made of."""
        ...


class Condition(Value, frozen=True, tag_field="type"):
    """Base of the stop conditions that can be saved; joined by `|` and `&`."""

    def __or__(self, other: Until) -> AnyOf:
        return AnyOf((*_members(self, AnyOf), *_members(other, AnyOf)))

    def __and__(self, other: Until) -> AllOf:
        return AllOf((*_members(self, AllOf), *_members(other, AllOf)))

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        raise NotImplementedError

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        return FREE


class Turns(Condition, frozen=True, tag="turns"):
    """`n` turn or control messages at index >= `since`; denied ones count."""

    n: Annotated[int, Meta(ge=0)]
    since: Annotated[int, Meta(ge=0)] = 0

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        taken = sum(m.took_turn() for m in transcript.messages[self.since :])
        return f"turns: {self.n}" if taken >= self.n else None


class Tokens(Condition, frozen=True, tag="tokens"):
    """`n` output tokens over all calls; the last turn gets the rest, so the total lands on n."""

    n: Positive

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return f"tokens: {self.n}" if tally.usage.output_tokens >= self.n else None

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        return Allowance(max_tokens=share.of(self.n - tally.usage.output_tokens))


class TokenBudget(Condition, frozen=True, kw_only=True, tag="token_budget"):
    """A budget for the conversation, for each turn, or both; stops when fewer than `floor` tokens are left."""

    per_conversation: Positive | None = None
    per_turn: Positive | None = None
    floor: Positive = 1

    def __post_init__(self) -> None:
        if self.per_conversation is None and self.per_turn is None:
            raise InvalidInput("token_budget needs per_conversation, per_turn or both")

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        if self.per_conversation is None:
            return None
        left = self.per_conversation - tally.usage.output_tokens
        return f"token_budget: {max(left, 0)} of {self.per_conversation} left" if left < self.floor else None

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        caps = [] if self.per_turn is None else [self.per_turn]
        if self.per_conversation is not None:
            caps.append(share.of(self.per_conversation - tally.usage.output_tokens))
        return Allowance(max_tokens=min(caps))


class Elapsed(Condition, frozen=True, tag="elapsed"):
    """`seconds` of the injected clock since the loop was entered; a turn under way is not cut."""

    seconds: Annotated[float, Meta(gt=0)]

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return f"elapsed: {self.seconds} s" if tally.elapsed_s >= self.seconds else None


class StopString(Condition, frozen=True, kw_only=True, tag="stop_string"):
    """A sampled text (by `by`, if given) holds one of `strings`; framing never counts.

    With `mid_turn` the text ends right after the match, unless case is ignored: then the turn is finished first.
    """

    strings: tuple[Annotated[str, Meta(min_length=1)], ...]
    by: str | None = None
    ignore_case: bool = False
    mid_turn: bool = True

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        wanted = [(s, s.casefold() if self.ignore_case else s) for s in self.strings]
        for message in transcript.messages:
            if message.origin != "sampled" or not message.is_turn() or self.by not in (None, message.author):
                continue
            text = message.text.casefold() if self.ignore_case else message.text
            for string, needle in wanted:
                if needle in text:
                    return f"stop_string: {string!r}"
        return None

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        applies = self.mid_turn and not self.ignore_case and self.by in (None, share.speaker)
        return Allowance(stop_after=self.strings) if applies else FREE


class Cost(Condition, frozen=True, tag="cost"):
    """`usd` spent. A model without a price is refused before the first turn."""

    usd: Annotated[float, Meta(gt=0)]

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        spent = tally.usage.cost_usd
        return f"cost: ${spent:.4f} of ${self.usd:.4f}" if spent is not None and spent >= self.usd else None


class Drifted(Condition, frozen=True, tag="drifted"):
    """A turn went past the meter's limit. Its captures are asked for on the turns of the speakers it watches."""

    meter: DriftMeter

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        past = crossings(transcript, self.meter)
        return f"drifted: {past[0].speaker} {past[0].name} z {past[0].z:+.1f}" if past else None


class AnyOf(Condition, frozen=True, tag="any"):
    """Stops when one holds; a turn gets the smallest allowance and all strings."""

    any: Annotated[tuple[Until, ...], Meta(min_length=1)]

    @property
    def inner(self) -> tuple[StopCondition, ...]:
        """The conditions it is made of."""
        return self.any

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return next((reason for c in self.any if (reason := c.check(transcript, tally))), None)

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        whole = FREE
        for condition in self.any:
            whole = whole & condition.allowance(transcript, tally, share)
        return whole


class AllOf(Condition, frozen=True, tag="all"):
    """Stops when all hold; limits a turn only when all but one hold already."""

    all: Annotated[tuple[Until, ...], Meta(min_length=1)]

    @property
    def inner(self) -> tuple[StopCondition, ...]:
        """The conditions it is made of."""
        return self.all

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        reasons = [c.check(transcript, tally) for c in self.all]
        return " and ".join(r for r in reasons if r) if all(reasons) else None

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        open_ones = [c for c in self.all if c.check(transcript, tally) is None]
        return open_ones[0].allowance(transcript, tally, share) if len(open_ones) == 1 else FREE


Until = Turns | Tokens | TokenBudget | Elapsed | StopString | Cost | Drifted | AnyOf | AllOf


def conditions(until: StopCondition | None) -> tuple[StopCondition, ...]:
    """Every condition inside `until`, itself included."""
    if until is None:
        return ()
    inner = until.inner if isinstance(until, Compound) else ()
    return (until, *(c for member in inner for c in conditions(member)))


def _members(condition: Condition, kind: type[AnyOf | AllOf]) -> tuple[Until, ...]:
    if isinstance(condition, AnyOf) and kind is AnyOf:
        return condition.any
    if isinstance(condition, AllOf) and kind is AllOf:
        return condition.all
    return (condition,)  # type: ignore[return-value]  # every Condition is a member of Until
