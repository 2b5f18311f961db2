"""Where an address's files are: inside this package, a folder, or the Hub's cache."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from symposia.core.errors import BackendError, UnknownModel, UnsupportedRequest
from symposia.core.models import Address, resolve

_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]


@dataclass(frozen=True)
class Place:
    """A local model's address, and the folder or Hub repository that holds it."""

    of: Address

    @property
    def address(self) -> str:
        """The canonical address."""
        return self.of.canonical

    @property
    def source(self) -> str:
        """What the same files always share."""
        return f"{self.of.source}:{self.of.name}"

    @property
    def revision(self) -> str | None:
        """The Hub revision asked for."""
        return self.of.revision

    @property
    def dtype(self) -> str | None:
        """The dtype the address asks for."""
        return self.of.dtype

    def fetch(self) -> Path:
        """The folder, downloaded if it must be. `UnknownModel` or `BackendError` say what is missing."""
        match self.of.source:
            case "bundled":
                folder = Path(str(files("symposia"))) / self.of.name
            case "path":
                folder = Path(self.of.name).expanduser()
            case _:
                return self._download()
        if not (folder / "config.json").is_file():
            raise UnknownModel(
                f"{self.address}: expected a folder with config.json at {folder}; there is none"
            )
        return folder

    def _download(self) -> Path:
        name, revision = self.of.name, self.of.revision
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))
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
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            raise BackendError(
                f"{name} is not in the local cache and the Hub was not reached ({error}); "
                "download it, or give a folder",
                cause="connection",
            ) from error


def locate(address: str) -> Place:
    """What a local address names. Raises `UnknownModel`, or `UnsupportedRequest` for what this engine cannot load."""
    found = resolve(address)
    refused = {
        "a remote endpoint": found.source == "endpoint",
        "a model already in memory: use Engine.adopt": found.source == "loaded",
        "adapter": found.adapter is not None,
        f"quant={found.quant}": found.quant != "none",
    }
    for feature, asked in refused.items():
        if asked:
            raise UnsupportedRequest(
                endpoint="engine",
                model=address,
                feature=feature,
                way_out="give the address of plain local weights",
            )
    return Place(found)
