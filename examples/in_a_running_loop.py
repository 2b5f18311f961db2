"""The synchronous API inside a running event loop, as in a notebook, beside its async twin."""

import asyncio

from symposia import Conversation, Participant, Profile, Scripted

backend = Scripted({"alice": ["Good morning.", "Fine, thank you."], "bob": ["Good morning. How are you?"]})
people = [Participant(name=name, profile=Profile(model="scripted")) for name in ("alice", "bob")]


async def cell() -> None:
    """What a notebook cell is: code inside a loop that already runs."""
    talk = Conversation(people, backend=backend)
    talk.run(2)
    await talk.arun(1)
    print(talk.transcript)
    print(len(talk.transcript.to_html()), "characters of HTML")


asyncio.run(cell())
