"""Whether a vector file can be used on a model, and how files agree with one another; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from symposia.core.capture import Site
from symposia.core.value import Value

from .taps import LAYERLESS, ModelShape, SiteMap
from .vector import SteeringVector


class Fitness(Value, frozen=True, kw_only=True):
    """One thing looked at. `note`: usable, and worth knowing; `unfit`: refused as it is, `why` says what to do."""

    name: Literal["weights", "width", "layers", "site", "template"]
    status: Literal["fits", "note", "unfit"]
    why: str = ""


def fitness(vector: SteeringVector, shape: ModelShape, sites: SiteMap) -> tuple[Fitness, ...]:
    """What a request with this vector on this model would meet, at the site the file was read."""
    header, site = vector.header, vector.header.read.site
    found = [_weights(vector, shape)]
    beyond = [layer for layer in vector.layers if layer >= shape.layers]
    found.append(
        Fitness(name="layers", status="unfit", why=f"{_list(beyond)}: the model has 0..{shape.layers - 1}")
        if beyond
        else Fitness(name="layers", status="fits")
    )
    found.append(_site(site, vector.layers, sites))
    inside = [layer for layer in vector.layers if layer < shape.layers]
    if header.kind != "means" and site not in LAYERLESS and inside:
        widths = {sites.width_at(site, layer) for layer in inside}
        same = widths == {header.model.width}
        why = "" if same else f"{header.model.width}; {site} of the model has {_list(sorted(widths))}"
        found.append(Fitness(name="width", status="fits" if same else "unfit", why=why))
    if header.template and header.template != shape.template:
        found.append(Fitness(name="template", status="note", why="fitted under another chat template"))
    return tuple(found)


def cosines(one: SteeringVector, other: SteeringVector) -> dict[int, float]:
    """Cosine of two files' directions at each layer that both have; empty where they cannot be compared."""
    if one.header.kind != "direction" or other.header.kind != "direction":
        return {}
    if one.header.model.width != other.header.model.width:
        return {}
    shared = [layer for layer in one.layers if layer in other.directions]
    return {layer: float(one.units(layer)[0] @ other.units(layer)[0]) for layer in shared}


def _weights(vector: SteeringVector, shape: ModelShape) -> Fitness:
    fitted = vector.header.model
    if fitted.digest == shape.digest:
        return Fitness(name="weights", status="fits")
    whose = f"fitted on {fitted.name}, other weights" if fitted.digest else "its file names no model"
    return Fitness(name="weights", status="unfit", why=f"{whose}; say foreign=True to use it here")


def _site(site: Site, layers: Sequence[int], sites: SiteMap) -> Fitness:
    if site not in sites.supported:
        return Fitness(name="site", status="unfit", why=f"{site}: the model has {', '.join(sites.supported)}")
    missing = [layer for layer in layers if layer not in sites.supported[site] and layer < sites.layers]
    if missing and site not in LAYERLESS:
        why = f"{site} at {_list(missing)} did not pass the self-tests, or is not there"
        return Fitness(name="site", status="unfit", why=why)
    return Fitness(name="site", status="fits")


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
