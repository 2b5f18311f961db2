"""The import contracts catch what they forbid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {p.parent.name for p in (ROOT / "src/symposia").glob("*/__init__.py")} | {
    p.stem for p in (ROOT / "src/symposia").glob("[a-z]*.py")
}
TENSOR = {"interp", "engine"}
MEETING = {"facade", "inside", "debates", "cli"}


def contract(name: str) -> dict[str, list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(c for c in contracts if c["id"] == name)


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the package; what it read of files that are as they were is kept beside it."""
    run = "from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", run, "--cache-dir", str(tree / "read")]
    env = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=tree, env=env, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources."""
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    made = tmp_path_factory.mktemp("contracts")
    shutil.copytree(ROOT / "src/symposia", made / "src/symposia", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", made)
    return made


@pytest.fixture
def tree(copied: Path) -> Iterator[Path]:
    """The copy to break, mended after: what a test put there is taken away."""
    before = set((copied / "src").rglob("*"))
    yield copied
    for planted in sorted(set((copied / "src").rglob("*")) - before, reverse=True):
        planted.rmdir() if planted.is_dir() else planted.unlink()


def plant(tree: Path, package: str, source: str) -> None:
    (tree / "src/symposia" / package / "planted.py").write_text(f'"""Planted."""\n\n{source}\n')


def test_the_tree_keeps_its_contracts(tree: Path) -> None:
    """The tree as it is passes every contract."""
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("package", "source", "broken"),
    [
        ("talk", "import torch", "Text column"),
        ("backends", "import numpy as np", "Text column"),
        ("core", "import transformers", "Text column"),
        ("core", "import rich", "Core"),
        ("core", "from symposia import talk", "Layers"),
        ("talk", "import symposia.backends", "Layers"),
        ("talk", "import symposia.engine", "Text column"),
        ("engine", "import symposia.talk", "Tensor column"),
        ("interp", "from symposia.backends import Scripted", "Tensor column"),
        ("interp", "import symposia.engine", "Layers"),
    ],
)
def test_a_forbidden_import_fails(tree: Path, package: str, source: str, broken: str) -> None:
    """A planted forbidden import breaks the contract that forbids it, by name."""
    plant(tree, package, source)
    done = lint(tree)
    assert done.returncode != 0
    assert [line for line in done.stdout.splitlines() if line.startswith(broken) and " BROKEN" in line], (
        done.stdout
    )


def test_the_detour_fails_too(tree: Path) -> None:
    """Reaching torch through a second, innocent module is as forbidden as importing it."""
    plant(tree, "core", "import torch")
    (tree / "src/symposia/talk/detour.py").write_text(
        "from symposia.core import planted\n\n__all__ = ['planted']\n"
    )
    done = lint(tree)
    assert "symposia.talk.detour -> symposia.core.planted" in done.stdout


def test_a_new_package_needs_a_place(tree: Path) -> None:
    """A package that no layer names fails the exhaustive contract."""
    (tree / "src/symposia/extra").mkdir()
    (tree / "src/symposia/extra/__init__.py").write_text("")
    done = lint(tree)
    assert done.returncode != 0
    assert "extra" in done.stdout


def test_every_text_package_is_under_contract() -> None:
    """Each package outside the tensor column is forbidden torch, and forbidden to the tensor column."""
    text = {f"symposia.{p}" for p in PACKAGES - TENSOR - MEETING}
    assert set(contract("text-column")["source_modules"]) == text
    assert set(contract("tensor-column")["forbidden_modules"]) == text - {"symposia.core"}
    assert set(contract("tensor-column")["source_modules"]) == {f"symposia.{p}" for p in TENSOR & PACKAGES}


def test_core_imports_msgspec_and_the_standard_library_only() -> None:
    """Importing all of core loads nothing that is not msgspec, ours, or in the standard library."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import importlib, pkgutil, symposia.core as core\n"
        "for m in pkgutil.iter_modules(core.__path__): importlib.import_module('symposia.core.' + m.name)\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "import json; print(json.dumps(sorted(m for m in new if not m.startswith('_'))))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    ours = {"symposia", "msgspec", "typing_extensions"}  # the last is loaded by msgspec where it is installed
    assert set(json.loads(done.stdout)) <= ours
