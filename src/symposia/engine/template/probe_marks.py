"""What a template writes around each kind of line, read off the same small conversations."""

from __future__ import annotations

from itertools import takewhile

from .asked import A1, S1, U1, U2, Asked, between, in_order
from .facts import Marks


def probe_marks(asked: Asked) -> Marks:
    """The ends and heads of system, user and assistant lines, as far as they can be told apart."""
    user_end = _user_end(asked)
    talk = asked.said([asked.user(U1), asked.own(A1), asked.user(U2)])
    if talk is None or not in_order(talk, U1, A1, U2):
        return Marks(user_end=user_end)
    turn = between(talk, A1, U2)
    last = _after(asked.said([asked.user(U1), asked.own(A1)], generation=False), A1)
    head = talk[: talk.index(U1)]
    rest = turn[: len(turn) - _common_ending(head, turn)]
    assistant_end = next((end for end in (last, user_end, rest) if end and turn.startswith(end)), "")
    if not user_end and between(talk, U1, A1).startswith(assistant_end):
        user_end = assistant_end
    user_head = turn[len(assistant_end) :]
    return Marks(
        system_end=_system_end(asked, user_head),
        user_end=user_end,
        assistant_end=assistant_end,
        user_head=user_head,
        reply_head=generation_prompt(asked, user_end),
        answer_open=_answer_open(asked, talk, user_end),
    )


def _common_ending(one: str, other: str) -> int:
    """How many last characters two texts share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _user_end(asked: Asked) -> str:
    """What closes a user line whether or not a reply is asked for; empty if only one of the two is so closed."""
    closed = _after(asked.said([asked.user(U1)], generation=False), U1)
    return closed if _after(asked.said([asked.user(U1)]), U1).startswith(closed) else ""


def generation_prompt(asked: Asked, user_end: str, flags: dict[str, object] | None = None) -> str:
    """What follows the end of the last user line when a reply is asked for."""
    return _after(asked.said([asked.user(U1)], flags=flags), U1).removeprefix(user_end)


def assistant_head(asked: Asked, user_end: str) -> str:
    """What precedes an assistant's content in history, after the end of the user line."""
    talk = asked.said([asked.user(U1), asked.own(A1), asked.user(U2)])
    return between(talk, U1, A1).removeprefix(user_end) if talk and in_order(talk, U1, A1) else ""


def _after(text: str | None, word: str) -> str:
    return text[text.index(word) + len(word) :] if text and word in text else ""


def _system_end(asked: Asked, user_head: str) -> str:
    text = asked.said([asked.system(S1), asked.user(U1)])
    if text is None or not in_order(text, S1, U1):
        return ""
    literal = between(text, S1, U1)
    return literal.removesuffix(user_head) if user_head and literal.endswith(user_head) else ""


def _answer_open(asked: Asked, talk: str, user_end: str) -> str:
    literal = between(talk, U1, A1)
    begin = user_end + generation_prompt(asked, user_end)
    return literal.removeprefix(begin) if literal.startswith(begin) else ""
