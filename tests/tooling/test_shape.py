"""The shape script measures rightly and sees each broken rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.shape import BOUNDARIES, REFLECTION, main, measure, percentile

ROOT = Path(__file__).parents[2]
GOOD = 'def f(a: int, b: int, c: int, *, d: int = 0) -> int:\n    """Add."""\n    return a + b + c + d\n'


def broken(tmp_path: Path, source: str, name: str = "some/file.py") -> list[str]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return measure(tmp_path).broken


def test_percentiles_are_nearest_rank() -> None:
    """The smallest size that at least p percent do not exceed."""
    assert percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 90) == 9
    assert percentile([1, 2, 3], 50) == 2
    assert percentile([5], 90) == 5
    assert percentile([], 50) == 0


def test_good_code_passes(tmp_path: Path) -> None:
    """Code within the rules breaks none."""
    assert broken(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("x = 1\n" * 451, 1, "451 lines"),
        ("def f() -> None:\n" + "    x = 1\n" * 70, 1, "71 lines"),
        (
            "def f(a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int) -> None: ...",
            1,
            "8 parameters",
        ),
        ("def f(a: int, b: int, c: int, d: int = 0) -> None: ...", 1, "takes d without a name"),
        ("def f(a) -> None: ...", 1, "no annotation for a"),
        ("def f(*a, **k: int) -> None: ...", 1, "no annotation for a"),
        ("def f(a: int): ...", 1, "no return annotation"),
        ("class A:\n    async def f(self, a): ...", 2, "no annotation for a"),
        ("try:\n    x = 1\nexcept Exception:\n    x = 2", 3, "catches everything"),
        ("try:\n    x = 1\nexcept (OSError, BaseException) as e:\n    x = 2", 3, "catches everything"),
        ("try:\n    x = 1\nexcept:\n    pass", 3, "catches everything"),
        ("x = 1\ny = hasattr(x, 'y')", 2, "reflects"),
    ],
)
def test_each_rule_is_seen(tmp_path: Path, source: str, line: int, message: str) -> None:
    """Each broken rule is named with its file and line."""
    found = [b for b in broken(tmp_path, source) if f"file.py:{line}: " in b]
    assert any(message in b for b in found), found


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def f(self, a: int, b: int, c: int, *, d: int = 0) -> None: ...",
        "def f(a: int, b: int, c: int, d: int) -> None: ...",
        "def _f(a: int, b: int, c: int, d: int = 0) -> None: ...",
        "class A:\n    @staticmethod\n    def f(a: int) -> None: ...",
        "try:\n    x = 1\nexcept BaseException:\n    x = 2\n    raise",
        "try:\n    x = 1\nexcept OSError:\n    x = 2",
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, source: str) -> None:
    """Self is no parameter, required ones may be positional, clean-up may catch all if it raises again."""
    assert broken(tmp_path, source) == []


def test_large_files_on_average_fail(tmp_path: Path) -> None:
    """The median binds even when no single file is too long."""
    assert any("median" in b for b in broken(tmp_path, "x = 1\n" * 151))


@pytest.mark.parametrize("name", [*BOUNDARIES, *REFLECTION])
def test_every_exception_has_a_reason(name: str) -> None:
    """An allowed place says why."""
    assert len({**REFLECTION, **BOUNDARIES}[name].split()) >= 2


def test_the_script_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 with the numbers for good code, 1 with places for bad."""
    broken(tmp_path, GOOD)
    assert main([str(tmp_path)]) == 0
    assert "functions: 1" in capsys.readouterr().out
    broken(tmp_path, "def f(a): ...")
    assert main([str(tmp_path)]) == 1
    assert "some/file.py:1: f has no annotation" in capsys.readouterr().err
