"""The commands of a chat. Each docstring is its help: the shape, a colon, what it does."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.intervention import Intervention
from symposia.core.profile import Sampling

from .chatting import YOU

if TYPE_CHECKING:
    from .chatting import Chat


def rewind(chat: Chat, rest: str) -> None:
    """/rewind [N]: forget the newest N messages; without N, back to before your last line."""
    messages = chat.conversation.transcript.messages
    own = [i for i, m in enumerate(messages) if m.author == YOU]
    chat.keep(len(messages) - _number(rest) if rest else own[-1] if own else 0)
    chat.note(f"messages left: {len(chat.conversation.transcript)}")


def edit(chat: Chat, rest: str) -> None:
    """/edit I TEXT: message I says TEXT instead; later ones stay."""
    index, _, text = rest.partition(" ")
    if not text:
        raise InvalidInput("/edit: expected the number of a message and its new text")
    chat.conversation.edit(_number(index), text=text)
    chat.note(f"message {index} now reads: {text}")


def retry(chat: Chat, rest: str) -> None:
    """/retry: the newest reply once more, with other randomness."""
    del rest
    messages = chat.conversation.transcript.messages
    made = [i for i, m in enumerate(messages) if m.is_turn()]
    if not made:
        raise InvalidInput("/retry: nothing was said yet")
    speaker = messages[made[-1]].author
    chat.take_up(chat.conversation.branch())
    chat.keep(made[-1])
    chat.reply(speaker)


def branch(chat: Chat, rest: str) -> None:
    """/branch [ID]: go on in a copy with other randomness; with an ID, back in that one."""
    known = {name or "0": conversation for name, conversation in chat.branches.items()}
    if rest and rest not in known:
        raise UnknownName("branch", rest, known)
    chat.take_up(known[rest] if rest else chat.conversation.branch())
    others = ", ".join(name or "0" for name in chat.branches)
    chat.note(f"on branch {chat.conversation.branch_id or '0'} of {others}")


def system(chat: Chat, rest: str) -> None:
    """/system TEXT: another system text for every model; empty: none."""
    chat.take_up(chat.conversation.set(participants={name: {"system": rest or None} for name in chat.names}))
    chat.note("system text changed")


def speak_as(chat: Chat, rest: str) -> None:
    """/as NAME TEXT: NAME says TEXT."""
    name = max((n for n in (*chat.names, YOU) if rest.startswith(f"{n} ")), key=len, default="")
    if not name:
        raise UnknownName("participant", rest.partition(" ")[0], (*chat.names, YOU))
    chat.say(name, rest[len(name) + 1 :])


def set_sampling(chat: Chat, rest: str) -> None:
    """/set [WHO.]SETTING=VALUE: a sampling setting, such as temperature=0.3."""
    key, equals, raw = rest.partition("=")
    who, dot, field = key.strip().rpartition(".")
    if not equals:
        raise InvalidInput("/set: expected a setting and its value, such as temperature=0.3")
    if field not in Sampling.__struct_fields__:
        raise UnknownName("sampling setting", field, Sampling.__struct_fields__)
    names = [who] if dot else list(chat.names)
    change = {"sampling": {field: _value(raw.strip())}}
    chat.take_up(chat.conversation.set(participants=dict.fromkeys(names, change)))
    chat.note(f"{field} is {raw.strip()} for {', '.join(names)}")


def steer(chat: Chat, rest: str) -> None:
    """/steer [NAME] VECTOR:SCALE[@LAYERS]: add a vector to what they do; /steer off takes all away."""
    from .steering import steering

    words = rest.split()
    names = [words.pop(0)] if words and words[0] in chat.names else list(chat.names)
    if not words:
        raise InvalidInput("/steer: expected VECTOR:SCALE, or off")
    added = () if words == ["off"] else tuple(steering(word) for word in words)
    changed: dict[str, dict[str, tuple[Intervention, ...]]] = {}
    for name in names:
        before = chat.conversation[name].profile.interventions if added else ()
        changed[name] = {"interventions": (*before, *added)}
    chat.take_up(chat.conversation.set(participants=changed))
    chat.note(f"{', '.join(names)}: {'steered' if added else 'not steered'}")


def view(chat: Chat, rest: str) -> None:
    """/view [NAME]: the conversation with its numbers, or what NAME sees now."""
    from .lines import show_lines
    from .screen import Screen

    if rest:
        show_lines(chat.world.out, chat.conversation.view(rest))
    else:
        transcript = chat.conversation.transcript
        Screen(chat.world.out, [m.author for m in transcript], numbered=True).begin(transcript)


def usage(chat: Chat, rest: str) -> None:
    """/usage: tokens and time so far."""
    del rest
    chat.progress.usage()


def save(chat: Chat, rest: str) -> None:
    """/save FILE: keep the conversation."""
    chat.conversation.save(_path(rest, "/save"))
    chat.note(f"saved in {rest}")


def load(chat: Chat, rest: str) -> None:
    """/load FILE: go on with a conversation that was kept."""
    session = chat.conversation.session
    path = _path(rest, "/load")
    loaded = type(chat.conversation).load(path, backend=session.backend, kit=session.kit)
    chat.branches.clear()
    chat.take_up(loaded)
    chat.note(f"{', '.join(loaded.scenario.names)}; messages: {len(loaded.transcript)}")


def show_help(chat: Chat, rest: str) -> None:
    """/help: this."""
    del rest
    for command in COMMANDS.values():
        shape, _, does = (inspect.getdoc(command) or "").partition(": ")
        chat.world.err.line(f"  {shape:<36} {does.rstrip('.')}")
    chat.world.err.line("  Ctrl-C stops a reply; Ctrl-D leaves", "dim")


def leave(chat: Chat, rest: str) -> None:
    """/quit: leave."""
    del rest
    chat.over = True


COMMANDS: Mapping[str, Callable[[Chat, str], None]] = {
    "rewind": rewind,
    "edit": edit,
    "retry": retry,
    "branch": branch,
    "system": system,
    "as": speak_as,
    "set": set_sampling,
    "steer": steer,
    "view": view,
    "usage": usage,
    "save": save,
    "load": load,
    "help": show_help,
    "quit": leave,
}


def _number(text: str) -> int:
    if not text.removeprefix("-").isdecimal():
        raise InvalidInput(f"expected a whole number; got {text!r}")
    return int(text)


def _path(text: str, command: str) -> Path:
    if not text:
        raise InvalidInput(f"{command}: expected a file")
    return Path(text)


def _value(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw
