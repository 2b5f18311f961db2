"""Every promise of this folder, over both runners."""

from __future__ import annotations

import pytest

from tests.reference.asking import RUNNER


@pytest.fixture(params=["hf", "lean"], autouse=True)
def runner(request):
    token = RUNNER.set(request.param)
    yield request.param
    RUNNER.reset(token)
