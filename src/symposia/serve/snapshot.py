"""What a server answers with, as it was read last: keys, profiles, names, budgets, the kill switch. Frozen; no I/O.

Requests look here and nowhere else. Whoever changes something has the next snapshot taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from symposia.core.profile import Profile
from symposia.core.served import KillSwitched

from .auth import Caller
from .budget import CostPolicy

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Snapshot:
    """`profiles` are the live ones by digest, `aliases` digests by model and name. `revision` is the policy's."""

    callers: Mapping[str, Caller] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    policy: CostPolicy = CostPolicy()
    revision: int = 0
    kill: KillSwitched | None = None

    @property
    def killed(self) -> bool:
        """Whether steering is switched off for everything served."""
        return self.kill is not None and self.kill.on

    def named(self, names: frozenset[str]) -> Mapping[str, str]:
        """Digests by alias of a model that is known by any of these names."""
        if not self.aliases:
            return _NONE
        found = [self.aliases[name] for name in sorted(names) if name in self.aliases]
        if not found:
            return _NONE
        return found[0] if len(found) == 1 else {alias: to for each in found for alias, to in each.items()}

    def pointing(self, names: frozenset[str], digest: str) -> tuple[str, ...]:
        """The aliases of a model that point at a profile."""
        return tuple(alias for alias, to in self.named(names).items() if to == digest)

    @cached_property
    def dangling(self) -> tuple[tuple[str, str, str], ...]:
        """Aliases that point at no live profile: model, name, digest."""
        return tuple(
            (model, alias, to)
            for model, named in self.aliases.items()
            for alias, to in named.items()
            if to not in self.profiles
        )
