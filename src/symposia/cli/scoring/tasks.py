"""`symposia tasks`: what ships, and more of the same."""

from __future__ import annotations

from symposia.cli.exits import DONE
from symposia.cli.table import Table
from symposia.cli.world import guarded, this_world

from .options import TaskListOptions, TaskMakeOptions


def list_tasks(asked: TaskListOptions) -> int:
    """List the task sets that ship, with a question of each."""
    from symposia.core.value import canonical
    from symposia.evals.tasks.sets import SETS, shipped

    world = this_world()

    def listed() -> int:
        if asked.json:
            rows = [
                {"name": name, "items": len(shipped(name)), "kinds": sorted({i.kind for i in shipped(name)})}
                for name in SETS
            ]
            world.out.piece(canonical(rows).decode() + "\n")
            return DONE
        table = Table(("task", "items", "levels", "answers", "for example"), left=1)
        for name in SETS:
            items = shipped(name)
            kinds = ", ".join(sorted({item.kind for item in items}))
            shortest = min((item.question for item in items), key=len)
            table.row(name, str(len(items)), f"1-{max(i.level for i in items)}", kinds, shortest)
        table.print(world.out)
        return DONE

    return guarded(world, listed)


def make_tasks(asked: TaskMakeOptions) -> int:
    """Make items of a task set: the same name, number and seed give the same bytes."""
    from symposia.core.files import write_atomic
    from symposia.evals.tasks.sets import lines, make

    world = this_world()

    def made() -> int:
        raw = lines(make(asked.name, asked.n, asked.seed))
        if asked.out is None:
            world.out.piece(raw.decode())
        else:
            write_atomic(asked.out, raw)
            world.err.line(f"{asked.n} items in {asked.out}", "dim")
        return DONE

    return guarded(world, made)
