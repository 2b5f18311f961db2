"""How many examples of a law are tried, where it is not the profile's own number."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int, **more: object) -> settings:
    """`count` of them with the profile `default`, and more or fewer with others, in proportion.

    A profile's own number of examples is the fewest it makes of a larger count.
    """
    usual, now = 100, settings().max_examples
    return settings(max_examples=max(min(count, now), count * now // usual), **more)
