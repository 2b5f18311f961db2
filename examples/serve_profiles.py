"""A direction behind a name. Needs `symposia serve --insecure-dev` in this folder (URL as argument, if elsewhere).

Fits warmth on the bundled model, keeps the file where the server looks, creates the profile `tiny@warm`, and asks both
the plain model and the profile with the same seed.
"""

import json
import sys
import urllib.request
from pathlib import Path

import msgspec
from openai import OpenAI

from symposia import Profile, answer_start, fit

root = sys.argv[1] if sys.argv[1:] else "http://127.0.0.1:8080"


def admin(method: str, path: str, body: object) -> dict[str, object]:
    """One call of the admin API."""
    asked = urllib.request.Request(
        f"{root}/admin/v1{path}",
        data=msgspec.json.encode(body),
        headers={"content-type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(asked) as answer:
        told: dict[str, object] = json.load(answer)
    return told


warmth = fit("examples/warm.jsonl", "symposia:tiny", name="warmth", read=answer_start())
Path("vectors").mkdir(exist_ok=True)
warmth.save("vectors/warmth.safetensors")

profile = Profile(model="symposia:tiny", interventions=(warmth.add(0.7),))
digest = admin("POST", "/profiles", profile)["digest"]

with OpenAI(base_url=f"{root}/v1", api_key="dev") as client:
    if "tiny@warm" not in [model.id for model in client.models.list()]:
        admin("PUT", "/aliases/tiny/warm", {"to": digest, "expect": None, "reason": "an example"})
    for model in ("tiny", "tiny@warm"):
        reply = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "What do you think of the rain?"}],
            max_tokens=24,
            seed=11,
        )
        block = (reply.model_extra or {})["steering"]
        print(f"{model:10} {reply.choices[0].message.content!r}")
        print(
            f"{'':10} applied {block['applied']}, tokens {block['tokens']}, |δ|/|h| {block['delta_over_norm']}"
        )
