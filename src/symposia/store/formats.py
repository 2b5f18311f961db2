"""What this package keeps outside its databases: a line of a keys file, the profile in an exported tar."""

from __future__ import annotations

from symposia.core.profile import Profile
from symposia.core.schema import StoredFormat

from .keys import Key


def stored_formats() -> tuple[StoredFormat, ...]:
    """By name and version."""
    return (StoredFormat("symposia.key", 1, Key), StoredFormat("symposia.profile", 1, Profile))
