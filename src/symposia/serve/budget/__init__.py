"""Budgets: which pools a request draws on, held before its first token. Resolution is per field, and never by order."""

from .events import blocked, decided, expired, settled, warned
from .file import form, policy_of, read, written
from .hold import Ask, BudgetExceeded, Decision, enforce, hold, shrunk
from .policy import AmbiguousBudget, CostPolicy, Dim, Limits, Match, Route, Rule
from .resolve import charges, counts_tokens, horizon_s

__all__ = [
    "AmbiguousBudget",
    "Ask",
    "BudgetExceeded",
    "CostPolicy",
    "Decision",
    "Dim",
    "Limits",
    "Match",
    "Route",
    "Rule",
    "blocked",
    "charges",
    "counts_tokens",
    "decided",
    "enforce",
    "expired",
    "form",
    "hold",
    "horizon_s",
    "policy_of",
    "read",
    "settled",
    "shrunk",
    "warned",
    "written",
]
