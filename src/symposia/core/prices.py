"""A file of prices: USD per million tokens by model address, as JSON. Pure."""

from __future__ import annotations

from .errors import InvalidInput
from .usage import NonNegative, Price
from .value import Value, decode


class PriceForm(Value, frozen=True, kw_only=True):
    """A price as a file may write it: `cached` is also called `cached_input`."""

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


def read_prices(raw: bytes, path: str) -> dict[str, Price]:
    """From `{"openai:gpt-x": {"input": 1.25, "cached_input": 0.125, "output": 10}}`; `InvalidInput` names a misfit."""
    forms = decode(raw, dict[str, PriceForm], path)
    return {model: form.price(f"{path}: {model}") for model, form in forms.items()}
