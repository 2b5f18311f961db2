"""An interruption is exit 130, however it reaches a command."""

from __future__ import annotations

import asyncio

import pytest

from symposia.cli.world import guarded, this_world


@pytest.mark.parametrize("raised", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interruption_is_an_exit_code(
    raised: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """asyncio raises the second where the signal comes between a run's beginning and its task's."""

    def work() -> int:
        raise raised

    assert guarded(this_world(), work) == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
