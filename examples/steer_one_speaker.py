"""Two speakers, one steered from the middle on: what was applied, what it changed, and where each speaker drifts."""

import sys

from symposia import Conversation, Sampling, answer_start, fit, inside
from symposia.core.drift import FirstTurns, crossings, drift
from symposia.interp import plot
from symposia.interp.drift import meter

warmth = fit("examples/warm.jsonl", "symposia:tiny", name="warmth", read=answer_start())
talk = Conversation.from_models(
    ["symposia:tiny"] * 2, names=["ann", "bob"], sampling=Sampling(max_tokens=40, seed=7)
)
watch = meter([warmth.vector], warmth.layer + 1, reference=FirstTurns(3))  # a layer past the push

with talk.capture(*watch.captures):  # a float a token, read in the forward that makes it
    talk.run(8, prompt="What do you think of the rain?")
    for speaker in ("ann", "bob") * 4:  # the same two, and a push along the direction for ann alone
        talk.step(speaker, interventions=[warmth.add(0.5)] if speaker == "ann" else [])

first = next(
    i for i, message in enumerate(talk.transcript) if message.provenance and message.provenance.receipts
)
[receipt] = talk.transcript[first].provenance.receipts
layer = receipt.layers[0]
print(f"ann was pushed from message {first} on: {talk.transcript[first].text!r}")
print(
    f"receipt: {receipt.status}, {receipt.tokens.generated} tokens at layer {layer.layer}, "
    f"|δ| {layer.delta_mean:.2f} of |h| {layer.norm:.2f}, projection {layer.before:.2f} to {layer.after:.2f}"
)

other = inside.twin(talk, first, without="warmth")  # same view, same seed, one intervention less
print(f"without it: {other.texts[1]!r}; first other token: {other.diverges}")

turns = drift(talk.transcript, watch)
for one in crossings(talk.transcript, watch):
    print(f"{one.speaker} drifts at message {one.turn}: z {one.z:+.1f}")
if sys.argv[1:]:
    plot.save(plot.drift(turns), sys.argv[1])
