"""Random-weight models of every family that the tests know, as folders anybody may have downloaded.

`python -m tools.tiny_models [FOLDER]` writes `FOLDER/<family>`, by default below `.cache/tiny`, and `unlisted`, whose
`model_type` is in no anatomy: what is inside it is refused with a list of why.
"""

from __future__ import annotations

import sys
from pathlib import Path

from transformers.utils import logging

from tests.reference.families import FAMILIES, build, save, unlisted

FOLDER = Path(".cache") / "tiny"


def write(folder: Path) -> list[Path]:
    """Every family's folder, written anew."""
    models = {family: build(family, "float32") for family in FAMILIES} | {"unlisted": unlisted()}
    return [save(model, folder / name) for name, model in models.items()]


if __name__ == "__main__":
    logging.set_verbosity_error()  # of special tokens that a family's defaults name and this vocabulary lacks
    logging.disable_progress_bar()
    for path in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(path)
