"""A live check of an endpoint against its row of the table: what it is asked, what came, whether that holds.

Of what the row refuses nothing is sent: the row holds where the refusal came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from symposia.backends.hosted import Hosted
from symposia.core.errors import BackendError, SymposiaError, UnsupportedRequest
from symposia.core.intervention import Add
from symposia.core.lines import Line, Segment
from symposia.core.message import Reasoning, ToolCall
from symposia.core.profile import Sampling
from symposia.core.request import Completion, ModelCard, Request
from symposia.core.toolspec import ToolSpec
from symposia.core.value import Value

ADD = ToolSpec(
    name="add",
    description="The sum of two whole numbers.",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)
_SHAPE = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}


class Held(Value, frozen=True, kw_only=True):
    """A row that was checked."""

    what: str
    holds: bool
    saw: str


class Differs(Exception):
    """What came is not what the row says."""


Check = Callable[[], Awaitable[str]]


async def check_rows(backend: Hosted, model: str) -> tuple[Held, ...]:
    """Every row, in order. Raises what keeps the endpoint from answering at all: no key, nobody there."""
    try:
        checks = _Rows(backend, model, await backend.describe(model))
        begun = await checks.begin()
        return (begun, *[await _held(what, check) for what, check in checks.rows().items()])
    finally:
        await backend.aclose()


async def _held(what: str, check: Check) -> Held:
    try:
        return Held(what=what, holds=True, saw=await check())
    except UnsupportedRequest as error:
        return Held(what=what, holds=True, saw=f"refused, not sent: {error.feature}")
    except (Differs, SymposiaError) as error:
        return Held(what=what, holds=False, saw=str(error))


class _Rows:
    """What is asked of one model, a few tokens each."""

    def __init__(self, backend: Hosted, model: str, card: ModelCard) -> None:
        self._backend, self._card = backend, card
        self._plain = _asked(model, "Name three colours.")

    async def begin(self) -> Held:
        """A streamed reply with a finish reason and its usage."""
        done, deltas = await self._said(self._plain)
        counted = not done.usage.estimated
        saw = f"{deltas} deltas, {done.finish_reason}, {done.usage.output_tokens} tokens"
        return Held(
            what="stream and usage", holds=counted, saw=saw if counted else f"{saw}, estimated: no usage came"
        )

    def rows(self) -> dict[str, Check]:
        """The rows after the first."""
        return {
            "max_tokens": self._max_tokens,
            "temperature, top_p": lambda: self._accepts(temperature=0.5, top_p=0.9),
            "top_k": lambda: self._accepts(top_k=20),
            "min_p": lambda: self._accepts(min_p=0.05),
            "repetition penalty": lambda: self._accepts(repetition_penalty=1.1),
            "seed": self._seed,
            "stop": self._stop,
            "stop_after": self._stop_after,
            "logprobs": self._logprobs,
            "thinking": self._thinking,
            "tools": self._tools,
            "force": self._force,
            "schema": self._schema,
            "unknown model": self._unknown,
            "interventions": self._interventions,
        }

    async def _max_tokens(self) -> str:
        done, _ = await self._said(_sampled(self._plain, max_tokens=3))
        if done.usage.output_tokens > 3:
            raise Differs(f"3 tokens were allowed, {done.usage.output_tokens} came")
        return f"{done.usage.output_tokens} of 3 tokens, {done.finish_reason}"

    async def _accepts(self, **changes: float) -> str:
        done, _ = await self._said(_sampled(self._plain, **changes))
        return f"accepted: {_short(done.text)}"

    async def _seed(self) -> str:
        asked = replace(_sampled(self._plain, temperature=1.0), seed=7, seed_required=True)
        texts = {(await self._said(asked))[0].text for _ in range(2)}
        seed = (await self._said(asked))[0].served.seed
        if seed == "honoured" and len(texts) > 1:
            raise Differs("the row says honoured; the same seed gave two texts")
        return f"{seed}; the same seed gave {'one text' if len(texts) == 1 else 'two texts'}"

    async def _stop(self) -> str:
        done, _ = await self._said(
            replace(_count(self._plain), sampling=Sampling(max_tokens=40, stop=("3",)))
        )
        if "3" in done.text:
            raise Differs(f"text came after the stop string: {_short(done.text)}")
        return f"{done.finish_reason}: {_short(done.text)}"

    async def _stop_after(self) -> str:
        done, _ = await self._said(replace(_count(self._plain), stop_after=("3",)))
        met = "3" in done.text or done.finish_reason == "stop_string"
        if met and not done.text.endswith("3"):
            raise Differs(f"the text does not end with the string: {_short(done.text)}")
        return f"{done.finish_reason}: {_short(done.text)}"

    async def _logprobs(self) -> str:
        done, _ = await self._said(replace(self._plain, logprobs=2))
        if done.logprobs is None:
            raise Differs("none came")
        beside = len(done.logprobs.top[0]) if done.logprobs.top else 0
        return f"{len(done.logprobs.chosen)} tokens, {beside} beside each"

    async def _thinking(self) -> str:
        modes = [mode for mode in self._card.thinking if mode not in ("auto", "off")]
        asked = _sampled(self._plain, thinking=modes[0] if modes else "low", max_tokens=1024)
        done, _ = await self._said(asked)
        thought = sum(len(part.text) for part in done.parts if isinstance(part, Reasoning))
        return f"{asked.sampling.thinking}: {thought} characters of reasoning, {done.usage.reasoning_tokens} tokens"

    async def _tools(self) -> str:
        asked = replace(_asked(self._plain.model, "Use the tool to add 19 and 23.", 256), tools=(ADD,))
        done, _ = await self._said(asked)
        calls = [part for part in done.parts if isinstance(part, ToolCall)]
        if not calls:
            raise Differs(f"no call came ({done.finish_reason}): {_short(done.text)}")
        answered, _ = await self._said(replace(asked, lines=(*asked.lines, *_trail(done, calls))))
        return f"{calls[0].name}({calls[0].arguments}), then {_short(answered.text)}"

    async def _force(self) -> str:
        done, _ = await self._said(replace(_asked(self._plain.model, "Say hello.", 256), force=ADD))
        calls = [part for part in done.parts if isinstance(part, ToolCall)]
        if [call.name for call in calls] != ["add"] or calls[0].error:
            raise Differs(f"expected one readable call of add; got {calls or done.text!r}")
        return f"add({calls[0].arguments})"

    async def _schema(self) -> str:
        done, _ = await self._said(replace(_asked(self._plain.model, "A word?", 128), schema=_SHAPE))
        if '"word"' not in done.text:
            raise Differs(f"no JSON of the schema came: {_short(done.text)}")
        return _short(done.text)

    async def _unknown(self) -> str:
        asked = replace(self._plain, model=f"{self._plain.model}-that-nobody-has")
        try:
            done, _ = await self._said(asked)
        except BackendError as error:
            if error.cause in ("not_found", "invalid_request"):
                return error.cause
            raise
        raise Differs(f"it answered all the same: {_short(done.text)}")

    async def _interventions(self) -> str:
        await self._said(replace(self._plain, interventions=(Add(vector="sha256:" + "0" * 64, layers=(0,)),)))
        raise Differs("it was sent")

    async def _said(self, request: Request) -> tuple[Completion, int]:
        items = [item async for item in self._backend.generate(request)]
        assert isinstance(items[-1], Completion)
        return items[-1], len(items) - 1


def _asked(model: str, text: str, max_tokens: int = 32) -> Request:
    segment = Segment(text=text, phase="prompt", author="you", turn=0)
    line = Line(role="user", segments=(segment,), kind="turn")
    return Request(
        model=model, lines=(line,), speaker="model", turn=1, sampling=Sampling(max_tokens=max_tokens), seed=1
    )


def _count(request: Request) -> Request:
    return _asked(request.model, "Count from 1 to 5, digits separated by spaces, nothing else.", 40)


def _sampled(request: Request, **changes: float | str) -> Request:
    return replace(request, sampling=replace(request.sampling, **changes))


def _trail(done: Completion, calls: list[ToolCall]) -> tuple[Line, ...]:
    thoughts = tuple(part for part in done.parts if isinstance(part, Reasoning))
    said = (Segment(text=done.text, phase="answer", author="model", turn=1),) if done.text else ()
    own = Line(role="assistant", segments=said, kind="trail", calls=tuple(calls), reasoning=thoughts)
    results = (
        Line(
            role="tool",
            segments=(Segment(text="42", phase="tool", author="tool", turn=1),),
            kind="trail",
            call_id=call.id,
            call_name=call.name,
        )
        for call in calls
    )
    return (own, *results)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
