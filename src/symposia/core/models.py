"""Model addresses: a literal table of short names, and how any address resolves.

`[endpoint:]name[@revision][?adapter=..&dtype=..&quant=none|8bit|4bit]`; `@` and `?` for local models only. An
address says where weights are, never how a model chats. Pure: no file is looked at, no endpoint asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import SequenceMatcher
from typing import Literal
from urllib.parse import parse_qsl, quote

import msgspec

from .errors import InvalidInput, UnknownModel, UnknownName
from .modeltable import ALIASES, MODELS, ModelEntry
from .value import Value

LOCAL = "local"
LOADED = "loaded"
Quant = Literal["none", "8bit", "4bit"]
_OPTIONS = ("adapter", "dtype", "quant")
_DTYPES = ("bfloat16", "float16", "float32")
_QUANTS: tuple[Quant, ...] = ("none", "8bit", "4bit")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_PATHS = ("/", ".", "~")  # no owner on the Hub begins with a dot
_PLAIN = "/:@~,"  # what an option's value may hold as it is; the rest is written %XX


class Address(Value, frozen=True, kw_only=True):
    """A resolved address. `source` says what `name` is.

    bundled: a path inside this package. hub: a Hub id. path: a path as written. endpoint: the remote's own
    name. loaded: a model the caller already holds, as `NAME#digest`.
    """

    source: Literal["bundled", "hub", "path", "endpoint", "loaded"]
    name: str
    endpoint: str = LOCAL
    revision: str | None = None
    adapter: str | None = None
    dtype: str | None = None
    quant: Quant = "none"
    short: str | None = None

    @property
    def entry(self) -> ModelEntry | None:
        """The table's row, if the address is in it."""
        return None if self.short is None else MODELS[self.short]

    @property
    def canonical(self) -> str:
        """The one spelling digests use: a short name and its Hub id agree, defaults are left out."""
        if self.source == "endpoint":
            return f"{self.endpoint}:{self.name}"
        if self.source == "loaded":
            return f"{LOADED}:{self.name}"
        base = self.short if self.source == "bundled" and self.short else self.name
        chosen = {
            "adapter": self.adapter,
            "dtype": self.dtype,
            "quant": self.quant if self.quant != "none" else None,
        }
        options = "&".join(
            f"{key}={quote(value, safe=_PLAIN)}" for key, value in chosen.items() if value is not None
        )
        return base + (f"@{self.revision}" if self.revision else "") + (f"?{options}" if options else "")


def resolve(address: str, endpoints: Collection[str] = ()) -> Address:
    """What an address means: table or alias, declared endpoint, path, Hub id, in this order.

    Raises `UnknownModel` with the five nearest names, and `InvalidInput` for options that do not exist.
    """
    if not address or address != address.strip():
        raise InvalidInput(f"model address {address!r}: expected a name without spaces around it")
    if known := _in_table(address):
        return known
    endpoint, colon, rest = address.partition(":")
    if colon and rest:
        if endpoint == LOADED:
            return Address(source="loaded", name=rest, endpoint=LOCAL)
        if endpoint == LOCAL:
            return resolve(rest)
        if endpoint in endpoints:
            return Address(source="endpoint", name=rest, endpoint=endpoint)
    base, options = _split_options(address)
    if is_path(address):
        return _local("path", base, None, options)
    base, _, revision = base.partition("@")
    if is_hub_id(base):
        short = _BY_HUB.get(base)
        return _local("hub", base, revision or None, options, short)
    raise UnknownModel(_unknown(address, endpoints))


def canonical(address: str, endpoints: Collection[str] = ()) -> str:
    """The one spelling of an address that digests use."""
    return resolve(address, endpoints).canonical


def refined(
    address: Address, *, revision: str | None = None, adapter: str | None = None, quant: Quant | None = None
) -> Address:
    """The address with what was said beside it. `InvalidInput` for what it says otherwise, or cannot have."""
    if revision is not None and address.source != "hub":
        raise InvalidInput(
            f"revision={revision!r} of {address.canonical}: only a Hub model has revisions; leave it out"
        )
    if quant is not None and quant not in _QUANTS:
        raise UnknownName("quantization", quant, _QUANTS)
    written: dict[str, str | None] = {
        "revision": address.revision,
        "adapter": address.adapter,
        "quant": address.quant if address.quant != "none" else None,
    }
    beside = {"revision": revision, "adapter": adapter, "quant": quant}
    for name, value in beside.items():
        if value is not None and written[name] not in (None, value):
            raise InvalidInput(
                f"{address.canonical} says {name}={written[name]}, and {name}={value} was said beside it; say it once"
            )
    return msgspec.structs.replace(
        address,
        revision=revision or address.revision,
        adapter=adapter or address.adapter,
        quant=address.quant if quant is None else quant,
    )


def is_path(name: str) -> bool:
    """Whether a name of weights is a folder's: it begins with / . or ~."""
    return name.startswith(_PATHS)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name."""
    return _HUB.fullmatch(name) is not None


def _in_table(address: str) -> Address | None:
    base, options = _split_options(address)
    name, _, revision = base.partition("@")
    short = ALIASES.get(name, name)
    entry = MODELS.get(short)
    if entry is None:
        return None
    if entry.bundled is not None:
        return _local("bundled", entry.bundled, revision or None, options, short)
    return _local("hub", entry.hub, revision or None, options, short)


def _local(
    source: Literal["bundled", "hub", "path"],
    name: str,
    revision: str | None,
    options: str,
    short: str | None = None,
) -> Address:
    given = parse_qsl(options, keep_blank_values=True)
    values = dict(given)
    for key, value in given:
        if key not in _OPTIONS:
            raise UnknownName("model option", key, _OPTIONS)
        if not value or len(values) < len(given):
            raise InvalidInput(f"model option {key!r}: expected it once, with a value; got {options!r}")
    dtype, quant = values.get("dtype"), values.get("quant", "none")
    if dtype is not None and dtype not in _DTYPES:
        raise UnknownName("dtype", dtype, _DTYPES)
    kind = next((known for known in _QUANTS if known == quant), None)
    if kind is None:
        raise UnknownName("quant", quant, _QUANTS)
    return Address(
        source=source,
        name=name,
        revision=revision,
        adapter=values.get("adapter"),
        dtype=dtype,
        quant=kind,
        short=short,
    )


def _split_options(address: str) -> tuple[str, str]:
    base, _, options = address.partition("?")
    return base, options


def _unknown(address: str, endpoints: Collection[str]) -> str:
    names = [*MODELS, *ALIASES, *(f"{name}:" for name in endpoints)]
    nearest = sorted(names, key=lambda name: (-SequenceMatcher(None, address.lower(), name).ratio(), name))[
        :5
    ]
    prefix, colon, _ = address.partition(":")
    declared = ", ".join(sorted(endpoints)) or "none"
    about = f"; no endpoint {prefix!r} is declared (declared: {declared})" if colon else ""
    return (
        f"unknown model {address!r}{about}; nearest: {', '.join(nearest)}. "
        "Give a short name, endpoint:name, owner/name, or a path starting with . / or ~"
    )


_BY_HUB = {entry.hub: short for short, entry in MODELS.items() if entry.bundled is None}
