"""`python benchmarks/tiny_abilities.py [--quick] [--json FILE]`: what symposia:tiny can do."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from training import shipped
from training.abilities.measure import abilities, settings
from training.abilities.row import table


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a fifth of the samples")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--model", type=Path, default=shipped.DIRECTORY, help="a model directory")
    chosen = parser.parse_args()
    rows = []
    steered = shipped.recorded().steering if chosen.model == shipped.DIRECTORY else settings(chosen.model)
    for row in abilities(chosen.model, steered, quick=chosen.quick):
        rows.append(row)
        print(" · ".join(row.cells()), file=sys.stderr, flush=True)
    print(table(rows))
    if chosen.json is not None:
        entries = [{**asdict(row), "passed": row.passed} for row in rows]
        chosen.json.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
