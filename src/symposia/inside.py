"""Looking inside a conversation, for notebooks and scripts: lenses, attribution, patching, transplants, twins.

Synchronous, on local models: `from symposia import inside`. Where a request is wanted, a conversation with the name of
its next speaker does as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symposia.core.capture import Capture, Site
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Replace
from symposia.core.positions import Positions, spoken
from symposia.core.request import Request
from symposia.core.transcript import Ref
from symposia.facade import activations, engines, local_model
from symposia.talk import portal
from symposia.talk.caught import Caught
from symposia.talk.conversation import Conversation

if TYPE_CHECKING:
    from symposia.engine import Engine
    from symposia.interp.align import Rule
    from symposia.interp.attribution import Attribution
    from symposia.interp.logitlens import LogitLens
    from symposia.interp.patch import Estimate, Grid, How, Metric, Model
    from symposia.interp.readings import TokenReadings
    from symposia.interp.twin import Twin

    Next = Request | tuple[Conversation, str]
    Source = Caught | Conversation


def residuals(model: str, where: Positions = spoken()) -> Capture:
    """What the logit lens reads: the residual after every block."""
    return Capture(layers=tuple(range(engines().engine(model).shape.layers)), where=where)


def parts(model: str, where: Positions = spoken()) -> tuple[Capture, ...]:
    """What `attribute` reads: the embedding, every head, every MLP, the last residual."""
    from symposia.interp import attribute

    return attribute.captures(engines().engine(model), where)


def logits(source: Source, *, model: str = "", top: int = 5, tokens: Sequence[str | int] = ()) -> LogitLens:
    """What the model would say at each layer where residuals were captured. See `interp.lens.logits`."""
    from symposia.interp import lens

    return lens.logits(activations(source), _engine(source, model), top, tokens=tokens)


def tokens(source: Source, *, model: str = "") -> TokenReadings:
    """Log-probability, surprisal and entropy of every token whose predecessor's last residual was captured."""
    from symposia.interp import lens

    return lens.reread(activations(source), _engine(source, model))


def attribute(source: Source, a: str | int, b: str | int, *, model: str = "") -> Attribution:
    """Shares of embedding, heads and MLPs in logit(a) - logit(b), where `parts` were captured."""
    from symposia.interp import attribute as attributing

    return attributing.direct(activations(source), _engine(source, model), a, b)


def sweep(
    clean: Next,
    corrupt: Next,
    metric: Metric,
    *,
    layers: Sequence[int] = (),
    sites: Sequence[Site] = ("resid_post",),
    how: How | None = None,
) -> Grid:
    """The exact patching grid of two turns about to be made; () are all layers. See `interp.patch.sweep`."""
    from symposia.interp import patch

    one, other, model, every = _two(clean, corrupt)
    chosen, manner = tuple(layers) or every, how or patch.How()
    return portal.call(patch.sweep(one, other, metric, model=model, layers=chosen, sites=sites, how=manner))


def estimate(
    clean: Next,
    corrupt: Next,
    metric: Metric,
    *,
    layers: Sequence[int] = (),
    sites: Sequence[Site] = ("resid_post",),
    how: How | None = None,
) -> Estimate:
    """The same grid to first order, and how it agrees with exact cells. See `interp.patch.estimate`."""
    from symposia.interp import patch

    one, other, model, every = _two(clean, corrupt)
    chosen, manner = tuple(layers) or every, how or patch.How()
    return portal.call(
        patch.estimate(one, other, metric, model=model, layers=chosen, sites=sites, how=manner)
    )


def transplant(
    clean: Next,
    corrupt: Next,
    *,
    layers: Sequence[int] = (),
    site: Site = "resid_pre",
    align: Rule = "span",
    author: str | tuple[str, str] | None = None,
) -> tuple[Replace, ...]:
    """Interventions that give corrupt's next turn the states of clean's: `conv.step(name, interventions=…)`.

    See `interp.patch.transplant`; `author` narrows it to what one participant said.
    """
    from symposia.interp import patch

    one, other, model, _ = _two(clean, corrupt)
    return portal.call(
        patch.transplant(one, other, model=model, layers=layers, site=site, align=align, author=author)
    )


def mute(turn: Next, author: str, *, filler: str = ".") -> tuple[Replace, ...]:
    """Interventions under which the turn's speaker holds nothing of what `author` said. See `interp.patch.mute`."""
    from symposia.interp import patch

    request = _request(turn)
    return portal.call(patch.mute(request, author, model=local_model(request.model), filler=filler))


def twin(conversation: Conversation, ref: Ref, without: str | int) -> Twin:
    """A sampled turn made again with the same seed and without one of its interventions. See `interp.twin`."""
    from symposia.interp.twin import twin as make

    request = conversation.request(ref)
    return portal.call(make(request, conversation.completion(ref), without, model=local_model(request.model)))


def _two(clean: Next, corrupt: Next) -> tuple[Request, Request, Model, tuple[int, ...]]:
    one, other = _request(clean), _request(corrupt)
    if one.model != other.model:
        raise InvalidInput(f"expected two turns of one model; got {one.model} and {other.model}")
    model = local_model(one.model)
    return one, other, model, tuple(range(model.inside.shape.layers))


def _request(turn: Next) -> Request:
    if isinstance(turn, Request):
        return turn
    conversation, speaker = turn
    return conversation.next_request(speaker)


def _engine(source: Source, model: str) -> Engine:
    """The one model that made what was captured."""
    if model:
        return engines().engine(model)
    if isinstance(source, Caught):
        found = {done.served.model for _, done in source.completions if done.activations}
    else:
        made = [m for m in source.transcript if m.provenance and m.provenance.activations]
        found = {source[m.author].profile.model for m in made}
    if len(found) != 1:
        raise InvalidInput(
            f"expected activations of one model; these are of {sorted(found) or 'none'}; say model=…, or capture apart"
        )
    return engines().engine(found.pop())
