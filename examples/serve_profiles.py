"""A steering vector behind an OpenAI-compatible server: fitted, kept as a profile, named, asked for by its name."""

import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec
from openai import OpenAI

from symposia import Profile, answer_start, fit
from symposia.testing import served

ASK = {
    "messages": [{"role": "user", "content": "What do you think of the rain?"}],
    "seed": 7,
    "max_tokens": 40,
}


def admin(method: str, path: str, body: object) -> dict:
    """Ask the admin API; with keys there would be `authorization: Bearer sk-sym-…` among the headers."""
    headers = {"content-type": "application/json"}
    request = Request(f"{url}/admin/v1{path}", msgspec.json.encode(body), headers, method=method)
    with urlopen(request) as answer:
        return msgspec.json.decode(answer.read())


with tempfile.TemporaryDirectory() as vectors:
    warmth = fit("examples/warm.jsonl", "symposia:tiny", name="warmth", read=answer_start())
    warmth.vector.save(Path(vectors) / "warmth.safetensors")
    profile = Profile(model="symposia:tiny", interventions=(warmth.add(0.3),))

    with served("--insecure-dev", "--vectors", vectors) as url:  # symposia serve --insecure-dev --vectors …
        digest = admin("POST", "/profiles", profile)["digest"]  # tried on the model before it is kept
        admin("PUT", "/aliases/tiny/warm", {"to": digest, "expect": None, "reason": "first try"})

        client = OpenAI(base_url=f"{url}/v1", api_key="any")
        print("models:", ", ".join(model.id for model in client.models.list()))
        plain = client.chat.completions.create(model="tiny", **ASK)
        warm = client.chat.completions.create(model="tiny@warm", **ASK)

        for name, reply in (("tiny", plain), ("tiny@warm", warm)):
            print(f"{name}: {reply.choices[0].message.content!r}")
        steering = warm.model_extra["steering"]
        print(
            f"applied: {steering['applied']}, |δ| {steering['delta_over_norm']:.2f} of |h|, "
            f"{steering['tokens']['generated']} tokens steered"
        )

        admin("POST", "/kill", {"on": True, "reason": "drill"})
        killed = client.chat.completions.with_raw_response.create(model="tiny@warm", **ASK)
        same = killed.parse().choices[0].message.content == plain.choices[0].message.content
        print(f"killed: arm {killed.headers['x-steering-arm']}, the same as plain: {same}")
