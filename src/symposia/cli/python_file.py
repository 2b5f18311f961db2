"""Functions from a Python file somebody allowed to run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from symposia.core.errors import BackendError, InvalidInput


def names_of(path: Path) -> Mapping[str, object]:
    """What the file defines, after running it. `InvalidInput` for no Python file, `BackendError` if it will not run."""
    spec = spec_from_file_location(f"symposia_script_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path.name}: expected a Python file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, OSError) as error:
        raise BackendError(f"{path.name} could not be loaded: {error}", cause="unsupported") from error
    return vars(module)
