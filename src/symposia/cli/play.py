"""Playing a scenario: read, check, run, and settle on every exit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symposia.core.errors import InvalidInput, SymposiaError
from symposia.core.events import Event, ModelMoved, TurnDenied, TurnTaken
from symposia.core.request import About, Backend, ModelCard
from symposia.talk import portal
from symposia.talk.conversation_file import read
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Kit
from symposia.talk.scenario import Scenario
from symposia.talk.stop import Turns, Until
from symposia.talk.tools import ToolBox

from .endpoints import backend_for, closing
from .exits import DONE, FAILED, terminable, undisturbed
from .outdir import ACTIVATIONS, CONVERSATION, OutDir, check_same
from .preflight import preflight
from .progress import Progress
from .report import Lines, report
from .scenario import Setting, read_setting
from .screen import Screen
from .world import World

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation

    from .run import RunOptions


def play(asked: RunOptions, world: World) -> int:
    """Play it; the exit code. Raises what was refused before anything was said."""
    setting = read_setting(
        asked.scenario, asked.settings, allow_code=asked.allow_code, allow_mcp=asked.allow_mcp
    ).expanded(asked.row)
    if asked.resume and asked.out is None:
        raise InvalidInput("--resume needs the folder to go on with: --out DIR")
    with ExitStack() as servers:
        setting, box = setting.equipped(servers, world.env)
        return _play(asked, setting, box, world)


def _play(asked: RunOptions, setting: Setting, box: ToolBox, world: World) -> int:
    kept = _kept(asked, setting)
    backend = backend_for(setting, world.env, kept)
    kit = Kit(prices=setting.prices, clock=world.clock, tools=box)
    conversation = _conversation(asked, setting, backend, kit)
    if asked.dry_run:
        from .dry import dry_run

        return dry_run(conversation, world, as_json=asked.shape == "json")
    until = _until(asked, conversation.scenario)
    with terminable(), closing(backend):
        cards = portal.call(preflight(conversation, backend))
        with ExitStack() as stack:
            if kept is not None:
                from symposia.facade import engines_keeping

                stack.enter_context(engines_keeping(kept).store)
                stack.enter_context(conversation.capture(*setting.captures))
            return Run(asked, world, conversation, cards.values()).play(until)


def _kept(asked: RunOptions, setting: Setting) -> Path | None:
    """Where captured rows go: into the run's folder."""
    if not setting.captures or asked.dry_run:
        return None
    if asked.out is None:
        raise InvalidInput(
            "this scenario captures activations, which are kept in the run's folder: give --out DIR"
        )
    return asked.out / ACTIVATIONS


class Run:
    """One run of a conversation, with everybody who follows it."""

    def __init__(
        self, asked: RunOptions, world: World, conversation: Conversation, cards: Iterable[ModelCard]
    ) -> None:
        self.asked, self.world, self.conversation = asked, world, conversation
        self.cards = {card.model: card for card in cards}
        self.before = len(conversation.transcript)
        names = (*conversation.scenario.names, conversation.scenario.view.moderator)
        self.screen = Screen(world.out, names) if asked.shape == "text" else None
        self.lines = Lines(world.out, self.before) if asked.shape == "jsonl" else None
        both = world.out.tty and world.err.tty and self.screen is not None
        self.progress = Progress(world.err, world.clock, self.screen.indent if both and self.screen else 0)
        self.progress.turns = sum(message.took_turn() for message in conversation.transcript)

    def play(self, until: Until | None) -> int:
        """Run to the end. Whatever ends it, what was said is saved and the usage told."""
        conversation, out = self.conversation, self.asked.out
        with ExitStack() as stack:
            kept = None
            if out is not None:
                kept = stack.enter_context(
                    OutDir(out, self.world.clock, self.world.redactor, resume=self.asked.resume)
                )
            self._follow(kept)
            self._begin()
            if kept is not None:
                self.progress.ledger = kept.ledger
                self._compare(kept.weights)
            code = self._run(until)
            with undisturbed():
                if self.screen:
                    self.screen.end()
                if kept is not None and (code == DONE or self._generated):
                    kept.save(conversation)
                self._finish(code, out)
        return code

    @property
    def _generated(self) -> bool:
        return len(self.conversation.transcript) > self.before

    def _run(self, until: Until | None) -> int:
        try:
            self.conversation.run(until=until)
        except (SymposiaError, OSError, ModuleNotFoundError, KeyboardInterrupt) as error:
            if self.screen:
                self.screen.end()
            return self.world.fail(error, generated=self._generated)
        stopped = self.conversation.stopped
        return FAILED if stopped is not None and not stopped.ok else DONE

    def _follow(self, kept: OutDir | None) -> None:
        conversation, progress, screen, lines = self.conversation, self.progress, self.screen, self.lines

        def emit(event: Event) -> None:
            if kept is not None:
                kept.event(event)
                if isinstance(event, TurnTaken | TurnDenied):
                    kept.save(conversation)
            if screen is not None:
                screen.event(event)
            if lines is not None:
                lines.event(event)
            progress.event(event)

        conversation.session.emit = emit
        if screen is not None:
            conversation.session.kit = replace(conversation.session.kit, listen=screen.delta)

    def _begin(self) -> None:
        if self.asked.resume and self.before:
            self.world.err.line(f"going on after {self.before} messages of {self.asked.out}", "dim")
        if self.screen is not None and not self.asked.resume:
            self.screen.begin(self.conversation.transcript)
        elif self.screen is not None:
            self.screen.seek(self.before)

    def _compare(self, weights: Mapping[str, str]) -> None:
        """Say so, in the run's log too, where the run meets other weights than it began with."""
        for model, was in weights.items():
            now = self.cards[model].weights if model in self.cards else was
            if now != was:
                about = About(conversation=self.conversation.id, branch=self.conversation.branch_id)
                self.conversation.session.emit(ModelMoved(about=about, model=model, was=was, now=now))

    def _finish(self, code: int, out: Path | None) -> None:
        conversation, stopped = self.conversation, self.conversation.stopped
        if self.asked.shape == "json":
            self.world.out.piece(report(conversation, self.progress.ledger) + "\n")
        if self.lines is not None:
            self.lines.stopped(conversation, self.progress.ledger)
        self.world.err.line()
        self.progress.usage()
        facts = [f"stopped: {stopped.reason}"] if stopped else []
        if stopped and not stopped.ok:
            facts = [f"stopped, not as asked: {stopped.reason}"]
        if out is not None and (code == DONE or self._generated):
            facts.append(f"saved in {out}" if code == DONE else f"saved in {out}; go on with --resume")
        if facts:
            self.world.err.line(" · ".join(facts), "dim")


def _conversation(asked: RunOptions, setting: Setting, backend: Backend, kit: Kit) -> Conversation:
    """A new conversation, or the one in `--out` if that is to go on."""
    from symposia.facade import Conversation

    fresh = Conversation(scenario=setting.scenario, backend=backend, kit=kit)
    path = asked.out / CONVERSATION if asked.out else None
    if path is None or not path.exists():
        if asked.resume:
            raise InvalidInput(f"{asked.out} holds no {CONVERSATION}; leave --resume out to begin")
        return fresh
    stored = read(path.read_bytes(), str(path)).scenario
    wanted = fresh.scenario
    if setting.scenario.date is None:  # today's, unless the file says otherwise; a run keeps its own
        wanted = msgspec.structs.replace(wanted, date=stored.date)
    way_out = "Take the same file and flags" if asked.resume else "Choose another folder for a new run"
    check_same(stored, wanted, path.parent, way_out)
    return Conversation.load(path, backend=backend, kit=kit) if asked.resume else fresh


def _until(asked: RunOptions, scenario: Scenario) -> Until | None:
    limit = None if asked.turns is None else Turns(asked.turns)
    rule = scenario.rule()
    if limit is None and scenario.until is None and isinstance(rule, RoundRobin) and rule.turns is None:
        raise InvalidInput("nothing ends this conversation: give --turns N, or `until:` in the file")
    if limit is None or scenario.until is None:
        return limit or scenario.until
    return limit | scenario.until
