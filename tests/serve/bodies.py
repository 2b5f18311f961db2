"""A chat-completions body with every field that a caller may fill, and the schema it must keep to."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from symposia.serve.openapi import document

Json = Any
VECTOR = "sha256:" + "a" * 64
ADD = {
    "op": "add",
    "vector": VECTOR,
    "scale": 0.6,
    "unit": "reference",
    "site": "resid_post",
    "layers": [14, 15],
    "weights": [1.0, 0.5],
    "norm": "keep",
    "direction_from": 3,
    "may_miss": True,
    "foreign": False,
    "name": "warm",
    "where": {
        "any": [
            {
                "roles": ["assistant"],
                "phases": ["answer"],
                "authors": ["self"],
                "turns": [{"start": 0, "stop": 4}],
                "back": [{"start": 0}],
                "made": "given",
                "tokens": [{"start": 0, "stop": 3}],
                "within": "turn",
                "text": ["yes"],
                "lead": True,
                "special": False,
            }
        ],
        "minus": [{"phases": ["markup"]}],
    },
    "gate": {
        "vector": VECTOR,
        "layer": 3,
        "over": {"any": [{"phases": ["prompt"]}]},
        "pool": "mean",
        "measure": "cosine",
        "test": "above",
        "threshold": 0.2,
    },
    "schedule": {"by": "token", "points": [[0, 1.0], [8, 0.5]], "curve": "linear", "tail": "hold"},
}
OTHERS = [
    {"op": "ablate", "vector": VECTOR, "strength": 1.0},
    {"op": "set", "vector": VECTOR, "value": 2.0, "unit": "absolute"},
    {"op": "cap", "vector": VECTOR, "low": -1.0, "high": 1.0},
    {"op": "scale", "vector": VECTOR, "factor": 0.5},
    {"op": "swap", "source": VECTOR, "target": VECTOR},
    {"op": "angle", "plane": VECTOR, "degrees": 30.0},
    {"op": "slerp", "vector": VECTOR, "fraction": 0.5},
    {"op": "heads", "heads": [1, 2], "mode": "zero"},
    {"op": "latent", "sae": VECTOR, "index": 7, "target": 1.0, "mode": "clamp"},
    {
        "op": "replace",
        "pairs": [[0, 1]],
        "heads": [],
        "source": {
            "record": "r",
            "digest": VECTOR,
            "site": "resid_post",
            "layer": 3,
            "shape": [1, 8],
            "dtype": "float32",
            "runs": [[0, 1]],
        },
    },
]
FULL: dict[str, Json] = {
    "model": "tiny",
    "messages": [
        {"role": "system", "content": "Be kind.", "name": "house"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}], "name": "dev"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "alice"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "name": "helper",
            "reasoning_content": "They greet.",
            "refusal": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
            ],
            "annotations": [],
            "audio": None,
            "function_call": None,
        },
        {"role": "tool", "content": "blue", "tool_call_id": "c1", "name": "look"},
        {"role": "user", "content": "And now?"},
    ],
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "repetition_penalty": 1.1,
    "seed": 17,
    "stop": ["END", "STOP"],
    "logit_bias": {"7": -5, "9": 3.5},
    "max_tokens": 64,
    "max_completion_tokens": 64,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "reasoning_effort": "low",
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
                "strict": True,
            },
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": True,
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "description": "An answer.",
            "schema": {"type": "object"},
            "strict": True,
        },
    },
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "store": False,
    "service_tier": "auto",
    "modalities": ["text"],
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "metadata": {"team": "blue"},
    "steering_profile": "calm",
    "steering_required": False,
    "steering": {"interventions": [ADD, *OTHERS], "history": "scoped", "receipts": True},
}

COMPONENTS: dict[str, Json] = msgspec.to_builtins(document())["components"]["schemas"]
SHUT = sorted(
    name for name, schema in COMPONENTS["ChatRequest"]["properties"].items() if schema.get("type") == "null"
)
"""Fields that are known and take null only."""

Path = tuple[str | int, ...]


def raw(body: Json) -> bytes:
    """The body as it is sent."""
    return json.dumps(body).encode()


def validator(schema: Json) -> Draft202012Validator:
    """Tells whether a value keeps to a schema of the document: an implementation that is not ours."""
    return Draft202012Validator({**schema, "components": {"schemas": COMPONENTS}})


def resolved(schema: Json, value: Json) -> Json:
    """The schema without references and unions: the option that a valid value belongs to."""
    while True:
        if "$ref" in schema:
            schema = COMPONENTS[schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = next(option for option in schema["anyOf"] if validator(option).is_valid(value))
        else:
            return schema


def places(value: Json, schema: Json, path: Path = ()) -> list[tuple[Path, Json]]:
    """Every place in a valid body with the schema that stands there, unions and all."""
    found = [(path, schema)]
    own = resolved(schema, value)
    if isinstance(value, dict):
        for key, item in value.items():
            inner = own.get("properties", {}).get(key, own.get("additionalProperties"))
            if isinstance(inner, dict) and inner:
                found += places(item, inner, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            inner = own["prefixItems"][at] if "prefixItems" in own else own.get("items")
            if isinstance(inner, dict) and inner:
                found += places(item, inner, (*path, at))
    return found


def with_value(body: Json, path: Path, value: Json) -> Json:
    """The body with another value at a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    copied = list(body) if isinstance(body, list) else dict(body)
    copied[step] = with_value(copied[step] if rest else None, rest, value)
    return copied


def at(body: Json, path: Path) -> Json:
    """The value at a path."""
    for step in path:
        body = body[step]
    return body


def dotted(path: Path) -> str:
    """The path as `param` says it."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
