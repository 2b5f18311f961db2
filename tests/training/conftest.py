"""The shipped model, loaded once."""

import pytest

from training import shipped
from training.abilities.subject import Subject


@pytest.fixture(scope="session")
def subject() -> Subject:
    """The shipped model in float32."""
    return Subject(shipped.DIRECTORY)
