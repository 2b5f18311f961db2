"""A running server in a store's place: what commands do with `--url`."""

from .client import Client
from .keys import RemoteKeys
from .registry import RemoteRegistry

__all__ = ["Client", "RemoteKeys", "RemoteRegistry"]
