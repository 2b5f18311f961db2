"""Conversations whose activations are kept in a folder; later, a direction is fitted on the folder alone."""

import sys
import tempfile

from symposia import ActivationQuery, ActivationStore, Capture, Conversation, Groups, Sampling, fit, keeping
from symposia.core.positions import answer
from symposia.interp import plot
from symposia.interp.acts.labels import labels_of

folder, labels = f"{tempfile.mkdtemp()}/acts", {}
talk = Conversation.from_models(
    ["symposia:tiny"] * 2, names=["ann", "bob"], sampling=Sampling(max_tokens=24), backend=keeping(folder)
)
for seed in range(12):
    for mood in ("warm", "cold"):
        one = talk.set(seed=seed, participants={"ann": {"system": f"You are ann. You are {mood}."}})
        one.id = f"{mood} {seed}"
        with one.capture(Capture(layers=(1, 2, 3, 4, 5), where=answer())):
            one.run(4, first="ann", prompt="Shall we go out?")
        labels |= {(one.id, turn): mood for turn in range(5)}

with ActivationStore.open(
    folder
) as store:  # beside a writer, or on another day; rows are read when asked for
    rows, notes = store.query(ActivationQuery(reader="ann", layer=4)).pool("mean", by="turn")
print(f"{tuple(rows.shape)} turns of ann; the first is turn {notes[0].turn} of {notes[0].conversation!r}")

warm, cold = (ActivationQuery(reader="ann", label=mood) for mood in ("warm", "cold"))
kept = fit(Groups(warm, cold, labels=labels_of(labels)), store=folder, name="kept")  # no model, no forward
pairs = fit("examples/warm.jsonl", "symposia:tiny", name="pairs")
for layer, direction in kept.vector.directions.items():
    cosine = float(direction @ pairs.vector.directions[layer])
    print(
        f"layer {layer}: AUROC {kept.vector.notes(layer).auroc:.2f} held out, cosine with the pairs' {cosine:.2f}"
    )
if sys.argv[1:]:
    plot.save(plot.layers(kept.diagnosis), sys.argv[1])
