"""Every name a scenario file uses is somebody in it."""

from __future__ import annotations

from collections.abc import Iterator

from symposia.backends.endpoint import ScriptedEndpoint
from symposia.core.errors import UnknownName
from symposia.talk.fit import Summarise
from symposia.talk.hooks import JudgeHook
from symposia.talk.moderated import Moderated
from symposia.talk.protocols import Once
from symposia.talk.stop import AllOf, AnyOf, StopString, Until
from symposia.talk.summary import FUNCTION

from .form import ScenarioForm
from .located import Path
from .tree import Tree


def check_names(form: ScenarioForm, tree: Tree) -> None:
    """Raise the error of the first name that nobody has, at its place."""
    known = tuple(form.participants)
    for path, name in (*_protocol(form), *_until(form.until, ("until",)), *_others(form)):
        if name not in known:
            raise tree.error(path, str(UnknownName("participant", name, known)))
    for path, name in _scripts(form):
        if name not in known:
            raise tree.error(path, str(UnknownName("participant", name, known)), at_key=True)
    heard = {*known, "system", form.view.moderator}
    for path, name in _audiences(form):
        if name not in heard:
            raise tree.error(path, str(UnknownName("participant", name, known)))


def _protocol(form: ScenarioForm) -> Iterator[tuple[Path, str]]:
    protocol = form.protocol
    if protocol is None:
        return
    if isinstance(protocol, Once):
        yield ("protocol", "speaker"), protocol.speaker
        return
    if isinstance(protocol, Moderated):
        yield ("protocol", "moderator"), protocol.moderator
    for index, name in enumerate(protocol.speakers):
        yield ("protocol", "speakers", index), name


def _until(condition: Until | None, path: Path) -> Iterator[tuple[Path, str]]:
    match condition:
        case StopString(by=str(name)):
            yield (*path, "by"), name
        case AnyOf(any=inner):
            for index, one in enumerate(inner):
                yield from _until(one, (*path, "any", index))
        case AllOf(all=inner):
            for index, one in enumerate(inner):
                yield from _until(one, (*path, "all", index))


def _others(form: ScenarioForm) -> Iterator[tuple[Path, str]]:
    for index, hook in enumerate(form.hooks):
        if isinstance(hook, JudgeHook):
            yield ("hooks", index, "participant"), hook.participant
    if isinstance(form.fit, Summarise) and not form.fit.by.startswith(FUNCTION):
        yield ("fit", "by"), form.fit.by


def _scripts(form: ScenarioForm) -> Iterator[tuple[Path, str]]:
    for endpoint, kind in form.endpoints.items():
        if isinstance(kind, ScriptedEndpoint):
            yield from ((("endpoints", endpoint, "replies", name), name) for name in kind.replies)


def _audiences(form: ScenarioForm) -> Iterator[tuple[Path, str]]:
    for index, speech in enumerate(form.opening):
        for at, name in enumerate(speech.audience or ()):
            yield ("opening", index, "audience", at), name
