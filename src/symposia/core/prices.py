"""A price as a list of prices writes it: USD per million tokens."""

from __future__ import annotations

from .errors import InvalidInput
from .usage import NonNegative, Price
from .value import Value


class ListedPrice(Value, frozen=True, kw_only=True):
    """`cached` is also called `cached_input`."""

    input: NonNegative
    output: NonNegative
    cached: NonNegative | None = None
    cached_input: NonNegative | None = None
    cache_write: NonNegative | None = None

    def price(self, where: str) -> Price:
        """The price; `InvalidInput` if both names of one number are given and differ."""
        if None not in (self.cached, self.cached_input) and self.cached != self.cached_input:
            raise InvalidInput(
                f"{where}: cached and cached_input are one number; got {self.cached}, {self.cached_input}"
            )
        cached = self.cached_input if self.cached is None else self.cached
        return Price(input=self.input, output=self.output, cached=cached, cache_write=self.cache_write)
