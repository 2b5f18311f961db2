"""Branch, rewind, edit, sample, and twins: one conversation, several futures, the parent untouched."""

from symposia import Conversation, Participant, Profile, Sampling

profile = Profile(model="symposia:tiny", sampling=Sampling(temperature=0.8, max_tokens=60))
talk = Conversation([Participant(name=name, profile=profile) for name in ("alice", "bob")])
talk.run(4, prompt="Tea or coffee?")
before = talk.transcript.digest

print("three things alice might say next:")
for message in talk.sample("alice", n=3):
    print("  -", message.text)
print("everybody's answer to one question:")
for name, message in talk.sample_all("Which would you give up last?").items():
    print(f"  {name}: {message.text}")

other = talk.branch(2)  # keeps messages 0..2, then lives its own life
twin = talk.branch(2, fresh=False)  # keeps the parent's randomness: says the same again
print("another future:", other.step().text)
print("the twin agrees with the parent:", twin.step().text == talk.transcript[3].text)

changed = talk.branch(1)
changed.edit(0, text="Cats or dogs?")
changed.rewind(0)
print("after an edit:", changed.step("alice").text)
print("the parent's digest is unchanged:", talk.transcript.digest == before)
