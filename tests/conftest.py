"""What every test run shares: examples of a law, by HYPOTHESIS_PROFILE; Ctrl-C that is heard; Triton without a GPU."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from hypothesis import HealthCheck, settings

for name, examples in {"quick": 25, "default": 100, "thorough": 2000}.items():
    slow_start = [HealthCheck.too_slow]  # the machines that run this have two cores
    settings.register_profile(name, max_examples=examples, deadline=None, suppress_health_check=slow_start)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # started in the background by a shell: processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

if not Path("/dev/nvidiactl").exists():  # read when triton is first imported, by whichever test comes first
    os.environ.setdefault("TRITON_INTERPRET", "1")
