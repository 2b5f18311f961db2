"""`symposia debate-roster`: the dispositions a team is made of, and the teams that have names."""

from __future__ import annotations

from symposia.cli.exits import DONE
from symposia.cli.world import guarded, this_world

from .options import RosterOptions


def roster(asked: RosterOptions) -> int:
    """List dispositions and teams, or what a seat of one disposition is told."""
    from symposia.talk.debate.prompts import disposition
    from symposia.talk.debate.prompts import roster as standards
    from symposia.talk.debate.teams import DEFAULT, TEAMS

    world = this_world()

    def listed() -> int:
        if asked.disposition is not None:
            world.out.line(disposition(asked.prompts, asked.disposition))
            return DONE
        rows = standards(asked.prompts)
        width = max(map(len, rows))
        for name, standard in rows.items():
            world.out.line(f"{name.ljust(width)}  {standard}")
        world.out.line()
        for team, seats in TEAMS.items():
            note = "  (default)" if team == DEFAULT else ""
            world.out.line(f"team {team.ljust(5)}  {', '.join(seats)}{note}")
        return DONE

    return guarded(world, listed)
