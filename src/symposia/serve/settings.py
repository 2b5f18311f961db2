"""What a server is told before it starts: one frozen value, read from flags, environment, file and defaults.

Nothing here looks at the machine: the command line passes in what it found. Secrets are not in it, only where they are
to be found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.value import Value

PREFIX = "SYMPOSIA_SERVE_"
"""Environment variables of settings: the prefix, then the setting's name in capitals."""

UPSTREAM = "INFERENCE_BASE_URL"
"""The one variable with a name of its own, as other tools of the trade have it."""

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Name = Annotated[str, Meta(pattern=r"^[^\s@]{1,128}$(?!\n)")]
_LISTS = frozenset({"only", "vectors", "cors_origin"})


class Model(Value, frozen=True, kw_only=True):
    """A name that callers use, and the model address behind it. None: as for all models."""

    name: Name
    address: Annotated[str, Meta(min_length=1)]
    default_output_tokens: Positive | None = None
    max_output_tokens: Positive | None = None


TINY = Model(name="tiny", address="symposia:tiny")


class Settings(Value, frozen=True, kw_only=True):
    """Everything section 2 of the serving specification names. Times in seconds, sizes in bytes.

    `upstream` serves the models of an OpenAI-compatible server, those of `only` if that names some. `upstream_key`
    says where its key is (`env:NAME`, `file:PATH`, `none`); None: in INFERENCE_API_KEY, if that is set.
    `upstream_flavour` says what it makes of the protocol; None: what its address tells.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    store: str = "symposia.db"
    ledger: str = "memory"
    models: tuple[Model, ...] = ()
    upstream: str | None = None
    upstream_key: str | None = None
    upstream_flavour: str | None = None
    only: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ("./vectors",)
    max_body_bytes: Positive = 8 * 1024 * 1024
    max_messages: Positive = 2_048
    max_n: Positive = 8
    default_output_tokens: Positive = 512
    max_output_tokens: Positive = 4_096
    max_in_flight: Positive = 512
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 60.0
    idle_s: Seconds = 30.0
    total_s: Seconds = 600.0
    ping_s: Seconds = 15.0
    write_stall_s: Seconds = 60.0
    drain_s: Annotated[float, Meta(ge=0)] = 30.0
    upstream_rate_status: Literal[429, 529] = 529
    stop_degenerate: bool = False
    pace: Literal["none", "real"] = "none"
    traces: str = "off"
    keys_file: str | None = None
    budget: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    cors_origin: tuple[str, ...] = ()
    insecure_dev: bool = False
    workers: Positive = 1
    server: Literal["uvicorn", "granian"] = "uvicorn"
    log: Literal["json", "text"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otel_content: bool = False

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise InvalidInput(f"models: {', '.join(names)}: each name once")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidInput("tls_cert and tls_key: expected both or neither")
        if self.only and self.upstream is None:
            raise InvalidInput("only: names models of an upstream; expected `upstream` beside it")
        if self.upstream_flavour is not None and self.upstream is None:
            raise InvalidInput("upstream_flavour: is that of an upstream; expected `upstream` beside it")

    @property
    def served(self) -> tuple[Model, ...]:
        """The models named here; the bundled one where neither models nor an upstream are."""
        return self.models or (() if self.upstream else (TINY,))

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


FIELDS = Settings.__struct_fields__


def is_loopback(host: str) -> bool:
    """Whether a host name, as bound to or as asked for (with or without port), is this machine's own."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host
    name = name if name.count(":") > 1 else name.partition(":")[0]
    return name in ("localhost", "::1") or (name.startswith("127.") and name.replace(".", "").isdigit())


def read(
    flags: Mapping[str, object],
    env: Mapping[str, str],
    table: Mapping[str, object],
    *,
    where: str = "[serve]",
    names: Collection[str] = FIELDS,
) -> Settings:
    """Flags before environment before the file's table before defaults. `InvalidInput` names what does not fit.

    `flags` holds those that were given; of all settings but `names` the value is the default. A table's `budget` may be
    a table itself: that is the policy's own, read by whoever opens the ledger, and no setting.
    """
    found: dict[str, object] = {}
    for name, value in table.items():
        known(name, where)
        if not (name == "budget" and isinstance(value, Mapping)):
            found[name] = _models(value, where) if name == "models" else value
    found |= dict(_from_environment(env))
    found |= flags
    return _converted({name: value for name, value in found.items() if name in names})


def models_of(items: list[str]) -> list[dict[str, object]]:
    """`NAME=ADDRESS` as the command line takes it."""
    out: list[dict[str, object]] = []
    for item in items:
        name, equals, address = item.partition("=")
        if not equals or not name or not address:
            raise InvalidInput(f"model {item!r}: expected NAME=ADDRESS, as in tiny=symposia:tiny")
        out.append({"name": name, "address": address})
    return out


def known(name: str, where: str, names: tuple[str, ...] = FIELDS) -> None:
    """Refuse a name that is no setting, naming the nearest one."""
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.0)
        raise InvalidInput(f"{where}: unknown setting {name!r}; the nearest is {near[0]!r}")


def _from_environment(env: Mapping[str, str]) -> list[tuple[str, object]]:
    out: list[tuple[str, object]] = []
    if env.get(UPSTREAM):
        out.append(("upstream", env[UPSTREAM]))
    for variable, text in sorted(env.items()):
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        known(name, variable)
        items = [item.strip() for item in text.split(",") if item.strip()]
        if name == "models":
            out.append((name, models_of(items)))
        else:
            out.append((name, items if name in _LISTS else text))
    return out


def _models(value: object, where: str) -> object:
    """A file's `models`: `{NAME = "ADDRESS"}` or `{NAME = {address = …, max_output_tokens = …}}`."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where}: models: expected a table NAME = ADDRESS; got {type(value).__name__}")
    return [
        {"name": name, **(one if isinstance(one, Mapping) else {"address": one})}
        for name, one in value.items()
    ]


def _converted(found: dict[str, object]) -> Settings:
    plain: dict[str, Any] = {
        name: [value] if name in _LISTS and isinstance(value, str) else value for name, value in found.items()
    }
    if plain.get("upstream") == "":
        plain["upstream"] = None
    try:
        return msgspec.convert(plain, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"settings: {error}") from error
