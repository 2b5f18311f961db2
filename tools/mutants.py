"""`python -m tools.mutants [NAME ...]`: defects that must not survive. Each is put into a copy of the tree, alone.

A mutant is one known defect of a debate, written as a change of our own source. The tests named beside it must fail
with it; a mutant that survives is a test that promises nothing. Exit 1 if one survives, or no longer fits the source.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEBATE, TALK = "talk/debate/", "talk/"
PROTOCOL = ("tests/talk/debate", "tests/promises/debate", "tests/evals/replay")
SCORING = ("tests/evals/scorecard", "tests/evals/methods", "tests/evals/statistics")


@dataclass(frozen=True)
class Mutant:
    """`old`, which stands once in `path` below src/symposia, becomes `new`; some of `tests` must fail."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...] = PROTOCOL


MUTANTS = (
    Mutant(
        "same-round answers visible",
        DEBATE + "steps.py",
        "_answer(debate, transcript, rounds[:-1], name, current)",
        "_answer(debate, transcript, rounds, name, current)",
    ),
    Mutant(
        "direction shown a round late",
        DEBATE + "board.py",
        "        lines.append(_user(_entries(held, reader=seat)))",
        "        from dataclasses import replace\n\n"
        "        late = rounds[held.number - 2].direction if held.number > 1 else None\n"
        "        lines.append(_user(_entries(replace(held, direction=late), reader=seat)))",
    ),
    Mutant(
        "first integer as choice",
        DEBATE + "choosing.py",
        "    return read.choice if isinstance(read, Choice) else None",
        "    digits = [int(c) for c in attempt.message.text if c.isdigit()]\n"
        "    prose = next((allowed[n - 1] for n in digits if 0 < n <= len(allowed)), None)\n"
        "    return read.choice if isinstance(read, Choice) else prose",
    ),
    Mutant(
        "default candidate 0",
        DEBATE + "choosing.py",
        "    return read.choice if isinstance(read, Choice) else None",
        "    return read.choice if isinstance(read, Choice) else allowed[0]",
    ),
    Mutant(
        "extraction skipped at max rounds",
        DEBATE + "answer.py",
        "        answer=chosen.said.extracted.text,",
        '        answer=chosen.said.message.text if reason == "max_rounds" else chosen.said.extracted.text,',
    ),
    Mutant(
        "first marker instead of last",
        DEBATE + "extract.py",
        "text.rpartition(MARKER)",
        "(text.partition(MARKER) if MARKER in text else text.rpartition(MARKER))",
    ),
    Mutant(
        "only the first tool call answered",
        DEBATE + "calls.py",
        "        for call in calls\n    )\n\n\ndef _round",
        "        for call in calls[:1]\n    )\n\n\ndef _round",
    ),
    Mutant(
        "one failure cancels siblings",
        TALK + "converse.py",
        "        except SymposiaError as error:\n            return error",
        "        except SymposiaError:\n            raise",
        (*PROTOCOL, "tests/talk/test_marks.py"),
    ),
    Mutant(
        "truncated text accepted",
        DEBATE + "extract.py",
        "        if self.truncated and not self.marker:",
        "        if self.truncated and not self.marker and not self.text:",
    ),
    Mutant(
        "captain sees seat names in selection",
        DEBATE + "choosing.py",
        '        {"label": label, "answer": shown(group[0], shows)}',
        '        {"label": label, "seat": group[0].seat, "answer": shown(group[0], shows)}',
    ),
    Mutant(
        "vote tie by dict order",
        DEBATE + "choosing.py",
        '    return Chosen(tied[0][0], Selection(method="vote", tiebreak="team_order"))',
        "    by_key = sorted(tied, key=lambda group: group[0].key)\n"
        '    return Chosen(by_key[0][0], Selection(method="vote", tiebreak="team_order"))',
    ),
    Mutant(
        "retries without a slot",
        "backends/attempts.py",
        "trial = _Trial(request, policy, governor, attempt)",
        'free = governor if attempt == 1 else type(governor)("free", clock=clock)\n'
        "        trial = _Trial(request, policy, free, attempt)",
        ("tests/backends", "tests/promises/debate"),
    ),
    Mutant(
        "unknown price as 0",
        DEBATE + "ledger.py",
        "    return None if usd is None else _plain(decimal(usd))",
        "    return _plain(decimal(usd or 0))",
        (*PROTOCOL, *SCORING, "tests/cli/debate"),
    ),
    Mutant(
        "samples reused across items",
        "evals/methods/method.py",
        "return (self.setup.seed, self.item.digest, self.repeat, *names)",
        "return (self.setup.seed, self.repeat, *names)",
        SCORING,
    ),
    Mutant(
        "unpaired bootstrap",
        "evals/scorecard/compare.py",
        "    interval = bootstrap([float(d) for d in differences], seed)",
        "    one = bootstrap([sum(a for a, _ in both) / len(both) for both in pairs.values()], seed)\n"
        '    two = bootstrap([sum(b for _, b in both) / len(both) for both in pairs.values()], f"{seed}2")\n'
        "    interval = Interval(one.low - two.high, one.high - two.low)",
        SCORING,
    ),
    Mutant(
        "failures graded wrong",
        "evals/scorecard/grade.py",
        '        return "failed"',
        '        return "wrong"',
        SCORING,
    ),
    Mutant(
        "probe appended to the view",
        DEBATE + "board.py",
        "        lines.append(_user(_entries(held, reader=seat)))",
        "        probes = [markup(repr(scores)) for scores in held.beliefs.values()]\n"
        "        lines.append(_user([*_entries(held, reader=seat), *probes]))",
    ),
)


def killed(tree: Path, mutant: Mutant) -> bool:
    """Whether a test fails with the mutant in the tree. The tree is left as it was."""
    path = tree / "src" / "symposia" / mutant.path
    source = path.read_text(encoding="utf-8")
    found = source.count(mutant.old)
    if found != 1:
        raise SystemExit(f"{mutant.name}: expected its line once in {mutant.path}; found it {found} times")
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run(tree, mutant.tests) != 0
    finally:
        path.write_text(source, encoding="utf-8")


def run(tree: Path, tests: tuple[str, ...]) -> int:
    """pytest's exit code: 0 all passed, 1 one failed; anything else is no verdict and ends this script."""
    there = [test for test in tests if (tree / test).exists()]
    options = (
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow and not gpu and not services and not network",
    )
    environment = {
        **os.environ,
        "HYPOTHESIS_PROFILE": "default",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": "src",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *there],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode


def main(names: list[str]) -> int:
    """Apply the mutants asked for, or all; say of each whether it was killed."""
    wanted = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    if not wanted:
        raise SystemExit(f"no mutant is named so; there are: {', '.join(mutant.name for mutant in MUTANTS)}")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        skipped = shutil.ignore_patterns("__pycache__", ".*", "build", "dist", "runs")
        shutil.copytree(ROOT, tree, ignore=skipped, symlinks=True)
        survivors = []
        for mutant in wanted:
            dead = killed(tree, mutant)
            survivors += [] if dead else [mutant.name]
            print(f"{'killed  ' if dead else 'SURVIVED'}  {mutant.name}", flush=True)
    print(f"{len(wanted) - len(survivors)} of {len(wanted)} killed")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
