"""Cross-agent probes. Bob is told to be warm or cold: is it in bob while he speaks, in ann while she reads him."""

import sys
import tempfile

from symposia import ActivationQuery, ActivationStore, Capture, Conversation, Groups, Sampling, keeping
from symposia.core.positions import answer, prompt
from symposia.interp import plot
from symposia.interp.acts.labels import labels_of
from symposia.interp.probes import matrix, probe

folder = tempfile.mkdtemp()
talk = Conversation.from_models(
    ["symposia:tiny"] * 2,
    names=["ann", "bob"],
    sampling=Sampling(max_tokens=30),
    backend=keeping(f"{folder}/acts"),
)
capture = Capture(layers=(0, 2, 4), where=answer() | prompt())  # what is said, and what is read of the other
labels = {}
for seed, about in enumerate(["the rain", "old houses", "the sea", "long walks", "cats", "a garden"] * 3):
    for mood in ("warm", "cold"):
        one = talk.set(seed=seed, participants={"bob": {"system": f"You are bob. You are {mood}."}})
        one.id = f"{mood} {seed}"
        with one.capture(capture):
            one.run(4, first="bob", prompt=f"What do you think of {about}?")
        labels |= {(one.id, turn): mood for turn in range(len(one.transcript))}

sides = Groups(ActivationQuery(label="warm"), ActivationQuery(label="cold"), labels=labels_of(labels))
with ActivationStore.open(f"{folder}/acts") as store:  # only the folder is read: no model, no forward
    cells = matrix(sides, ["bob", "ann"], ["bob", "ann"], store=store)
    found = probe(sides, store=store, reader="ann", author="bob")
for cell in cells:
    told = f"AUROC {cell.auroc:.2f} held out; shuffled labels reach {cell.null:.2f}"
    print(f"{cell.reader} reading {cell.author}, layer {cell.layer}: {told}")
if sys.argv[1:]:
    plot.save(plot.layers(found.diagnosis), sys.argv[1])
