"""The doctor reports exactly what its checks found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.doctor import (
    Check,
    DoctorContext,
    Finding,
    Remedy,
    Report,
    Strict,
    doctor_checks,
    run_checks,
)
from symposia.core.errors import ContextOverflow, InvalidInput
from symposia.core.redact import Redactor
from symposia.core.value import canonical, decode

CONTEXT = DoctorContext({}, Path(), frozenset(), Redactor({"A_KEY": "planted-secret"}))
FIX = Remedy("fix it", ("make fix",))
OK = Check("a.ok", lambda _: Finding("ok", "fine"))
WARN = Check("a.warn", lambda _: Finding("warn", "hm", {"n": 1}, (FIX,)))
FAIL = Check("b.fail", lambda _: Finding("fail", "no", {}, (FIX,)))
SKIP = Check("smoke.agent", lambda _: Finding("ok", "ran"), opt_in="smoke")
ALL = (OK, WARN, FAIL, SKIP)


def test_a_report_counts_every_check_once() -> None:
    """Results stand in order, the counts add up to the total, each warning and failure has its remedy."""
    report = run_checks(ALL, CONTEXT)
    assert [c.id for c in report.checks] == ["a.ok", "a.warn", "b.fail", "smoke.agent"]
    assert [c.status for c in report.checks] == ["ok", "warn", "fail", "skip"]
    assert [c.group for c in report.checks] == ["a", "a", "b", "smoke"]
    summary = report.summary
    assert (summary.ok, summary.warn, summary.fail, summary.skip, summary.total) == (1, 1, 1, 1, 4)
    assert [(r.check_id, r.severity, r.commands) for r in report.remediation] == [
        ("a.warn", "warn", ("make fix",)),
        ("b.fail", "fail", ("make fix",)),
    ]


def test_an_opt_in_runs_when_asked_for() -> None:
    """A check behind an option is skipped without it and run with it."""
    asked = CONTEXT._replace(options=frozenset({"smoke"}))
    assert run_checks((SKIP,), asked).checks[0].message == "ran"
    assert "--smoke" in run_checks((SKIP,), CONTEXT).checks[0].message


@pytest.mark.parametrize(
    ("strict", "code"),
    [
        (Strict(), 0),
        (Strict(enabled=True), 1),
        (Strict(enabled=True, fail_threshold=2), 0),
        (Strict(enabled=True, fail_threshold=2, warn_threshold=1), 1),
        (Strict(enabled=True, fail_threshold=2, warn_threshold=2), 0),
        (Strict(enabled=False, fail_threshold=1, warn_threshold=1), 0),
    ],
)
def test_strictness_decides_the_exit(strict: Strict, code: int) -> None:
    """Not strict: 0. Strict: 1 from the thresholds on."""
    assert run_checks(ALL, CONTEXT, strict).exit_code == code


@pytest.mark.parametrize(
    "error",
    [
        OSError("gone"),
        TimeoutError("late"),
        subprocess.TimeoutExpired(["x"], 1),
        InvalidInput("bad"),
        ContextOverflow(tokens=1, limit=0, speaker="a"),
    ],
)
def test_expected_errors_are_failures(error: Exception) -> None:
    """What the world does wrong fails the check, with a remedy."""

    def run(_: DoctorContext) -> Finding:
        raise error

    report = run_checks((Check("x.y", run),), CONTEXT)
    assert report.checks[0].status == "fail"
    assert type(error).__name__ in report.checks[0].message
    assert report.remediation


def test_a_bug_in_a_check_is_a_bug() -> None:
    """Any other exception passes through."""

    def run(_: DoctorContext) -> Finding:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run_checks((Check("x.y", run),), CONTEXT)


def test_ids_are_unique() -> None:
    """A duplicate id is an error before anything runs."""
    ran: list[int] = []
    twice = Check("x.y", lambda _: ran.append(1) or Finding("ok", ""))  # type: ignore[func-returns-value]
    with pytest.raises(ValueError, match=r"x\.y"):
        run_checks((twice, twice), CONTEXT)
    assert not ran


@pytest.mark.parametrize("status", ["warn", "fail"])
def test_trouble_without_a_way_out_cannot_be_reported(status: str) -> None:
    """A warning or failure needs a remedy with a command."""
    with pytest.raises(InvalidInput, match="remedy"):
        Finding(status, "no")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="remedy"):
        Finding(status, "no", {}, (Remedy("do something", ()),))  # type: ignore[arg-type]


def test_no_secret_is_shown() -> None:
    """A planted secret in a message, detail, remedy or exception is in no report."""
    leak = "planted-secret"
    remedy = Remedy(leak, (f"echo {leak}",))

    def raises(_: DoctorContext) -> Finding:
        raise OSError(leak)

    checks = (Check("x.a", lambda _: Finding("fail", leak, {leak: [leak]}, (remedy,))), Check("x.b", raises))
    assert leak not in canonical(run_checks(checks, CONTEXT)).decode()


def test_time_comes_from_the_clock() -> None:
    """The report's time is the given clock's, in UTC."""
    report = run_checks(ALL, CONTEXT, clock=VirtualClock(start=0.0), repo="r")
    assert report.generated_at == "1970-01-01T00:00:00+00:00"
    assert (report.repo, report.checks[0].duration_ms) == ("r", 0)


def test_a_report_is_what_its_schema_says() -> None:
    """The JSON validates against the stored schema, and reads back."""
    import jsonschema

    path = Path(__file__).parents[2] / "docs/schema/doctor-report.v1.json"
    raw = canonical(run_checks(ALL, CONTEXT))
    jsonschema.validate(json.loads(raw), json.loads(path.read_text()))
    assert decode(raw, Report).summary.total == 4


def test_core_is_well() -> None:
    """Core's own checks pass here."""
    assert {c.status for c in run_checks(doctor_checks(), CONTEXT).checks} == {"ok"}
