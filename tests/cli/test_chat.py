"""A chat: every command, over a script; and the shipped script on the bundled model."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.backends import Scripted
from symposia.cli.chatting import Chat
from symposia.cli.terminal import Terminal
from symposia.cli.world import World
from symposia.core.clock import VirtualClock
from symposia.core.profile import Participant, Profile
from symposia.core.redact import Redactor
from symposia.core.request import Request
from symposia.facade import Conversation
from tests.cli.process import ROOT, Process

Here = Callable[..., Result]


def reply(request: Request) -> str:
    """A different reply a seed, and one that shows what was asked."""
    return f"{request.speaker} {request.seed % 100_000}"


def chat(*names: str, latency_s: float = 0) -> tuple[Chat, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    world = World(
        env={}, clock=VirtualClock(), out=Terminal(out, {}), err=Terminal(err, {}), redactor=Redactor({})
    )
    seats = [Participant(name=name, profile=Profile(model="m")) for name in names]
    return Chat(Conversation(seats, backend=Scripted(reply, latency_s=latency_s)), world), out, err


def said_by(talk: Chat) -> list[str]:
    return [f"{m.author}: {m.text}" for m in talk.conversation.transcript]


def test_a_line_is_answered() -> None:
    """What you type is said by you, and the model replies."""
    talk, out, _ = chat("model")
    assert talk.take("hello")
    assert [m.author for m in talk.conversation.transcript] == ["you", "model"]
    assert out.getvalue().startswith("[0] you: hello\n[1] model: model ")


def test_several_take_turns_and_you_may_speak() -> None:
    """An empty line lets the next one speak; a text is said by you first; the ring goes on where it was."""
    talk, _, _ = chat("alice", "bob")
    for line in ("", "", "wait", ""):
        assert talk.take(line)
    assert [m.author for m in talk.conversation.transcript] == ["alice", "bob", "you", "alice", "bob"]


def test_rewind_edit_retry() -> None:
    """/rewind goes back before your line or N messages; /edit rewrites; /retry draws again with other randomness."""
    talk, _, _ = chat("model")
    talk.take("one")
    first = said_by(talk)
    talk.take("two")
    talk.take("/rewind")
    assert said_by(talk) == first
    talk.take("/retry")
    assert said_by(talk)[0] == first[0]
    assert said_by(talk)[1] != first[1]
    talk.take("/edit 0 uno")
    assert said_by(talk)[0] == "you: uno"
    talk.take("/rewind 2")
    assert said_by(talk) == []


def test_branches() -> None:
    """A branch goes its own way; the one left behind is still there."""
    talk, _, _ = chat("model")
    talk.take("one")
    talk.take("/branch")
    talk.take("two")
    branched = said_by(talk)
    talk.take("/branch 0")
    assert len(talk.conversation.transcript) == 2
    talk.take("two")
    assert said_by(talk)[:3] == branched[:3]
    assert said_by(talk)[3] != branched[3]
    assert not talk.take("/branch 7")


def test_settings_change_the_profile() -> None:
    """/system, /set and /steer change what is asked from then on; `off` takes steering away."""
    talk, _, _ = chat("alice", "bob")
    talk.take("/system Be kind.")
    talk.take("/set bob.temperature=0.3")
    talk.take("/set max_tokens=9")
    talk.take(f"/steer alice sha256:{'0' * 64}:-2@3,4")
    alice, bob = (p.profile for p in talk.conversation.participants)
    assert (alice.system, bob.system) == ("Be kind.", "Be kind.")
    assert (alice.sampling.temperature, bob.sampling.temperature) == (1.0, 0.3)
    assert (alice.sampling.max_tokens, bob.sampling.max_tokens) == (9, 9)
    assert [(i.scale, i.layers) for i in alice.interventions] == [(-2.0, (3, 4))]
    assert bob.interventions == ()
    assert not talk.take("")  # a script has no inside: refused, said, and the chat goes on
    talk.take("/steer off")
    assert talk.take("")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/sett temperature=1", ["unknown command '/sett'", "/set"]),
        ("/set temprature=1", ["did you mean 'temperature'"]),
        ("/set temperature=warm", ["temperature", "float"]),
        ("/set temperature", ["such as temperature=0.3"]),
        ("/edit 9 x", ["message 9"]),
        ("/edit x", ["its new text"]),
        ("/rewind x", ["whole number"]),
        ("/rewind 9", ["up to 0"]),
        ("/retry", ["nothing was said"]),
        ("/as carol hello", ["unknown participant 'carol'"]),
        ("/steer warm", ["VECTOR:SCALE"]),
        ("/view carol", ["carol"]),
        ("/save", ["expected a file"]),
        ("/load none.json", ["none.json"]),
    ],
)
def test_mistakes_are_said_and_survived(line: str, words: list[str]) -> None:
    """A line that cannot be done says why; nothing changes and the chat goes on."""
    talk, _, err = chat("alice", "bob")
    assert not talk.take(line)
    for word in words:
        assert word in err.getvalue()
    assert said_by(talk) == []
    assert talk.take("")


def test_save_load_view_as(tmp_path: Path) -> None:
    """A saved chat is taken up where it was; /as speaks for anybody; /view shows numbers or one's view."""
    talk, out, err = chat("alice", "bob")
    talk.take("hello")
    talk.take("/as bob I am bob.")
    talk.take(f"/save {tmp_path / 'chat.json'}")
    kept = said_by(talk)
    talk.take("/rewind 3")
    talk.take(f"/load {tmp_path / 'chat.json'}")
    assert said_by(talk) == kept
    talk.take("/view")
    assert "[2] bob: I am bob." in out.getvalue()
    talk.take("/view bob")
    assert "assistant │ I am bob." in out.getvalue()
    talk.take("/help")
    assert "/rewind [N]" in err.getvalue()
    talk.take("/quit")
    assert talk.over


def test_ctrl_c_stops_the_reply_only() -> None:
    """An interrupted reply leaves no text; your line stays, and the chat goes on."""
    talk, _, err = chat("model", latency_s=30)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert talk.take("hello")
    assert said_by(talk) == ["you: hello"]
    assert "nothing of it was kept" in err.getvalue()
    talk.take("/rewind")
    assert said_by(talk) == []


@pytest.mark.slow
def test_the_shipped_script(symposia: Process, tmp_path: Path) -> None:
    """`symposia chat symposia:tiny < examples/chat_script.txt` does all of it on the bundled model and exits 0."""
    script = (ROOT / "examples" / "chat_script.txt").read_text().replace("runs/", f"{tmp_path}/")
    done = symposia("chat", "symposia:tiny", "--max-tokens", 24, stdin=script)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "chat.json").read_bytes())
    assert [m["author"] for m in kept["transcript"]] == ["you", "tiny", "you"]
    assert kept["transcript"][0]["parts"][0]["text"] == "Hello! Do you like coffee?"
    assert "assistant │ " in done.stdout


def test_a_script_that_fails_says_so(here: Here) -> None:
    """A line that could not be done makes a scripted chat exit 1, after the rest; an unknown model exits 2."""
    done = here("chat", "symposia:tiny", stdin="/frob\n/help\n")
    assert done.exit_code == 1
    assert "unknown command '/frob'" in done.stderr
    assert "/rewind [N]" in done.stderr
    assert here("chat", "qwen9").exit_code == 2
