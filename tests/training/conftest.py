"""Makes the repository root importable, and loads the shipped model once."""

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# The root must be on the path first.
from training import shipped  # noqa: E402
from training.abilities.subject import Subject  # noqa: E402


@pytest.fixture(scope="session")
def subject() -> Subject:
    """The shipped model in float32."""
    torch.set_num_threads(2)
    return Subject(shipped.DIRECTORY)
