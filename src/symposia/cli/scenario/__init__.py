"""Scenario files: YAML that a person writes, checked whole before anything runs."""

from __future__ import annotations

from .build import Setting, read_setting
from .located import ScenarioFileError

__all__ = ["ScenarioFileError", "Setting", "read_setting"]
