"""Patching between branches: which states carry a planted word, and a reader who holds another branch's."""

import sys

from symposia import Conversation, Participant, Profile, Sampling, inside
from symposia.core.transcript import Transcript
from symposia.interp import plot
from symposia.interp.patch import How, LogitDiff

profile = Profile(model="symposia:tiny", sampling=Sampling(temperature=0.0, max_tokens=24))
people = [Participant(name=name, profile=profile) for name in ("ann", "tiny")]
told, other = (
    Conversation(people, transcript=Transcript.load(f"examples/{name}.json").up_to(3))
    for name in ("clean", "corrupt")
)
print("told candle:", told.branch().step("tiny").text)
print("told paddle:", other.branch().step("tiny").text)

# the grid: states of one branch written into the other, position by position, layer by layer
clean, corrupt = (told, "tiny"), (other, "tiny")
metric = LogitDiff("The magic word is candle.", "The magic word is paddle.")
grid = inside.sweep(clean, corrupt, metric, layers=(0, 2, 4, 5), how=How(rule="index"))
print(f"\n{grid}")
by_head = inside.estimate(clean, corrupt, metric, sites=("z",), how=How(rule="index", heads=(0, 1, 2, 3)))
print(f"\nby head, estimated: {by_head.grid.peak()}; correlation with exact cells {by_head.correlation:.2f}")

# the transplant: of ann's words tiny holds the other branch's states, and the conversation is played on
moved = other.branch()
states = inside.transplant(clean, corrupt, author="ann", align="index")
print("\ntold paddle, holding candle:", moved.step("tiny", interventions=states).text)
print({receipt.status for receipt in moved.transcript[-1].provenance.receipts}, moved.run(2)[-1].text)

# the twin: the same turn and seed without the transplant; KL along what was said with it
twin = inside.twin(moved, 3, without="transplant")
print(f"\n{twin}\n{twin.readings.only(lambda token: token.text in (' is', ' candle'))}")
if sys.argv[1:]:
    plot.save(plot.patch(grid, most=12), sys.argv[1])
