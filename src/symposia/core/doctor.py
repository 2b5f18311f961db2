"""The doctor: checks as values, a pure runner, a report that text and JSON render alike."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from .clock import Clock, SystemClock
from .errors import InvalidInput, SymposiaError
from .redact import Redactor
from .usage import Usage
from .value import Count, Value, digest

Status = Literal["ok", "warn", "fail", "skip"]
CheckId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(\.[a-z0-9_]+)+$")]


class Remedy(Value, frozen=True):
    """What to do, and commands to copy."""

    action: str
    commands: tuple[str, ...]


class Finding(Value, frozen=True):
    """What a check saw. A warning or failure carries at least one remedy with a command."""

    status: Status
    message: str
    details: dict[str, Any] = {}
    remedies: tuple[Remedy, ...] = ()

    def __post_init__(self) -> None:
        helped = any(remedy.commands for remedy in self.remedies)
        if self.status in ("warn", "fail") and not helped:
            raise InvalidInput(
                f"a {self.status} finding needs a remedy with a command; got none for {self.message!r}"
            )


class DoctorContext(NamedTuple):
    """What checks may look at. `options` are the opt-ins given on the command line."""

    env: Mapping[str, str]
    cwd: Path
    options: frozenset[str]
    redactor: Redactor


class Check(NamedTuple):
    """One question. It bounds itself (10 s), writes nothing, shows no secret; `opt_in`: its option."""

    id: str
    run: Callable[[DoctorContext], Finding]
    opt_in: str | None = None

    @property
    def group(self) -> str:
        """The id up to its first dot."""
        return self.id.partition(".")[0]


class Strict(Value, frozen=True, kw_only=True):
    """When findings become a failing exit: so many failures, or so many warnings if a threshold is given."""

    enabled: bool = False
    fail_threshold: Annotated[int, Meta(ge=1)] = 1
    warn_threshold: Annotated[int, Meta(ge=1)] | None = None

    def breached_by(self, *, warn: int, fail: int) -> bool:
        """Whether these counts reach a threshold. Never, unless enabled."""
        too_many_warnings = self.warn_threshold is not None and warn >= self.warn_threshold
        return self.enabled and (fail >= self.fail_threshold or too_many_warnings)


class CheckResult(Value, frozen=True, kw_only=True):
    """A finding with its check."""

    id: CheckId
    group: str
    status: Status
    message: str
    details: dict[str, Any]
    duration_ms: Count


class StrictResult(Value, frozen=True, kw_only=True):
    """The strictness asked for, and whether it was breached."""

    enabled: bool
    fail_threshold: int
    warn_threshold: int | None
    breached: bool


class Summary(Value, frozen=True, kw_only=True):
    """How many checks came out how."""

    ok: Count
    warn: Count
    fail: Count
    skip: Count
    total: Count


class Remediation(Value, frozen=True, kw_only=True):
    """A remedy with the check that asks for it."""

    check_id: str
    severity: Literal["warn", "fail"]
    action: str
    commands: tuple[str, ...]


class Report(Value, frozen=True, kw_only=True):
    """The whole examination; exactly what `doctor-report.schema.json` describes."""

    schema_version: Literal[1] = 1
    generated_at: str
    repo: str | None
    strict: StrictResult
    summary: Summary
    checks: tuple[CheckResult, ...]
    remediation: tuple[Remediation, ...]

    @property
    def exit_code(self) -> int:
        """1 when strictness was breached, else 0."""
        return int(self.strict.breached)


def run_checks(
    checks: Iterable[Check],
    context: DoctorContext,
    strict: Strict = Strict(),
    *,
    clock: Clock | None = None,
    repo: str | None = None,
) -> Report:
    """Run every check in order.

    Raises `ValueError` for a duplicate id. `OSError`, `TimeoutError`, `SubprocessError`, `SymposiaError` in a
    check are a failure of what it looked at; any other exception is a bug and passes.
    """
    checks, clock = tuple(checks), clock or SystemClock()
    for name, n in Counter(check.id for check in checks).items():
        if n > 1:
            raise InvalidInput(f"check {name!r} is registered {n} times; ids are unique")
    results: list[CheckResult] = []
    remedies: list[Remediation] = []
    for check in checks:
        began = clock.monotonic()
        finding = _examine(check, context)
        results.append(_result(check, finding, context.redactor, round(1000 * (clock.monotonic() - began))))
        remedies += _remediation(check, finding, context.redactor)
    counts = Counter(result.status for result in results)
    return Report(
        generated_at=datetime.fromtimestamp(clock.time(), UTC).isoformat(timespec="seconds"),
        repo=repo,
        strict=StrictResult(
            enabled=strict.enabled,
            fail_threshold=strict.fail_threshold,
            warn_threshold=strict.warn_threshold,
            breached=strict.breached_by(warn=counts["warn"], fail=counts["fail"]),
        ),
        summary=Summary(
            ok=counts["ok"], warn=counts["warn"], fail=counts["fail"], skip=counts["skip"], total=len(results)
        ),
        checks=tuple(results),
        remediation=tuple(remedies),
    )


def _examine(check: Check, context: DoctorContext) -> Finding:
    if check.opt_in is not None and check.opt_in not in context.options:
        return Finding("skip", f"runs only with --{check.opt_in}")
    try:
        return check.run(context)
    except (OSError, TimeoutError, subprocess.SubprocessError, SymposiaError) as error:
        again = Remedy("See what this check looks at, then run it again", ("symposia doctor --json",))
        return Finding("fail", f"{type(error).__name__}: {error}", {}, (again,))


def _result(check: Check, finding: Finding, redactor: Redactor, duration_ms: int) -> CheckResult:
    return CheckResult(
        id=check.id,
        group=check.group,
        status=finding.status,
        message=redactor.text(finding.message),
        details=redactor.value(finding.details),
        duration_ms=max(duration_ms, 0),
    )


def _remediation(check: Check, finding: Finding, redactor: Redactor) -> Iterable[Remediation]:
    if finding.status == "warn" or finding.status == "fail":  # noqa: PLR1714  narrows the type
        for remedy in finding.remedies:
            commands = tuple(redactor.text(command) for command in remedy.commands)
            action = redactor.text(remedy.action)
            yield Remediation(check_id=check.id, severity=finding.status, action=action, commands=commands)


def doctor_checks() -> tuple[Check, ...]:
    """Core's own checks: the interpreter, msgspec, and that digests come out as everywhere else."""
    return (Check("core.python", _python), Check("core.msgspec", _msgspec), Check("core.digest", _digest))


def _python(context: DoctorContext) -> Finding:
    del context
    return Finding("ok", f"Python {sys.version.split()[0]}", {"executable": sys.executable})


def _msgspec(context: DoctorContext) -> Finding:
    del context
    found = tuple(int(part) for part in msgspec.__version__.split(".")[:2])
    if found >= (0, 22):
        return Finding("ok", f"msgspec {msgspec.__version__}")
    remedy = Remedy("Upgrade msgspec", ("pip install --upgrade 'msgspec>=0.22'",))
    return Finding("fail", f"msgspec {msgspec.__version__}; expected 0.22 or newer", {}, (remedy,))


_EXPECTED = "sha256:369372eb7f1b76e5b68320867260260f95c56a5c2ecb14dd79767687270d6063"


def _digest(context: DoctorContext) -> Finding:
    del context
    got = digest(Usage(input_tokens=3, cost_usd=1))
    if got == _EXPECTED:
        return Finding("ok", "digests agree with the reference")
    remedy = Remedy(
        "Reinstall: stored digests would not be found again", ("pip install --force-reinstall symposia",)
    )
    return Finding("fail", f"digest of a reference value: expected {_EXPECTED}; got {got}", {}, (remedy,))
