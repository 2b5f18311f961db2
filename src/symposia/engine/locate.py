"""Where an address's files are: inside this package, a folder, or the Hub's cache."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from symposia.core.errors import BackendError, UnknownModel, UnsupportedFormat, UnsupportedRequest
from symposia.core.models import Address, Quant, is_hub_id, is_path, refined, resolve

_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
_DOUBLES = ["consolidated*", "original/*", "onnx/*"]  # the same weights once more
_ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]


@dataclass(frozen=True)
class Place:
    """A local model's address, and the folder or Hub repository that holds it."""

    of: Address

    @property
    def address(self) -> str:
        """The canonical address."""
        return self.of.canonical

    @property
    def identity(self) -> tuple[object, ...]:
        """The same for the same weights, however a folder is spelt; another one once a folder's files have changed."""
        source = _stamped(self.of.name) if self.of.source == "path" else self.of.name
        adapter = self.of.adapter
        if adapter is not None and is_path(adapter):
            return (self.of.source, source, self.of.revision, self.of.quant, _stamped(adapter))
        return (self.of.source, source, self.of.revision, self.of.quant, adapter)

    @property
    def quantization(self) -> Literal["8bit", "4bit"] | None:
        """What weights are rounded to."""
        return None if self.of.quant == "none" else self.of.quant

    @property
    def dtype(self) -> str | None:
        """The dtype the address asks for."""
        return self.of.dtype

    def fetch(self, *, code: bool = False) -> Path:
        """The folder, downloaded if it must be, `code` included only if it may run.

        `UnknownModel` or `BackendError` say what is missing.
        """
        match self.of.source:
            case "bundled":
                folder = Path(str(files("symposia"))) / self.of.name
            case "path":
                folder = Path(self.of.name).expanduser()
            case _:
                return _download(self.of.name, self.of.revision, [*_PATTERNS, *(["*.py"] if code else [])])
        if (folder / "adapter_config.json").is_file():
            raise UnsupportedFormat(
                expected="a whole model",
                got=f"an adapter; load its base model with adapter={self.of.name!r}, and keep the two in folders "
                "of their own",
                path=str(folder),
            )
        if not (folder / "config.json").is_file():
            raise UnknownModel(
                f"{self.address}: expected a folder with config.json at {folder}; there is none"
            )
        return folder

    def fetch_adapter(self) -> Path | None:
        """The adapter's folder, downloaded if it must be; None without one."""
        name = self.of.adapter
        if name is None:
            return None
        if is_path(name):
            folder = Path(name).expanduser()
            if not folder.is_dir():
                raise UnknownModel(f"adapter {name!r}: expected a folder of a PEFT adapter; there is none")
            return folder
        name, _, revision = name.partition("@")
        if not is_hub_id(name):
            raise UnknownModel(
                f"adapter {name!r}: expected owner/name on the Hub, or a path starting with . / or ~"
            )
        return _download(name, revision or None, _ADAPTER)


def _stamped(name: str) -> tuple[object, ...]:
    """A folder, with name, size and time of each file in it."""
    folder = Path(name).expanduser().resolve()
    files = [(path.name, path.stat()) for path in sorted(folder.glob("*")) if path.is_file()]
    return (folder, *((file, stat.st_size, stat.st_mtime_ns) for file, stat in files))


def _download(name: str, revision: str | None, patterns: list[str]) -> Path:
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=_DOUBLES)
        )
    except GatedRepoError as error:
        raise BackendError(
            f"{name} is gated: accept its licence on https://huggingface.co/{name}, then `hf auth login`",
            cause="auth",
        ) from error
    except RepositoryNotFoundError as error:
        raise BackendError(
            f"{name} is not on the Hub, or is private: check the name, or `hf auth login`",
            cause="not_found",
        ) from error
    except RevisionNotFoundError as error:
        raise BackendError(
            f"{name} has no revision {revision!r}: give a branch, a tag or a commit of https://huggingface.co/{name}",
            cause="not_found",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise BackendError(
            f"{name} is not in the local cache and the Hub was not reached ({error}); "
            "download it, or give a folder",
            cause="connection",
        ) from error


def locate(
    address: str, *, revision: str | None = None, adapter: str | None = None, quant: Quant | None = None
) -> Place:
    """What a local address names, with what is said beside it.

    Raises `UnknownModel`, or `UnsupportedRequest` for what this engine cannot load.
    """
    found = resolve(address)
    refused = {
        "a remote endpoint": found.source == "endpoint",
        "a model already in memory: use Engine.adopt": found.source == "loaded",
    }
    for feature, asked in refused.items():
        if asked:
            raise UnsupportedRequest(
                endpoint="engine",
                model=address,
                feature=feature,
                way_out="give the address of plain local weights",
            )
    return Place(refined(found, revision=revision, adapter=adapter, quant=quant))
