"""Figures hold the values they were given, with names a reader understands, and nothing else."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from symposia.core.drift import Drift
from symposia.core.errors import InvalidInput
from symposia.interp import plot
from symposia.interp.diagnose import Diagnosis
from symposia.interp.dose.statistics import choose, responses
from symposia.interp.dose.values import Dose, Push, SampleRow, Scores
from symposia.interp.grid import Grid
from symposia.interp.plot.style import PlotsNeedMatplotlib
from symposia.interp.vector import LayerNotes


def rows():
    for prompt in "abcd":
        for kind, scale, index, concept, nats in (
            ("base", 0.0, 0, 0.1, 0.2),
            ("prompt", 0.0, 0, 0.9, 0.25),
            ("vector", 0.5, 0, 0.5, 0.3),
            ("vector", 1.0, 0, 1.1, 1.5),
            ("wrong_sign", -0.5, 0, 0.0, 0.3),
            ("wrong_sign", -1.0, 0, -0.2, 0.4),
            *(("random", s, i, 0.1 + 0.1 * i, 0.3) for s in (0.5, 1.0) for i in range(3)),
        ):
            yield SampleRow(
                key="", kind=kind, scale=scale, index=index, prompt=prompt, seed=0, text="", tokens=5, nats=nats,
                kl=0.1, degenerate=None, applied=None, scores=Scores(concept=concept + 0.01 * ord(prompt)),
            )  # fmt: skip


def dose():
    made = list(rows())
    return Dose(
        vector="v",
        name="warmth",
        model="m",
        push=Push(layers=(4,)),
        prompts="p",
        seeds=1,
        measure="readout (0 to 1)",
        responses=responses(made),
        chosen=choose(made, {"a", "b"}, {"c", "d"}, worse=2.0),
        tried=2,
        worse=2.0,
    )


def curves(axes):
    return {line.get_label(): line for line in axes.get_lines()} | {
        bar.get_label(): bar.lines[0] for bar in axes.containers
    }


def test_dose_shows_every_arm_from_the_base_on():
    """Means over scales as measured, mirrored for the wrong sign; the chosen scale; perplexity below, logarithmic."""
    found = dose()
    above, below = plot.dose(found).axes
    drawn = curves(above)
    base = found.at("base").concept.mean
    for kind, label in (
        ("vector", "the vector"),
        ("wrong_sign", "wrong sign"),
        ("random", "random directions"),
    ):
        x, y = drawn[label].get_data()
        assert list(x) == [0.0, 0.5, 1.0]
        assert list(y) == pytest.approx([base] + [r.concept.mean for r in found.curve(kind)])
    assert list(drawn["asked in the system text"].get_ydata()) == [found.at("prompt").concept.mean] * 2
    assert found.chosen.scale == 0.5
    assert list(drawn["chosen on half of the prompts"].get_xdata()) == [0.5, 0.5]
    assert below.get_yscale() == "log"
    ours = next(line for line in below.get_lines() if line.get_marker() == "o")
    assert list(ours.get_ydata()) == pytest.approx(
        [found.at(k, s).perplexity for k, s in (("base", 0.0), ("vector", 0.5), ("vector", 1.0))]
    )
    assert "warmth at layer 4 of m" in above.get_title(loc="left")
    assert below.get_xlabel() == "scale (fitted)"


def test_dose_without_baselines_or_choice():
    """What was left out is not drawn."""
    found = Dose(
        vector="v", name="w", model="m", push=Push(layers=(1, 2)), prompts="p", seeds=1, measure="m",
        responses=tuple(r for r in dose().responses if r.kind in ("base", "vector")), chosen=None, tried=2, worse=2.0,
    )  # fmt: skip
    above, _ = plot.dose(found, measure="how warm").axes
    assert set(curves(above)) >= {"the vector", "unsteered"}
    assert "random directions" not in curves(above)
    assert above.get_ylabel() == "how warm"


def test_layers_show_what_the_diagnosis_says():
    """A curve for each measure, chance as a band, the suggestion marked."""
    notes = {
        i: LayerNotes(auroc=0.6 + i / 10, split_half=0.9, pair_cosine=0.3, null_auroc=0.58) for i in range(3)
    }
    [axes] = plot.layers(Diagnosis(pairs=16, layers=notes, suggested=2, warnings=())).axes
    drawn = curves(axes)
    assert list(drawn["held-out AUROC"].get_ydata()) == pytest.approx([0.6, 0.7, 0.8])
    assert list(drawn["suggested: layer 2"].get_xdata()) == [2, 2]


def test_patch_shows_the_grid_upright():
    """Layers upward, columns by name, one panel a site, white at zero."""
    values = torch.arange(12, dtype=torch.float64).view(2, 3, 2) / 10 - 0.4
    grid = Grid(values[..., None], ("resid_post", "mlp_out"), (0, 2, 4), ((5,), (6, 7)), 1.0, 0.0)
    drawn = plot.patch(grid)
    panels = [axes for axes in drawn.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == ["resid_post", "mlp_out"]
    for panel, site in zip(panels, values, strict=True):
        [image] = panel.images
        assert np.allclose(image.get_array(), site.numpy())
        assert image.origin == "lower"
        assert -image.norm.vmin == image.norm.vmax == 1.0
        assert [t.get_text() for t in panel.get_xticklabels()] == ["5", "6–7"]
        assert [t.get_text() for t in panel.get_yticklabels()] == ["0", "2", "4"]
    with pytest.raises(InvalidInput, match="a label for each of 2 columns; got 1"):
        plot.patch(grid, ["only"])
    by_head = Grid(values.view(1, 3, 2, 2), ("z",), (0, 1, 2), ((5,), (6,)), 1.0, 0.0, heads=(0, 3))
    [panel] = [axes for axes in plot.patch(by_head, ["$a", "b"]).axes if axes.images]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["$a · 0", "$a · 3", "b · 0", "b · 3"]
    assert np.allclose(panel.images[0].get_array(), values.view(3, 4).numpy())


def test_drift_draws_a_line_for_each_speaker_and_direction():
    """Turns without a z are left out; the limit is a band."""
    turns = [
        Drift(
            speaker=s,
            turn=t,
            name="drift:warm",
            vector="v",
            layer=3,
            tokens=4,
            mean=0.0,
            z=None if t < 2 else z,
        )
        for t, s, z in ((0, "ann", 0.0), (1, "bob", 0.0), (2, "ann", 1.0), (3, "bob", -4.0), (4, "ann", 2.0))
    ]
    [axes] = plot.drift(turns, limit=3.0).axes
    drawn = curves(axes)
    assert list(zip(*drawn["ann on warm, layer 3"].get_data(), strict=True)) == [(2, 1.0), (4, 2.0)]
    assert list(drawn["bob on warm, layer 3"].get_ydata()) == [-4.0]
    with pytest.raises(InvalidInput, match="no turn has a z"):
        plot.drift(turns[:2])


def test_tokens_are_read_in_order_and_never_split():
    """A block for each run of one speaker and phase; the middle is white, its sides are the two hues."""
    said = [plot.Spoken(f"word{i} ", i - 25.0, "ann" if i < 30 else "bob") for i in range(50)]
    said.append(plot.Spoken("$hm$", 0.0, "bob", "reasoning"))
    drawn = plot.tokens(said, label="warmth")
    axes = drawn.axes[0]
    texts = [t.get_text() for t in axes.texts]
    assert [t for t in texts if t.startswith("word")] == [f"word{i} " for i in range(50)]
    assert [t for t in texts if t and not t.startswith("word")] == ["ann", "bob", "bob (reasoning)", "$hm$"]
    white = [
        patch.get_facecolor()[:3] for patch in axes.patches if patch.get_facecolor()[:3] > (0.95, 0.95, 0.95)
    ]
    assert len(white) >= 2
    assert max(patch.get_x() + patch.get_width() for patch in axes.patches) <= 84
    assert drawn.axes[1].get_xlabel() == "warmth"
    with pytest.raises(InvalidInput, match="nothing to show"):
        plot.tokens([])


def test_an_svg_keeps_its_text_and_is_the_same_each_time(tmp_path):
    """Text as text, no date, no random names."""
    for name in ("a.svg", "b.svg"):
        plot.save(plot.dose(dose()), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ">random directions<" in (tmp_path / "a.svg").read_text()
    plot.save(plot.dose(dose()), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


def test_arms_differ_without_their_colours():
    """No two curves share mark and dashes, so a print in greys says the same."""
    lines = [
        line
        for name, line in curves(plot.dose(dose()).axes[0]).items()
        if line.get_marker() not in ("", "None", "_")
    ]
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == len(lines) == 3


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    """Nothing else of the package needs it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotsNeedMatplotlib, match=r"pip install 'symposia\[plot\]'"):
        plot.dose(dose())
