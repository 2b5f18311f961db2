"""What the writes of one model share: vectors on the device, counts, and what runs the instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .bank import Bank, Ledger
from .code import Coder
from .planner import Planner
from .write import TorchWriter, Writer


@dataclass(frozen=True)
class Kit:
    """One for each engine; rows hold places in bank and ledger until they end."""

    bank: Bank
    ledger: Ledger
    planner: Planner
    writer: Writer

    @classmethod
    def of(
        cls,
        width: int,
        dtype: torch.dtype,
        device: torch.device,
        *,
        writer: Callable[[Bank, Ledger], Writer] = TorchWriter,
    ) -> Kit:
        """For sites of at most `width` numbers, in the working dtype."""
        if device.type == "cpu":
            bank, ledger = Bank(width, dtype, device), Ledger(device)
        else:  # room from the start: recorded steps know where these lie, and are recorded anew when they move
            bank, ledger = Bank(width, dtype, device, rows=1024), Ledger(device, slots=16_384)
        return cls(bank, ledger, Planner(Coder(bank, ledger)), writer(bank, ledger))
