"""Fakes and conformance checks for your own protocols and backends: the ones this project is tested with."""

from symposia.backends.scripted import Fault, Scripted
from symposia.core.clock import VirtualClock

from .backends import check_backend
from .protocols import check_protocol
from .served import served

__all__ = ["Fault", "Scripted", "VirtualClock", "check_backend", "check_protocol", "served"]
