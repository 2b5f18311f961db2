"""`python benchmarks/dose.py [--figure F]`: the ten lines of docs/a_causal_figure_in_ten_lines.md, and their numbers.

The readout is checked against a measure that knows nothing of directions: the share of replies in which the grammar
that taught the model finds warm phrases.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rows import machine  # noqa: E402

from symposia.interp.dose.journal import Journal  # noqa: E402
from symposia.interp.dose.values import Dose, SampleRow  # noqa: E402
from training.grammar.markers import classify  # noqa: E402

PAGE = ROOT / "docs" / "a_causal_figure_in_ten_lines.md"
HEADS = "arm | scale | readout, 95 % | warm phrases | perplexity | KL | salad | wrong way | receipts"


def ten_lines() -> str:
    """The first Python block of the page."""
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def main() -> int:
    """Runs them in a folder of their own; prints a row for each arm."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--figure", type=Path, help="also keep the figure here")
    chosen = options.parse_args()
    figure = None if chosen.figure is None else chosen.figure.resolve()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "examples").symlink_to(ROOT / "examples")
        os.chdir(folder)
        names: dict[str, object] = {}
        exec(ten_lines(), names)
        rows = [row for row in Journal("runs/warmth").rows.values() if isinstance(row, SampleRow)]
        if figure is not None:
            shutil.copy("runs/warmth/dose.svg", figure)
        os.chdir(ROOT)
    found = names["dose"]
    assert isinstance(found, Dose)
    table(found, rows)
    return 0


def table(found: Dose, rows: list[SampleRow]) -> None:
    """All arms on all prompts, then what was chosen."""
    warm: defaultdict[tuple[str, float], list[bool]] = defaultdict(list)
    for row in rows:
        warm[row.kind, row.scale].append(classify(row.text)["sentiment"] == "warm")
    print(machine())
    print(HEADS)
    for r in found.responses:
        share = warm[r.kind, r.scale]
        column = r.concept
        assert column is not None
        anti = "" if r.anti is None else f"{r.anti:.0%}"
        applied = "" if r.applied is None else f"{r.applied:.0%}"
        print(
            f"{r.kind} | {r.scale:g} | {column.mean:.2f} [{column.low:.2f}, {column.high:.2f}] | "
            f"{sum(share) / len(share):.0%} | {r.perplexity:.2f} | {r.kl:.3f} | {r.salad:.0%} | {anti} | {applied}"
        )
    for name, cosines in found.cosines.items():
        print(f"cosines of {name} with the vector: {', '.join(f'{c:+.2f}' for c in cosines)}")
    if found.chosen is not None:
        print(f"chosen on half A, of {found.chosen.tried}: {found.chosen.scale:g}; on half B:")
        for r in found.chosen.on_b:
            assert r.concept is not None
            print(
                f"  {r.kind}: {r.concept.mean:.2f} [{r.concept.low:.2f}, {r.concept.high:.2f}], {r.perplexity:.2f}"
            )


if __name__ == "__main__":
    raise SystemExit(main())
