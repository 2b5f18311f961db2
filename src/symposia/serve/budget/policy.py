"""What may be spent, by whom, in which time: values. A policy that could be read in two ways cannot be made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Literal
from urllib.parse import quote

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.served import Field
from symposia.core.value import Count, Value, canonical
from symposia.serve.ledger import Kind

Dim = Literal["model", "profile", "key"]
Fraction = Annotated[float, Meta(gt=0, le=1)]
Window = Annotated[float, Meta(ge=0.001, le=31_622_400)]
Buckets = Annotated[int, Meta(ge=1, le=1000)]
Name = Annotated[str, Meta(pattern=r"^[^\[\]\n]{0,100}$")]
_PLAIN = "/:@.-_+ "


class AmbiguousBudget(InvalidInput):
    """Two overrides could decide the same field of one request, and nothing says which."""

    def __init__(self, field: Field, one: Rule, other: Rule) -> None:
        union = {**one.match.named, **other.match.named}
        same = union in (one.match.named, other.match.named)
        way_out = (
            "keep one of them"
            if same
            else f"add an override that matches {canonical(union).decode()} and sets max_{field}"
        )
        super().__init__(
            f"overrides {one.shown} and {other.shown} both set max_{field} for requests that both match; "
            f"expected one to be more specific; {way_out}"
        )
        self.field, self.one, self.other = field, one, other


class Route(Value, frozen=True, kw_only=True):
    """Whom a request belongs to. `profile`: the alias asked for, the arm of a canary, a digest, or `none`."""

    model: str
    profile: str = "none"
    key: str = ""

    @property
    def named(self) -> dict[Dim, str]:
        """By dimension."""
        return {"model": self.model, "profile": self.profile, "key": self.key}


class Match(Value, frozen=True, kw_only=True):
    """The requests a rule is for: equal in every dimension named."""

    model: str | None = None
    profile: str | None = None
    key: str | None = None

    @property
    def named(self) -> dict[Dim, str]:
        """The dimensions named."""
        every: dict[Dim, str | None] = {"model": self.model, "profile": self.profile, "key": self.key}
        return {dim: value for dim, value in every.items() if value is not None}

    def matches(self, route: Route) -> bool:
        """Whether the rule is for this request."""
        return self.named.items() <= route.named.items()


class Limits(Value, frozen=True, kw_only=True):
    """At most so much in every `window_s` seconds; None: no limit. A warning at `soft_fraction` of it."""

    max_tokens: Count | None = None
    max_requests: Count | None = None
    soft_fraction: Fraction = 0.8
    window_s: Window = 3600.0

    @property
    def by_field(self) -> dict[Field, int]:
        """The limits there are."""
        every: dict[Field, int | None] = {"tokens": self.max_tokens, "requests": self.max_requests}
        return {field: limit for field, limit in every.items() if limit is not None}


class Rule(Value, frozen=True, kw_only=True):
    """Limits of each pool: one for every combination of values of the dimensions in `per`."""

    match: Match = Match()
    per: tuple[Dim, ...] = ("model", "profile")
    limits: Limits = Limits()
    name: Name = ""
    kind: Kind = "budget"

    def __post_init__(self) -> None:
        if len(set(self.per)) != len(self.per):
            raise InvalidInput(f"per: expected each dimension once; got {', '.join(self.per)}")

    @property
    def shown(self) -> str:
        """The rule for a message: its name, and what it matches."""
        match = canonical(self.match.named).decode()
        return f"{self.name!r} {match}" if self.name else match

    def pool(self, route: Route, otherwise: str) -> str:
        """The name of the pool a request draws on; `otherwise` stands for a rule that has no name of its own."""
        values = {dim: value for dim, value in route.named.items() if dim in self.per}
        name = self.name or _listed(self.match.named) or otherwise
        return f"{name}[{_listed(values)}]" if values else name


class CostPolicy(Value, frozen=True, kw_only=True, cache_hash=True):
    """Every budget of a server. `InvalidInput`, `AmbiguousBudget` among it, if requests could be charged in two ways.

    A field's limit is that of the matching override that names most dimensions, else the default's; ceilings all
    apply as well. `hard_limits=False` refuses nothing and goes on counting. `shrink_to_fit` lowers a request's maximum
    output to what is free. `ledger_down`: what happens to requests while the ledger cannot be asked.
    """

    default: Rule = Rule()
    overrides: tuple[Rule, ...] = ()
    ceilings: tuple[Rule, ...] = ()
    hard_limits: bool = True
    buckets: Buckets = 60
    shrink_to_fit: bool = False
    ledger_down: Literal["closed", "open"] = "closed"

    def __post_init__(self) -> None:
        if self.default.match.named:
            raise InvalidInput(
                f"default: expected no match; got {self.default.shown}; a rule for some requests is an override"
            )
        for field in ("tokens", "requests"):
            _refuse_ambiguous(self.overrides, field)
        _refuse_equal_pools(self)

    @property
    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Every rule, with the name it has if it gives none and matches everything."""
        yield "default", self.default
        yield from (("override", rule) for rule in self.overrides)
        yield from (("ceiling", rule) for rule in self.ceilings)


def _listed(values: dict[Dim, str]) -> str:
    return ",".join(f"{dim}={quote(value, safe=_PLAIN)}" for dim, value in values.items())


def _refuse_ambiguous(overrides: tuple[Rule, ...], field: Field) -> None:
    setting = [rule for rule in overrides if field in rule.limits.by_field]
    matched = [rule.match.named for rule in setting]
    for one, other in combinations(setting, 2):
        a, b = one.match.named, other.match.named
        if len(a) != len(b) or any(b.get(dim, value) != value for dim, value in a.items()):
            continue
        if a == b or {**a, **b} not in matched:
            raise AmbiguousBudget(field, one, other)


def _refuse_equal_pools(policy: CostPolicy) -> None:
    nobody = Route(model="", profile="", key="")
    seen: dict[tuple[str, Field], Rule] = {}
    for kind, rule in policy.rules:
        for field in rule.limits.by_field:
            known = seen.setdefault((rule.pool(nobody, kind), field), rule)
            if known is not rule:
                raise InvalidInput(
                    f"rules {known.shown} and {rule.shown} would share one pool of {field}; "
                    f"give each {kind} a name of its own"
                )
