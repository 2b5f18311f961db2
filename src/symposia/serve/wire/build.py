"""From what a caller asked and the profile that answers to core requests, one a choice. Pure; no random numbers."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec.structs import replace

from symposia.core.features import needed
from symposia.core.profile import Profile, Sampling, Thinking
from symposia.core.request import About, Feature, ModelCard, Request
from symposia.serve.faults import Fault

from .chat import ChatRequest, Effort, Limits
from .lines import lines_of, speaker_of
from .shape import shape_of

_EFFORTS: dict[Effort, Thinking] = {"none": "off", "low": "low", "medium": "medium", "high": "high"}
_PLAIN = Sampling()


class Aim(msgspec.Struct, frozen=True):
    """What answers: a model by address, its card, and a profile; None is the plain model."""

    model: str
    card: ModelCard
    profile: Profile | None = None


def to_requests(
    ask: ChatRequest,
    aim: Aim,
    limits: Limits,
    *,
    seed: int,
    about: About = About(),
    date: str | None = None,
) -> tuple[Request, ...]:
    """One request for each choice; they differ in their seeds only.

    The caller's word goes before the profile's, the profile's before the default. `seed` is used where neither has
    one; choice 0's request has the seed that was used. `date` is for templates that name it. Raises `Fault` 400
    naming the field the model cannot honour.
    """
    profile, steering = aim.profile, ask.steering
    given = ask.seed if ask.seed is not None or profile is None else profile.sampling.seed
    speaker = speaker_of(ask.messages)
    shape = shape_of(ask, () if profile is None else profile.tools)
    first = Request(
        model=aim.model,
        lines=lines_of(ask.messages, speaker, None if profile is None else profile.system),
        sampling=_sampling(ask, aim, limits),
        seed=seed if given is None else given,
        seed_required=given is not None,
        speaker=speaker,
        turn=len(ask.messages),
        interventions=(() if profile is None else profile.interventions)
        + (() if steering is None else steering.interventions),
        history=(steering.history if steering else None) or (profile.history if profile else "scoped"),
        tools=shape.tools,
        tool_choice=shape.choice,
        force=shape.force,
        schema=shape.schema,
        logprobs=(ask.top_logprobs or 0) if ask.logprobs else None,
        date=date,
        about=about,
    )
    _refuse(first, ask, aim)
    if ask.n is None or ask.n == 1:
        return (first,)
    return (first, *(replace(first, seed=choice_seed(first.seed, i)) for i in range(1, ask.n)))


def choice_seed(seed: int, choice: int) -> int:
    """First 8 bytes of sha256 of the JSON array `["choice", seed, choice]`, top bit cleared."""
    named = msgspec.json.encode(["choice", seed, choice])
    return int.from_bytes(hashlib.sha256(named).digest()[:8]) & (2**63 - 1)


def output_tokens(ask: ChatRequest, aim: Aim, limits: Limits) -> int:
    """How many tokens a choice may have: asked or default, under the server's and the model's own bound."""
    asked = ask.output_tokens
    if asked is None:
        asked = limits.default_output_tokens if aim.profile is None else aim.profile.sampling.max_tokens
    most = limits.max_output_tokens
    return min(asked, most if aim.card.max_output is None else min(most, aim.card.max_output))


def _sampling(ask: ChatRequest, aim: Aim, limits: Limits) -> Sampling:
    base = _PLAIN if aim.profile is None else aim.profile.sampling
    return Sampling(
        temperature=base.temperature if ask.temperature is None else ask.temperature,
        top_p=base.top_p if ask.top_p is None else ask.top_p,
        top_k=base.top_k if ask.top_k is None else ask.top_k,
        min_p=base.min_p if ask.min_p is None else ask.min_p,
        repetition_penalty=(
            base.repetition_penalty if ask.repetition_penalty is None else ask.repetition_penalty
        ),
        presence_penalty=base.presence_penalty if ask.presence_penalty is None else ask.presence_penalty,
        frequency_penalty=base.frequency_penalty if ask.frequency_penalty is None else ask.frequency_penalty,
        max_tokens=output_tokens(ask, aim, limits),
        min_tokens=base.min_tokens,
        stop=base.stop if ask.stop is None else (ask.stops or ()),
        stop_token_ids=base.stop_token_ids,
        logit_bias=base.logit_bias if ask.logit_bias is None else tuple(sorted(ask.logit_bias.items())),
        seed=base.seed if ask.seed is None else ask.seed,
        thinking=base.thinking if ask.reasoning_effort is None else _EFFORTS[ask.reasoning_effort],
        thinking_budget=base.thinking_budget,
        deterministic=base.deterministic,
    )


def _refuse(request: Request, ask: ChatRequest, aim: Aim) -> None:
    for feature in needed(request):
        if feature not in aim.card.features:
            raise _lacks(feature, f"{ask.model} has no {feature}; leave it out", ask)
    thinking = request.sampling.thinking
    if thinking != "auto" and thinking not in aim.card.thinking:
        known = ", ".join(mode for mode in aim.card.thinking if mode != "auto") or "none"
        raise _lacks(
            "thinking", f"{ask.model} does not react to {thinking!r} thinking (it does to: {known})", ask
        )


def _lacks(feature: Feature, message: str, ask: ChatRequest) -> Fault:
    """The caller's own field is at fault, else the profile that asks for it."""
    if feature == "interventions":
        if ask.steering is not None and ask.steering.interventions:
            return Fault("invalid_steering", message, param="steering.interventions")
        return Fault("steering_profile_incompatible", message)
    param = _asking(feature, ask)
    if param is None:
        return Fault("steering_profile_incompatible", f"the profile asks for more than there is: {message}")
    return Fault("unsupported_parameter", f"{param}: {message}", param=param)


def _asking(feature: Feature, ask: ChatRequest) -> str | None:
    """The field of the caller's that asks for a feature; None: it was not the caller."""
    fields: dict[Feature, tuple[tuple[str, bool], ...]] = {
        "logprobs": (("logprobs", bool(ask.logprobs)),),
        "seed": (("seed", ask.seed is not None),),
        "tools": (("tools", bool(ask.tools)),),
        "force": (("tool_choice", True),),
        "schema": (("response_format", True),),
        "top_k": (("top_k", ask.top_k is not None),),
        "min_p": (("min_p", ask.min_p is not None),),
        "logit_bias": (("logit_bias", ask.logit_bias is not None),),
        "thinking": (("reasoning_effort", ask.reasoning_effort is not None),),
        "penalties": (
            ("frequency_penalty", ask.frequency_penalty is not None),
            ("presence_penalty", ask.presence_penalty is not None),
            ("repetition_penalty", ask.repetition_penalty is not None),
        ),
    }
    return next((name for name, asked in fields.get(feature, ()) if asked), None)
