"""The states of one branch given to the reader of another: what it holds of somebody's words comes from elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from symposia.core.capture import Capture, Site
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from symposia.core.request import Request

from . import align as sides
from .align import AlignmentError, Rule, Sided
from .metric import Model
from .taps import WhiteBox


async def transplant(
    clean: Request,
    corrupt: Request,
    *,
    model: Model,
    layers: Sequence[int] = (),
    site: Site = "resid_pre",
    align: Rule = "span",
    author: str | tuple[str, str] | None = None,
) -> tuple[Replace, ...]:
    """What makes the run of `corrupt` hold the states of `clean` at aligned positions: interventions for its turn.

    Both are requests about to be made, of one model; clean's may be another speaker's. `author` narrows it to what one
    participant said, so that the rest of the prompt is as it was; a pair of names lays the first one's words, in
    `clean`, under the second one's. () are all layers: with `resid_pre`, nothing that later tokens see of those
    positions is left of `corrupt`. The rows stay in the model's store until they are dropped. Raises `AlignmentError`.
    """
    layers = tuple(layers) or tuple(range(model.inside.shape.layers))
    kept, base = await asyncio.gather(
        model.read(clean, (Capture(site=site, layers=layers, where=everything()),)), model.read(corrupt, ())
    )
    try:
        theirs, ours = Sided.of(kept, model.spells), Sided.of(base, model.spells)
        if author is not None:
            first, second = (author, author) if isinstance(author, str) else author
            theirs, ours = theirs.only(first), ours.only(second)
        pairs = sides.align(theirs, ours, align).pairs
        if site in ("q", "k") and (moved := [pair for pair in pairs if pair[0] != pair[1]]):
            raise AlignmentError(
                f"{site} rows are turned by their position; {moved[0][0]} cannot stand at {moved[0][1]}; expected "
                "pairs of equal positions, or another site"
            )
    except BaseException:
        model.store.drop(kept.activations)
        raise
    return tuple(Replace(source=ref, site=site, pairs=pairs, name="transplant") for ref in kept.activations)


async def mute(
    request: Request, author: str, *, model: Model, filler: str = ".", layers: Sequence[int] = ()
) -> tuple[Replace, ...]:
    """What makes the run of `request` hold nothing of an author's words: the states of as many fillers in their place.

    Everybody else's words are read as though it had said the fillers, the last token of `filler` over and over. Raises
    `AlignmentError` if it said nothing there, `InvalidInput` for its own reader.
    """
    if author == request.speaker:
        raise InvalidInput(f"{author!r} is the reader; mute somebody it listens to")
    said = Sided.of(await model.render(request), model.inside).only(author)
    if not (ids := model.inside.tokens_of(filler)):
        raise InvalidInput("filler: expected a text of at least one token")
    quiet = _quiet(request, said, author, ids[-1], model.inside)
    made = await transplant(quiet, request, model=model, layers=layers, align="index", author=author)
    return tuple(msgspec.structs.replace(edit, name=f"mute {author}") for edit in made)


def _quiet(request: Request, said: Sided, author: str, token: int, inside: WhiteBox) -> Request:
    """The request with the author's words as fillers, token for token."""
    left = Counter(span.turn for span in said.spans for p in said.at if span.start <= p < span.stop)
    text = inside.spelled([token])[0]
    lines = []
    for line in request.lines:
        segments = []
        for segment in line.segments:
            n = left.pop(segment.turn, 0) if segment.author == author and segment.phase != "markup" else 0
            filled = msgspec.structs.replace(segment, text=text * n, token_ids=(token,) * n)
            segments.append(filled if n else segment)
        lines.append(msgspec.structs.replace(line, segments=tuple(segments)))
    return msgspec.structs.replace(request, lines=tuple(lines))
