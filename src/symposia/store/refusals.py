"""What the registry refuses, and what it found damaged."""

from __future__ import annotations

from collections.abc import Iterable

from symposia.core.errors import InvalidInput, SymposiaError, UnknownName
from symposia.core.value import short


class UnknownProfile(UnknownName):
    """No alias or digest of that model answers to the selector; the message lists those that do."""

    def __init__(self, selector: str, known: Iterable[str], *, archived: bool = False) -> None:
        super().__init__("profile (it is archived)" if archived else "profile", selector, known)
        self.archived = archived


class AmbiguousDigest(InvalidInput):
    """A shortened digest begins those of several profiles."""

    def __init__(self, prefix: str, digests: Iterable[str]) -> None:
        self.prefix, self.digests = prefix, tuple(sorted(digests))
        super().__init__(
            f"{prefix} begins {len(self.digests)} profiles: {', '.join(self.digests)}; give more digits"
        )


class AliasConflict(SymposiaError):
    """The alias is not where the mover believed. Nothing was changed; `current` is where it is."""

    def __init__(self, *, model: str, alias: str, expected: str | None, current: str | None) -> None:
        super().__init__(
            f"alias {alias!r} of {model}: expected it at {expected or 'none'}; it is at {current or 'none'}; "
            "look at what moved it, then decide again"
        )
        self.model, self.alias, self.expected, self.current = model, alias, expected, current


class InUse(InvalidInput):
    """A profile cannot be archived while aliases point at it."""

    def __init__(self, digest: str, aliases: Iterable[str]) -> None:
        self.digest, self.aliases = digest, tuple(sorted(aliases))
        super().__init__(
            f"profile {short(digest)} is in use by {', '.join(self.aliases)}; move them elsewhere first"
        )


class Damaged(SymposiaError):
    """What the store holds is not what was put into it."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is damaged: {why}; `symposia profile audit --verify` finds what else is")
