"""Where an endpoint's key comes from: `env:NAME`, `file:PATH`, `none`, or the endpoint's usual variable.

The environment is passed in; a key is read once, at first use, and is a `Secret` from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from symposia.core.errors import InvalidInput
from symposia.core.redact import Secret


def read_key(source: str | None, *, endpoint: str, usual: str, env: Mapping[str, str]) -> Secret | None:
    """The key of `endpoint`; None for `none`, and where neither `source` nor `usual` names one.

    Without a source: the variable `usual` (`OPENAI_API_KEY`), else the file that `usual` + `_FILE` names. Raises
    `InvalidInput` naming both ways if there is nothing to read.
    """
    if source == "none" or (source is None and not usual):
        return None
    if source is None:
        return _usual(endpoint, usual, env)
    kind, _, name = source.partition(":")
    if kind == "env" and name:
        if value := env.get(name, "").strip():
            return Secret(value)
        raise InvalidInput(f"{endpoint}: {name} is not set; set it, or say key: file:PATH")
    if kind == "file" and name:
        return _from_file(endpoint, name, f"or say key: env:{usual or 'NAME'}")
    raise InvalidInput(f"{endpoint}: key: expected env:NAME, file:PATH or none")


def _usual(endpoint: str, usual: str, env: Mapping[str, str]) -> Secret:
    if value := env.get(usual, "").strip():
        return Secret(value)
    if path := env.get(f"{usual}_FILE", "").strip():
        return _from_file(endpoint, path, f"or set {usual}")
    raise InvalidInput(
        f"{endpoint} has no key: set {usual}, or {usual}_FILE to a file that holds it, "
        f"or say key: env:NAME, file:PATH or none"
    )


def _from_file(endpoint: str, path: str, other_way: str) -> Secret:
    try:
        value = Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{endpoint}: its key file {path} cannot be read ({type(error).__name__}); put the key there, {other_way}"
        ) from None
    if not value:
        raise InvalidInput(f"{endpoint}: its key file {path} is empty; put the key there, {other_way}")
    return Secret(value)
