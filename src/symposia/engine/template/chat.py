"""One chat template, probed once: requests to prompts, and the tracker of a reply's phases.

Rendering is done twice: the real lines, and the same shape with a sentinel in every slot. The literals between the
sentinels are remembered by shape; the real text must be those literals with every piece of content between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as Date
from typing import Literal

import msgspec
from transformers import PreTrainedTokenizerFast

from symposia.core.conform import conform
from symposia.core.errors import InvalidInput, TemplateError, UnsupportedRequest
from symposia.core.lines import Line, LineRules, Segment
from symposia.core.profile import Thinking
from symposia.core.request import Request, Syntax
from symposia.core.value import content_digest

from .align import Literals, align, literals_of
from .asked import flags_of
from .assemble import Assembly
from .codec import Codec
from .delimiters import delimiters_of
from .facts import TemplateFacts
from .jinja import BARE_DATE, JinjaTemplate, Refused
from .layout import Layout, Piece
from .masks import Json, Masks, strings_in
from .memo import Memo
from .probe import probe
from .probe_thinking import opens
from .prompted import tool_schema, with_tools_told
from .rendered import Rendered
from .reply import ReplyForms, ReplyGrammar
from .slots import Conversation, converse_with, sentinels_of, shows_reasoning, shows_text
from .tracker import Tracker

_SHAPES = 512


class ChatTemplate:
    """A tokenizer's chat template, or `source` in its place. Immutable after construction and thread-safe.

    `syntax` is how calls are written, `stop_ids` end a reply: the tokenizer's end and the template's end of turn.
    `call_tokens` are control tokens without which no call can begin; none where calls begin with ordinary text.
    Raises `TemplateError` when there is no template, or it cannot show a user line.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, source: str | None = None) -> None:
        text = source if source is not None else _source_of(tokenizer)
        specials = {
            name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)
        }
        self.facts: TemplateFacts = probe(text, tuple(sorted(specials.items())))
        self.rules: LineRules = self.facts.rules
        self.syntax: Syntax = self.facts.syntax
        self.thinking: tuple[Thinking, ...] = self.facts.thinking
        self.digest: str = content_digest(text.encode())
        self._jinja = JinjaTemplate(text, specials)
        self._bos = specials.get("bos_token", "")
        self._codec = Codec(tokenizer, text)
        self._literals: Memo[tuple[object, ...], Literals] = Memo(limit=_SHAPES)
        self._delimiters = delimiters_of(self.facts, self._codec, tokenizer.eos_token_id)
        self.stop_ids: frozenset[int] = self._delimiters.stops
        self.control_ids: frozenset[int] = self._codec.control_ids
        self._forms = ReplyForms(self.facts, self._delimiters, self._codec)
        self.call_tokens: tuple[int, ...] = self._forms.call_tokens
        self._sectioned = True
        self._sectioned = self._sections_agree()

    def render(self, request: Request) -> Rendered:
        """The prompt of a request, every line in it exactly once.

        Raises `TemplateError` when the template loses, repeats or changes a line, and `UnsupportedRequest` for a
        thinking mode it does not react to.
        """
        self._check(request)
        lines = self._prepared(request)
        tools = [tool_schema(t) for t in request.told] if self.facts.native_tools else []
        return self._render(request, lines, tools)

    def tracker(self, rendered: Rendered) -> Tracker:
        """Follows the reply to this prompt."""
        return Tracker(self._delimiters, opens_thinking=rendered.opens_thinking, tools=rendered.tools)

    @property
    def forces(self) -> bool:
        """Whether this template's calls have a form that can be demanded."""
        return self._forms.forces

    def grammar(self, request: Request, rendered: Rendered, ends: frozenset[int]) -> ReplyGrammar:
        """What the reply to a request with `force` or `schema` may be; `ends` are all ids that end a turn."""
        return self._forms.grammar(request, ends, opens_thinking=rendered.opens_thinking)

    def closing(self, rendered: Rendered) -> tuple[int, ...]:
        """The ids that end thinking in the reply to this prompt; empty where the template shows no thinking."""
        return self._forms.closing(tools=rendered.tools)

    def _check(self, request: Request) -> None:
        mode = request.sampling.thinking
        if mode not in self.thinking:
            raise UnsupportedRequest(
                endpoint="engine",
                model=request.model,
                feature=f"thinking={mode}",
                why="its chat template does not react to it",
                way_out=f"use one of {', '.join(self.thinking)}",
            )
        try:
            Date.fromisoformat(request.date or BARE_DATE)
        except ValueError as error:
            raise InvalidInput(f"request.date: expected YYYY-MM-DD; got {request.date!r}") from error

    def _prepared(self, request: Request) -> tuple[Line, ...]:
        facts, lines = self.facts, request.lines
        if request.told and not facts.native_tools:
            lines = with_tools_told(lines, request.told)
        if lines and lines[0].role == "system" and not lines[0].text:
            if facts.default_stays:
                raise TemplateError(
                    "the template's own default system text cannot be suppressed; give a system text of your own, "
                    "or leave system unset to keep the default"
                )
            if not facts.default_system:
                lines = lines[1:]
        return conform(lines, self.rules)

    def _render(self, request: Request, lines: Sequence[Line], tools: list[dict[str, object]]) -> Rendered:
        masks = Masks(self._codec.pattern, [*_strings(lines), *strings_in(tools)], self._codec.typed)
        if masks and not self._sectioned:
            raise TemplateError(
                f"this tokenizer can only encode a prompt whole, so {masks.controls[0]!r} typed in it would become a "
                "control token; remove it from the text"
            )
        talk = converse_with(lines, self.facts, masks.hide)
        shown = masks.hide_json(tools)
        literals = self._literals_of(request, lines, talk, shown, masks)
        text = self._jinja_text(talk.messages, shown, request)
        values = [masks.hide(v) if isinstance(v := slot.value, str) else v for slot in talk.slots]
        transforms = align(text, literals, values, talk.slots, lines)
        layout = Layout(lines, request, self.facts.marks, self._bos, masks)
        pieces = layout.pieces(literals, transforms, talk)
        assembly = Assembly(self._codec)
        if self._sectioned:
            assembly.sections(pieces)
        else:
            assembly.whole(pieces)
        return Rendered(
            text="".join(piece.text for piece in pieces),
            token_ids=tuple(assembly.ids),
            spans=assembly.spans(),
            omitted=_omitted(lines, self.facts, talk, literals),
            opens_thinking=opens(literals.texts[-1], self.facts.marks.think),
            tools=bool(request.told),
            _parts=tuple(assembly.parts),
            _content=_content(pieces),
            _codec=self._codec,
        )

    def _literals_of(
        self, request: Request, lines: Sequence[Line], talk: Conversation, tools: list[Json], masks: Masks
    ) -> Literals:
        def make(_: object) -> Literals:
            messages, words = sentinels_of(lines, self.facts, masks.hide)
            return literals_of(self._jinja_text(messages, tools, request), words, talk.slots, lines)

        date = request.date if self.facts.dated else None
        key = (talk.shape, msgspec.json.encode(tools) if tools else b"", request.sampling.thinking, date)
        return self._literals.get(key, make)

    def _jinja_text(self, messages: list[Json], tools: list[Json], request: Request) -> str:
        flags = flags_of(request.sampling.thinking)
        try:
            return self._jinja.render(messages, tools=tools, date=request.date or BARE_DATE, flags=flags)
        except Refused as refused:
            roles = " ".join(str(m["role"]) for m in messages)
            raise TemplateError(f"the chat template refuses these lines ({roles}): {refused}") from refused

    def _sections_agree(self) -> bool:
        """Whether encoding in sections gives what the tokenizer gives for the whole text."""
        request = Request(model="", lines=_SAMPLE, speaker="b")
        for lines in (conform(_SAMPLE, self.rules), conform(_SAMPLE[1:2], self.rules)):
            try:
                rendered = self._render(request, lines, [])
            except TemplateError:
                continue  # a template that cannot show history is told so when it is asked to
            return rendered.token_ids == self._codec.whole(rendered.text).ids
        return False


def _said(role: Literal["system", "user", "assistant"], text: str) -> Line:
    return Line(role=role, segments=(Segment(text=text, phase="prompt"),), kind="turn")


_SAMPLE = (
    _said("system", "  Two  spaces, then\n\n\na gap."),
    _said("user", "Hello there!\n\n  12,345 naïve words — 你好 🙂\t"),
    _said("assistant", " I'm here;\nYOU'RE there... "),
    _said("user", "x"),
)


def _source_of(tokenizer: PreTrainedTokenizerFast) -> str:
    held = tokenizer.chat_template
    if isinstance(held, dict):
        held = held.get("default")
    if not held:
        raise TemplateError(
            "this tokenizer has no chat template, so lines cannot be told apart; load the chat (instruct) variant of "
            "the model, or pass a Jinja template: Engine.load(..., chat_template=...)"
        )
    return str(held)


def _strings(lines: Sequence[Line]) -> list[str]:
    texts = [line.text for line in lines]
    for line in lines:
        texts += [r.text for r in line.reasoning]
        texts += [line.call_name or "", line.call_id or ""]
        for call in line.calls:
            texts += [call.name, call.id, *strings_in(call.arguments)]
    return texts


def _omitted(
    lines: Sequence[Line], facts: TemplateFacts, talk: Conversation, literals: Literals
) -> tuple[tuple[int, str], ...]:
    shown = {talk.slots[index][:2] for index in literals.slots}
    found: list[tuple[int, str]] = []
    for at, line in enumerate(lines):
        if line.text and not shows_text(line, facts):
            found.append((at, "the text beside a call"))
        if line.reasoning and (not shows_reasoning(line, facts) or (at, "reasoning") not in shown):
            found.append((at, "reasoning"))
    return tuple(found)


def _content(pieces: Sequence[Piece]) -> tuple[tuple[int, int], ...]:
    """Character ranges of what lines say, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        end = at + len(piece.text)
        if piece.alone:
            if ranges and ranges[-1][1] == at:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((at, end))
        at = end
    return tuple(ranges)
