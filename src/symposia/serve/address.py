"""Which model, which profile, with what changed inside: from the words of a request to what will answer. Pure.

`NAME` or `NAME@SELECTOR`; a selector is an alias of that model, a digest or the beginning of one, or `none`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from difflib import get_close_matches

import msgspec
from msgspec.structs import replace

from symposia.core.intervention import Intervention
from symposia.core.profile import Profile
from symposia.core.receipt import History
from symposia.core.served import Arm

from .auth import Caller, demand
from .faults import Fault
from .models import ServedModel
from .snapshot import Snapshot
from .wire import ChatRequest, opening

PLAIN = "none"
KILLED = "kill_switch"
_DIGEST = "sha256:"
_SHORTEST = 12


class Choice(msgspec.Struct, frozen=True):
    """What a route says: an arm, and the digest of its profile; "" is the plain model."""

    arm: Arm
    digest: str
    canary: str = ""


Route = Callable[[Snapshot, ServedModel, str], Choice]
"""Who answers a bare model name, for whom."""


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """What answers. `label` is the alias asked for, the arm of what was routed, else the digest or `none`."""

    model: ServedModel
    profile: Profile | None
    label: str
    digest: str
    arm: Arm
    unit_hash: str
    canary: str = ""
    reason: str | None = None
    interventions: tuple[Intervention, ...] = ()
    history: History = "scoped"

    @property
    def steered(self) -> bool:
        """Whether anything is to be changed inside the model."""
        return bool(self.interventions)


def champion_or_plain(view: Snapshot, model: ServedModel, unit: str) -> Choice:
    """The route without canaries: the alias `champion` where it is set, else the plain model."""
    del unit
    digest = view.named(model.names).get("champion", "")
    return Choice("champion", digest) if digest else Choice("none", "")


def address(
    ask: ChatRequest,
    caller: Caller,
    view: Snapshot,
    models: Mapping[str, ServedModel],
    *,
    unit: str | None,
    route: Route = champion_or_plain,
) -> Addressed:
    """What a request is answered by. Raises `Fault` 404, 403, 400 or 503. `unit` is the header's, if there was one."""
    model, selector = model_of(ask.model, caller, models)
    selector = _one_selector(ask, selector)
    sticky = unit_of(ask, caller, model.name, unit)
    salted = hashlib.sha256(f"{model.name}\n{sticky}".encode()).hexdigest()[16:32]
    inline = ask.steering is not None and bool(ask.steering.interventions or ask.steering.history)
    if ask.steering is not None:
        _check_inline(ask, caller, inline=inline)
    if selector is None and not inline:
        chosen = route(view, model, sticky)
        label: str = chosen.arm
    else:
        digest, label = resolve(selector or PLAIN, caller, view, model, field=_field(ask))
        chosen = Choice("inline" if inline else "pinned", digest)
    profile = view.profiles[chosen.digest] if chosen.digest else None
    _check_use(caller, view, model, profile, label)
    found = Addressed(
        model=model,
        profile=profile,
        label=label,
        digest=chosen.digest,
        arm=chosen.arm,
        unit_hash=salted,
        canary=chosen.canary,
        interventions=() if profile is None else profile.interventions,
        history="scoped" if profile is None else profile.history,
    )
    if inline and ask.steering is not None:
        found = replace(
            found,
            interventions=found.interventions + ask.steering.interventions,
            history=ask.steering.history or found.history,
        )
    if ask.steering_required and not found.steered:
        raise Fault(
            "invalid_value",
            f"steering_required: {ask.model!r} is served without interventions; select a profile that has some",
            param="steering_required",
        )
    return _killed(found, ask, view) if view.killed and found.steered else found


def model_of(text: str, caller: Caller, models: Mapping[str, ServedModel]) -> tuple[ServedModel, str | None]:
    """The model and the selector written behind it."""
    name, selector = text, None
    if text not in models:
        head, at, tail = text.rpartition("@")
        if at and head in models:
            name, selector = head, tail
    if name in models:
        if caller.may_ask(name):
            return models[name], selector
        raise Fault("insufficient_scope", f"the key may not use model {name!r}", param="model")
    mine = [each for each in models if caller.may_ask(each)]
    near = get_close_matches(name, mine, n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise Fault("model_not_found", f"model: there is no {name!r}{hint}", param="model")


def resolve(
    selector: str, caller: Caller, view: Snapshot, model: ServedModel, *, field: str
) -> tuple[str, str]:
    """The digest and the label of a selector; ("", "none") for the plain model. Raises `Fault` 404 or 400."""
    if selector == PLAIN:
        return "", PLAIN
    aliases = view.named(model.names)
    if selector in aliases and aliases[selector] in view.profiles:
        return aliases[selector], selector
    if selector.startswith(_DIGEST):
        return _by_digest(selector, caller, view, model, field)
    raise _no_profile(selector, caller, view, model, field)


def unit_of(ask: ChatRequest, caller: Caller, model: str, header: str | None) -> str:
    """Who a request sticks to: what the caller says, else the conversation as its beginning tells it."""
    said = header or ask.safety_identifier or ask.user
    if said:
        return said
    named = "\n".join((caller.id, model, *opening(ask.messages)))
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()


def _one_selector(ask: ChatRequest, written: str | None) -> str | None:
    said = ask.steering_profile
    if written is not None and said is not None and written != said:
        raise Fault(
            "invalid_value",
            f"steering_profile: {said!r} here and {written!r} in model; say it once",
            param="steering_profile",
        )
    return written if said is None else said


def _field(ask: ChatRequest) -> str:
    return "model" if ask.steering_profile is None else "steering_profile"


def _check_inline(ask: ChatRequest, caller: Caller, *, inline: bool) -> None:
    if inline:
        demand(caller, "steering-inline")
    if ask.steering is not None and ask.steering.receipts:
        demand(caller, "steering-inline", "admin-read")


def _by_digest(
    selector: str, caller: Caller, view: Snapshot, model: ServedModel, field: str
) -> tuple[str, str]:
    if len(selector) < len(_DIGEST) + _SHORTEST:
        raise Fault(
            "invalid_value",
            f"{field}: a digest needs {_SHORTEST} hex digits or more; got {selector!r}",
            param=field,
        )
    found = [
        digest
        for digest, profile in view.profiles.items()
        if digest.startswith(selector) and model.takes(profile)
    ]
    if len(found) > 1:
        raise Fault(
            "invalid_value",
            f"{field}: {selector!r} begins {len(found)} digests; give more of it",
            param=field,
        )
    if not found:
        raise _no_profile(selector, caller, view, model, field)
    return found[0], found[0]


def _no_profile(selector: str, caller: Caller, view: Snapshot, model: ServedModel, field: str) -> Fault:
    seen = [name for name, to in view.named(model.names).items() if caller.may_use((name, to))]
    near = get_close_matches(selector, seen, n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    return Fault(
        "steering_profile_not_found",
        f"{field}: {model.name!r} has no profile {selector!r}{hint}",
        param=field,
    )


def _check_use(
    caller: Caller, view: Snapshot, model: ServedModel, profile: Profile | None, label: str
) -> None:
    if profile is None:
        allowed = caller.may_use((PLAIN,))
    else:
        allowed = caller.may_use((label, profile.digest, *view.pointing(model.names, profile.digest)))
        if not model.takes(profile):
            raise Fault(
                "steering_profile_incompatible",
                f"profile {label!r} is made for {profile.model}; {model.name!r} is {model.address}",
                param="model",
            )
    if not allowed:
        raise Fault("steering_profile_forbidden", f"the key may not use profile {label!r}", param="profile")


def _killed(found: Addressed, ask: ChatRequest, view: Snapshot) -> Addressed:
    """The same turn unsteered: the model's `baseline` where it has one, else the profile less its interventions."""
    if ask.steering_required or found.arm == "inline":
        raise Fault("steering_disabled", "steering is switched off on this server; nothing was generated")
    digest = view.named(found.model.names).get("baseline", "")
    profile = view.profiles.get(digest)
    if profile is None or profile.interventions:
        profile = None if found.profile is None else replace(found.profile, interventions=())
    return Addressed(
        model=found.model,
        profile=profile,
        label="baseline",
        digest="" if profile is None else profile.digest,
        arm="baseline",
        unit_hash=found.unit_hash,
        canary=found.canary,
        reason=KILLED,
    )
