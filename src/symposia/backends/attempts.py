"""One call as attempts at an endpoint: take a slot, open, pass on; where that fails and may be cured, wait and repeat.

Only what failed before its first delta is repeated here. A stream cut later is `stream_truncated`: whoever showed its
text must discard it, so the repetition is theirs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from symposia.core.clock import Clock
from symposia.core.errors import BackendError, Cause, ContextOverflow
from symposia.core.redact import Redactor
from symposia.core.request import Completion, Delta, Item, Request, Retrying

from .breaker import Breaker
from .causes import AttemptFailed, Failure, lost
from .estimate import estimate
from .governor import Governor, Lease
from .patience import patient
from .policy import Policy

Open = Callable[[Lease], AsyncGenerator[Delta | Completion]]
"""Begins one attempt: deltas, then exactly one completion; raises `AttemptFailed`, already classified.

That is `raise classify(status, headers, ...).error(message) from None`, or `lost("connection")`: never the client
library's own error, which may hold a key. The lease is told the headers of every reply, of errors too:
`lease.heard(headers)`. After its completion the generator ends by itself, its response read to the end.
"""

BROKEN_OFF: frozenset[Cause] = frozenset({"connection", "timeout"})
"""After a delta these are `stream_truncated`."""
CUT: frozenset[Cause] = frozenset({"stream_truncated", "bad_response", "too_large"})
"""These say nothing of whether the endpoint answers."""


async def attempts(
    open_: Open,
    *,
    request: Request,
    policy: Policy = Policy(),
    governor: Governor,
    breaker: Breaker,
    clock: Clock,
    redactor: Redactor,
) -> AsyncGenerator[Item]:
    """Deltas, then one completion whose usage counts every attempt; before the first delta, one `Retrying` a repeat.

    Every attempt takes its own slot of the governor, reserving the prompt's estimate and `max_tokens`. Raises
    `BackendError` (with `attempts`, and `retry_after_s` where the server asked for more than is waited), or
    `ContextOverflow` where the endpoint says what its window is. No error holds a secret the redactor knows, nor an
    error of the client library.
    """
    breaker.check(clock.monotonic())
    prompt = estimate(request).tokens
    attempt = 1
    while True:
        trial = _Trial(request, policy, governor, attempt)
        async with aclosing(trial.run(open_, prompt + request.sampling.max_tokens, clock)) as stream:
            async for delta in stream:
                yield delta
        if trial.completion is not None:
            breaker.answered()
            yield _counted(trial.completion, attempt)
            return
        failure, wait_s = trial.failure, trial.wait_s
        if wait_s is None:
            break
        attempt += 1
        yield Retrying(cause=failure.cause, wait_s=wait_s, attempt=attempt)
        await clock.sleep(wait_s)
    if failure.retried and attempt >= policy.retries.attempts:
        breaker.exhausted(clock.monotonic())
    elif not failure.retried and failure.cause not in CUT:
        breaker.answered()
    if failure.limit is not None:
        raise ContextOverflow(
            tokens=prompt, limit=failure.limit, speaker=request.speaker, reserve=request.sampling.max_tokens
        )
    raise trial.last_words(redactor)


class _Trial:
    """One attempt: its deltas while it runs, then a completion, or a failure and the wait that may cure it."""

    def __init__(self, request: Request, policy: Policy, governor: Governor, attempt: int) -> None:
        self._request, self._policy, self._governor, self._attempt = request, policy, governor, attempt
        self._error: BackendError | None = None
        self._sent = self._started = False
        self.completion: Completion | None = None

    async def run(self, open_: Open, tokens: int, clock: Clock) -> AsyncGenerator[Delta]:
        """The deltas. What ends them is kept, not raised, so that no later error has this one inside."""
        try:
            async with self._governor.lease(tokens) as lease:
                self._sent = True
                try:
                    async with aclosing(patient(open_(lease), self._policy.timeouts, clock)) as items:
                        async for item in items:
                            if self.completion is not None:
                                self.completion = None
                                raise lost("bad_response").error("the stream went on after its completion")
                            if isinstance(item, Completion):
                                self.completion = item
                            else:
                                self._started = True
                                yield item
                    self._settle(lease)
                except BackendError as error:
                    self._error = error
                    self._settle(lease)
        except BackendError as error:  # no lease
            self._error = error

    @property
    def failure(self) -> Failure:
        """Why there is no completion. What breaks off after a delta is a cut stream, whatever broke it."""
        match self._error:
            case None:
                return lost("stream_truncated")
            case AttemptFailed(failure=failure):
                pass
            case BackendError() as error:
                failure = lost(error.cause)
        if self._started and failure.cause in BROKEN_OFF:
            return lost("stream_truncated")
        return failure

    @property
    def wait_s(self) -> float | None:
        """Seconds before another attempt; None: there is none."""
        failure, retries = self.failure, self._policy.retries
        if self._started or not failure.retried or self._attempt >= retries.attempts:
            return None
        return None if self._too_long(failure) else self._wait(failure)

    def _too_long(self, failure: Failure) -> bool:
        return failure.wait_s is not None and failure.wait_s > self._policy.retries.retry_after_max_s

    def _wait(self, failure: Failure) -> float:
        if failure.wait_s is not None:
            return failure.wait_s
        return self._policy.retries.wait_s(self._request.digest, self._attempt)

    def _settle(self, lease: Lease) -> None:
        """Tell the governor what the attempt came to. Of a stream cut or given up nobody knows: it counts in full."""
        if self.completion is not None:
            usage = self.completion.usage
            lease.answered(usage.input_tokens + usage.output_tokens)
            return
        failure = self.failure
        if not self._started and (failure.status is not None or failure.cause == "connection"):
            lease.unused()
        if failure.cause == "rate_limited":
            lease.refused()
            if not self._too_long(failure):
                self._governor.pause(self._wait(failure))

    def last_words(self, redactor: Redactor) -> BackendError:
        """The error to raise, without secrets and without what raised it."""
        failure, error, n = self.failure, self._error, self._attempt
        said = str(error) if error is not None else "the stream ended without a finish reason"
        return BackendError(
            redactor.text(f"{self._governor.endpoint}: {said}" + (f" ({n} attempts)" if n > 1 else "")),
            cause=failure.cause,
            status=failure.status,
            code=redactor.text(failure.code),
            kind=redactor.text(failure.kind),
            retry_after_s=failure.wait_s,
            request_id=redactor.text(error.request_id) if error is not None else "",
            attempts=n if self._sent else n - 1,
        )


def _counted(completion: Completion, attempt: int) -> Completion:
    if attempt == 1:
        return completion
    usage = msgspec.structs.replace(completion.usage, attempts=completion.usage.attempts + attempt - 1)
    return msgspec.structs.replace(completion, usage=usage)
