"""What every test run shares: how many examples a law tries, by HYPOTHESIS_PROFILE."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

for name, examples in {"quick": 25, "default": 100, "thorough": 2000}.items():
    slow_start = [HealthCheck.too_slow]  # the machines that run this have two cores
    settings.register_profile(name, max_examples=examples, deadline=None, suppress_health_check=slow_start)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
