"""Autoencoders of SAELens: the activations of the formulas of their package, from the tensors we keep."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from symposia.core.errors import InvalidInput, InvalidIntervention
from symposia.core.intervention import Latent
from symposia.interp.formats.convert import import_vector
from symposia.interp.formats.foreign import Asked
from symposia.interp.kinds import UnreadableVector
from symposia.interp.latent import Autoencoder, autoencoder_of, latent
from symposia.interp.ops import Place, Source, term_of
from symposia.interp.vector import load_vector
from tests.interp.formats.files import SHAPE, sae

PEER = (
    "needs sae-lens 6, which wants transformer-lens below 4: install both in an environment of their own and name its "
    "site-packages before src in PYTHONPATH"
)
META = {"sae_lens_version": "6.54.12", "model_name": "m"}


def kept(found, x_ND):
    """f and the reconstruction as our file's tensors say."""
    layer = found.layers[0]
    t = {name.partition(".")[0]: tensor.double() for name, tensor in found.tensors.items()}
    pre_NF = x_ND @ t["encoder"].T + t["encoder_bias"]
    over = t.get("threshold", torch.zeros(1, dtype=torch.float64))
    f_NF = pre_NF * (pre_NF > over)
    assert f"encoder.{layer}" in found.tensors
    return f_NF, f_NF @ t["decoder"] + t["decoder_bias"]


def stated(x_ND, w, architecture, *, shifted):
    """The same by SAELens' own formulas."""
    seen = x_ND - w["b_dec"] if shifted else x_ND
    if architecture == "gated":
        gate = (seen @ w["W_enc"] + w["b_gate"] > 0).double()
        f = gate * (seen @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).relu()
    else:
        pre = seen @ w["W_enc"] + w["b_enc"]
        f = pre.relu() * (pre > w["threshold"]) if architecture == "jumprelu" else pre.relu()
    return f, f @ w["W_dec"] + w["b_dec"]


MORE = {
    "standard": {},
    "jumprelu": {"threshold": torch.tensor([0.5, -0.3, 0.0, 2.0, 1.0])},
    "gated": {
        "b_enc": None,
        "b_gate": torch.tensor([0.5, -0.3, 0.0, 2.0, -1.0]),
        "b_mag": torch.tensor([-0.5, 0.7, 0.1, 0.2, -2.0]),
        "r_mag": torch.tensor([0.2, -0.4, 0.0, 1.0, -1.0]),
    },
}


@pytest.mark.parametrize("architecture", MORE)
@pytest.mark.parametrize("shifted", [True, False])
def test_activations_and_reconstruction_are_theirs(tmp_path, architecture, shifted):
    """Whatever was folded; also after writing and reading our file."""
    config = {"architecture": architecture, "apply_b_dec_to_input": shifted}
    folder = sae(tmp_path / "sae", config, **MORE[architecture])
    found = import_vector(folder, Asked(shape=SHAPE))
    found.save(tmp_path / "sae.safetensors")
    weights = {name: t.double() for name, t in load_file(folder / "sae_weights.safetensors").items()}
    x_ND = 2.0 * torch.randn(200, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    expected = stated(x_ND, weights, architecture, shifted=shifted)
    assert float((expected[0] > 0).double().mean()) > 0.1
    for one in (found, load_vector(tmp_path / "sae.safetensors")):
        for got, wanted in zip(kept(one, x_ND), expected, strict=True):
            assert torch.allclose(got, wanted, atol=1e-5)
    assert autoencoder_of(found.header).alone
    assert found.layers == (2,)
    assert found.header.origin["changes"][0] == "blocks.2.hook_resid_post -> resid_post of block 2"
    assert any("b_dec" in line for line in found.header.origin["changes"]) == shifted


@pytest.mark.parametrize(
    ("hook", "site", "layer"),
    [
        ("blocks.0.hook_resid_pre", "resid_pre", 0),
        ("blocks.3.hook_resid_mid", "resid_mid", 3),
        ("blocks.1.hook_attn_out", "attn_out", 1),
        ("blocks.1.hook_mlp_out", "mlp_out", 1),
        ("blocks.1.attn.hook_z", "z", 1),
    ],
)
def test_hooks_are_sites(tmp_path, hook, site, layer):
    """By name, layer by layer; in the old place of the name too."""
    new = import_vector(sae(tmp_path / "new", {"metadata": {**META, "hook_name": hook}}), Asked())
    old = import_vector(
        sae(tmp_path / "old", {"metadata": None, "hook_point": hook, "activation_fn_str": "relu"}), Asked()
    )
    for found in (new, old):
        assert found.header.read.site == site
        assert found.layers == (layer,)
    assert old.digest != new.digest  # their origins are other files
    assert old.tensors[f"encoder.{layer}"].equal(new.tensors[f"encoder.{layer}"])


@pytest.mark.parametrize(
    ("config", "weights", "text"),
    [
        ({"metadata": {**META, "hook_name": "blocks.2.hook_mlp_in"}}, {}, "hook_mlp_in"),
        ({"metadata": META}, {}, "expected hook_name"),
        ({"metadata": {**META, "hook_name": "blocks.1.attn.hook_z", "hook_head_index": 2}}, {}, "head 2"),
        ({"metadata": {**META, "hook_name": "blocks.9.hook_resid_post"}}, {}, r"block 0\.\.3 of m; got 9"),
        ({"architecture": "transcoder"}, {}, "'transcoder'"),
        ({"normalize_activations": "expected_average_only_in"}, {}, "fold_activation_norm_scaling_factor"),
        ({"activation_fn": "tanh-relu"}, {}, "tanh-relu"),
        ({"d_sae": 6}, {}, r"\[8, 6\]"),
        ({"d_in": 9}, {}, "width of m, 8; got 9"),
        ({"architecture": "jumprelu"}, {}, "threshold"),
        ({}, {"scaling_factor": 2.0 * torch.ones(5)}, "scaling_factor"),
        ({}, {"W_dec": torch.full((5, 8), torch.inf)}, "infinity"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, config, weights, text):
    """Never an approximation: another place, another formula, a factor that is not in the file."""
    with pytest.raises(UnreadableVector, match=text):
        import_vector(sae(tmp_path / "sae", config, **weights), Asked(shape=SHAPE))


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"architecture": "topk", "k": 2}, Autoencoder(activation="top_k", k=2)),
        (
            {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3}},
            Autoencoder(activation="top_k", k=3),
        ),
        ({"normalize_activations": "layer_norm"}, Autoencoder(norm="layer_norm")),
    ],
)
def test_what_one_latent_cannot_decide_is_kept_and_not_computed(tmp_path, config, rule):
    """The operation on its activation is refused with the way out; its decoder rows are directions all the same."""
    found = import_vector(sae(tmp_path / "sae", config), Asked(shape=SHAPE))
    assert autoencoder_of(found.header) == rule
    edit = Latent(sae=found.digest, index=1, target=2.0, layers=(2,))
    with pytest.raises(InvalidIntervention, match="--method latent:INDEX"):
        term_of(edit, Source({found.digest: found}), Place(layer=2, heads=0, width=8))
    assert latent(found, 1).layers == (2,)


def test_a_latent_is_its_decoder_row(tmp_path):
    """Unit length, one unit of activation as fitted norm, at the autoencoder's own site; dead ones are refused."""
    dead = torch.randn(5, 8)
    dead[4] = 0.0
    found = import_vector(sae(tmp_path / "sae", W_dec=dead), Asked(shape=SHAPE, name="words"))
    one = latent(found, 3)
    assert torch.allclose(one.directions[2] * one.notes(2).fitted_norm, dead[3], atol=1e-6)
    assert one.header.name == "words/3"
    assert one.header.method == {"type": "latent", "params": {"sae": found.digest, "index": 3}}
    assert one.header.read.site == "resid_post"
    for index, text in ((5, r"latents 0\.\.4; got 5"), (4, "dead")):
        with pytest.raises(InvalidInput, match=text):
            latent(found, index)
    with pytest.raises(InvalidInput, match="got direction"):
        latent(one, 0)


def test_folders_that_are_none(tmp_path):
    """Half of the files, or another tool's JSON."""
    folder = sae(tmp_path / "sae")
    assert import_vector(folder / "cfg.json", Asked()).digest == import_vector(folder, Asked()).digest
    (folder / "cfg.json").write_text(json.dumps({"hidden_size": 8}))
    with pytest.raises(UnreadableVector, match=r"cfg\.json of SAELens"):
        import_vector(folder, Asked())
    (folder / "cfg.json").unlink()
    with pytest.raises(UnreadableVector, match="expected a folder with"):
        import_vector(folder, Asked())


def test_the_package_itself_agrees(tmp_path):
    """With SAELens: folders it writes, activations it computes."""
    package = pytest.importorskip("sae_lens", reason=PEER)
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig

    assert package
    theirs = JumpReLUSAE(JumpReLUSAEConfig(d_in=8, d_sae=5))
    theirs.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter))
        theirs.save_model(tmp_path / "sae")
        x_ND = 2.0 * torch.randn(50, 8)
        expected = theirs.encode(x_ND), theirs(x_ND)
    for got, wanted in zip(
        kept(import_vector(tmp_path / "sae", Asked()), x_ND.double()), expected, strict=True
    ):
        assert torch.allclose(got, wanted.double(), atol=1e-4)
