"""Latents of sparse autoencoders as directions: a decoder row is what one unit of its activation adds to the site."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.value import Value

from .kinds import UnreadableVector
from .vector import Header, LayerNotes, SteeringVector

Norm = Literal["none", "layer_norm", "constant_norm_rescale"]


class Autoencoder(Value, frozen=True, kw_only=True):
    """How a file of kind `latent` computes activations; `norm` is applied to the row before the encoder reads it."""

    activation: Literal["relu", "jump_relu", "top_k"] = "relu"
    norm: Norm = "none"
    k: int | None = None

    @property
    def alone(self) -> bool:
        """Whether a latent's activation follows from its own encoder row."""
        return self.activation != "top_k" and self.norm == "none"

    def told(self) -> dict[str, Any]:
        """As a header's `method`."""
        return {"type": "sae", "params": msgspec.to_builtins(self)}


def autoencoder_of(header: Header) -> Autoencoder:
    """The rule a header tells; a file that tells none is a plain ReLU, or JumpReLU where it has thresholds."""
    if header.method.get("type") != "sae":
        return Autoencoder()
    try:
        return msgspec.convert(header.method["params"], Autoencoder)
    except (KeyError, msgspec.ValidationError) as error:
        raise UnreadableVector(f"vector {header.name!r}: method of an autoencoder: {error}") from error


def latent(sae: SteeringVector, index: int, *, name: str = "") -> SteeringVector:
    """The decoder row of a latent as a direction at the autoencoder's own layer and site.

    `fitted_norm` is the row's length: "fitted 1.0" adds what one unit of activation adds. Raises `InvalidInput` for an
    index it does not have, or a dead latent, whose row is zero.
    """
    if sae.header.kind != "latent":
        raise InvalidInput(
            f"vector {sae.header.name!r}: expected a file of kind latent; got {sae.header.kind}"
        )
    rows = {layer: sae.tensors[f"decoder.{layer}"] for layer in sae.layers}
    features = min(len(decoder_FD) for decoder_FD in rows.values())
    if not 0 <= index < features:
        raise InvalidInput(f"vector {sae.header.name!r} has latents 0..{features - 1}; got {index}")
    lengths = {layer: float(decoder_FD[index].double().norm()) for layer, decoder_FD in rows.items()}
    if dead := [layer for layer, length in lengths.items() if not length]:
        raise InvalidInput(f"vector {sae.header.name!r}: latent {index} is dead: its row is zero at {dead}")
    header = msgspec.structs.replace(
        sae.header,
        name=name or f"{sae.header.name}/{index}",
        kind="direction",
        method={"type": "latent", "params": {"sae": sae.digest, "index": index}},
        layers={str(layer): LayerNotes(fitted_norm=length) for layer, length in lengths.items()},
        description=f"latent {index} of {sae.header.name}",
    )
    return SteeringVector(
        header, {layer: rows[layer][index].double() / length for layer, length in lengths.items()}
    )
