"""What is kept: the event log, the profile registry with its audit, the keys. In memory, SQLite or PostgreSQL."""

from .storage import Storage, opened

__all__ = ["Storage", "opened"]
