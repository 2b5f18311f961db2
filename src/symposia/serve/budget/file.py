"""Policies as they are written: TOML or JSON, a rule's limits flat beside its match. The same names everywhere."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.value import Count, Value, canonical
from symposia.serve.ledger import Kind

from .policy import Buckets, CostPolicy, Dim, Fraction, Limits, Match, Name, Rule, Window


class FlatRule(Value, frozen=True, kw_only=True):
    """A rule, its limits beside its match. `Rule` and `Limits` say what the fields mean."""

    match: Match = Match()
    per: tuple[Dim, ...] = ("model", "profile")
    name: Name = ""
    kind: Kind = "budget"
    max_tokens: Count | None = None
    max_requests: Count | None = None
    soft_fraction: Fraction = 0.8
    window_s: Window = 3600.0


class FlatPolicy(Value, frozen=True, kw_only=True):
    """A policy of flat rules. `CostPolicy` says what the fields mean."""

    default: FlatRule = FlatRule()
    overrides: tuple[FlatRule, ...] = ()
    ceilings: tuple[FlatRule, ...] = ()
    hard_limits: bool = True
    buckets: Buckets = 60
    shrink_to_fit: bool = False
    ledger_down: Literal["closed", "open"] = "closed"


def read(path: Path) -> CostPolicy:
    """The policy of a file: JSON if it is called so, else TOML. `InvalidInput` names the file and the field."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: expected a budget in TOML or JSON; {error}") from error
    return policy_of(raw, str(path))


def policy_of(raw: object, what: str = "budget") -> CostPolicy:
    """A policy from the parsed table or JSON object. `InvalidInput` names the field; `AmbiguousBudget` both rules."""
    _refuse_unknown(raw, FlatPolicy, what)
    try:
        flat = msgspec.convert(raw, FlatPolicy)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{what}: {error}") from error
    return CostPolicy(
        default=_nested(flat.default),
        overrides=tuple(map(_nested, flat.overrides)),
        ceilings=tuple(map(_nested, flat.ceilings)),
        hard_limits=flat.hard_limits,
        buckets=flat.buckets,
        shrink_to_fit=flat.shrink_to_fit,
        ledger_down=flat.ledger_down,
    )


def form(policy: CostPolicy) -> dict[str, Any]:
    """The policy as JSON holds it; `policy_of` reads it back."""
    return msgspec.json.decode(written(policy), type=dict[str, Any])


def written(policy: CostPolicy) -> bytes:
    """The policy's canonical JSON, every field written out."""
    return canonical(
        FlatPolicy(
            default=_flat(policy.default),
            overrides=tuple(map(_flat, policy.overrides)),
            ceilings=tuple(map(_flat, policy.ceilings)),
            hard_limits=policy.hard_limits,
            buckets=policy.buckets,
            shrink_to_fit=policy.shrink_to_fit,
            ledger_down=policy.ledger_down,
        )
    )


def _nested(flat: FlatRule) -> Rule:
    limits = Limits(
        max_tokens=flat.max_tokens,
        max_requests=flat.max_requests,
        soft_fraction=flat.soft_fraction,
        window_s=flat.window_s,
    )
    return Rule(match=flat.match, per=flat.per, limits=limits, name=flat.name, kind=flat.kind)


def _flat(rule: Rule) -> FlatRule:
    return FlatRule(
        match=rule.match,
        per=rule.per,
        name=rule.name,
        kind=rule.kind,
        max_tokens=rule.limits.max_tokens,
        max_requests=rule.limits.max_requests,
        soft_fraction=rule.limits.soft_fraction,
        window_s=rule.limits.window_s,
    )


def _refuse_unknown(raw: object, kind: type[Value], what: str) -> None:
    """`UnknownName` with the nearest known key. What is not a table at all is left to the conversion to refuse."""
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        if key not in kind.__struct_fields__:
            raise UnknownName(f"key of {what}", str(key), kind.__struct_fields__)
        below = _BELOW.get(key)
        if below is not None:
            for each in value if isinstance(value, Sequence) else (value,):
                _refuse_unknown(each, below, f"{what}: {key}")


_BELOW: dict[str, type[Value]] = {
    "default": FlatRule,
    "overrides": FlatRule,
    "ceilings": FlatRule,
    "match": Match,
}
