"""The logit lens of a conversation: at which layer a recalled word appears, and which heads put it there."""

import sys

from symposia import Conversation, Participant, Profile, Sampling, inside
from symposia.core.transcript import Transcript
from symposia.interp import plot

profile = Profile(model="symposia:tiny", sampling=Sampling(temperature=0.0, max_tokens=12))
people = [Participant(name=name, profile=profile) for name in ("ann", "tiny")]
told = Transcript.load("examples/clean.json").up_to(3)  # ann plants a word, and asks for it two turns later
talk = Conversation(people, transcript=told)

# everything below is read from the forwards that made tiny's reply; nothing is computed twice
with talk.capture(inside.residuals("symposia:tiny"), *inside.parts("symposia:tiny")) as caught:
    print("tiny:", talk.step("tiny").text)

lens = inside.logits(caught, tokens=(" candle",))
before = next(i for i, token in enumerate(lens.tokens) if token.text == " is")  # what comes next is the word
print(f"\nafter {lens.tokens[before].text!r}, by layer:")
for i, layer in enumerate(lens.layers):
    best, logprob = lens.top(layer, lens.tokens[before].position)[0]
    rank, kl = int(lens.rank(" candle")[i, before]), float(lens.kl_LN[i, before])
    print(f"  {layer}: {best!r} ({logprob:.2f} nats); ' candle' is number {rank}; KL to the end {kl:.2f}")

shares = inside.attribute(caught, " candle", " paddle")
print(
    f"\nlogit(' candle') - logit(' paddle') = {float(shares.shares.total_N[before]):.2f}; the largest shares:"
)
for name, share in list(shares.at(before).items())[:5]:
    print(f"  {share:+.2f}  {name}")
if sys.argv[1:]:
    plot.save(plot.lens(lens), sys.argv[1])
