"""What a template was seen to do, and the line rules that follow. Facts are data: stored by digest, shown to people."""

from __future__ import annotations

from typing import Literal

from symposia.core.lines import LineRules
from symposia.core.profile import Thinking
from symposia.core.request import Syntax
from symposia.core.value import Value


class ArgumentMarks(Value, frozen=True, kw_only=True):
    """Literal text of a call whose arguments have names of their own, outside JSON.

    `first` stands between the call's name and the first argument's, `equals` between an argument's name and its value,
    `then` between a value and the next name, `last` after the last value; `none` after the name of a call without
    arguments. `quoted`: text is written as JSON writes it; else as it is.
    """

    first: str
    equals: str
    then: str
    last: str
    none: str
    quoted: bool


class Marks(Value, frozen=True, kw_only=True):
    """Literal text a template puts around what is said; an empty string was not seen.

    `*_end` follow a line's content; `user_head` precedes a user's; `reply_head` asks for a reply. `answer_open` stands
    between it and an answer in history, `call_open` between it and the name of a call; `call_close` is the tag that
    ends a call, `call_end` closes a line of calls. `call_form` is a line of one call: what stands before its name,
    between it and its arguments, and after them, where these are JSON; a call's id is held by the word `asked.ID`.
    `call_arguments` is how they are written where they are not. `think` are the delimiters of thinking.
    """

    system_end: str = ""
    user_end: str = ""
    assistant_end: str = ""
    tool_end: str = ""
    user_head: str = ""
    reply_head: str = ""
    answer_open: str = ""
    call_open: str = ""
    call_close: str = ""
    call_end: str = ""
    call_form: tuple[str, str, str] | None = None
    call_arguments: ArgumentMarks | None = None
    think: tuple[str, str] | None = None


class TemplateFacts(Value, frozen=True, kw_only=True):
    """One template's answers to the probe's questions.

    `default_system` is text the template says when no system line is given; `default_stays` means an empty system line
    does not suppress it. `thinking`, `opens_thinking` and `prefix_stable` list the modes the template reacts to, those
    whose generation prompt opens a think block, and those in which the next turn's prompt extends this one's.
    """

    digest: str
    content: Literal["text", "parts"] = "text"
    system: Literal["head", "first_user", "last_user", "rejected"] = "head"
    system_in_tool_loop: bool = True
    late_system: Literal["keep", "rejected", "lost", "replaces", "moved"] = "keep"
    default_system: str = ""
    default_stays: bool = False
    two_users: bool = True
    two_assistants: bool = True
    assistant_first: bool = True
    tools: Literal["listed", "none"] = "none"
    arguments: Literal["object", "text"] = "object"
    calls: Literal["many", "one", "none"] = "none"
    call_text: Literal["kept", "dropped"] = "kept"
    call_ids: Literal["any", "alnum9"] = "any"
    results: Literal["raw", "escaped", "lost"] = "lost"
    user_after_result: bool = True
    syntax: Syntax = "prompted"
    trims: Literal["none", "left", "right", "both"] = "none"
    dated: bool = False
    reasoning: Literal["kept", "loop", "dropped"] = "dropped"
    reasoning_beside_text: bool = True
    thinking: tuple[Thinking, ...] = ("auto",)
    opens_thinking: tuple[Thinking, ...] = ()
    prefix_stable: tuple[Thinking, ...] = ()
    marks: Marks = Marks()

    @property
    def native_tools(self) -> bool:
        """Whether tools, calls and results can all be said in the template's own words."""
        return self.syntax not in ("prompted", "plain")

    @property
    def rules(self) -> LineRules:
        """What lines must look like for this template to accept and show them all."""
        return LineRules(
            system=self.system,
            late_system="keep" if self.late_system == "keep" else "as_user",
            alternate=not (self.two_users and self.two_assistants),
            user_first=not self.assistant_first,
            tool_lines="native" if self.native_tools else "as_user",
            calls_per_line=1 if self.calls == "one" else None,
            call_text=self.call_text,
            call_ids=self.call_ids,
            trails="anywhere" if self.user_after_result else "in_a_turn",
        )
