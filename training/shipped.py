"""The shipped model directory: writing it whole or not at all, and naming it by digest."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training import vocabulary

DIRECTORY = Path(__file__).parent.parent / "src" / "symposia" / "weights" / "tiny"
RECORD = Path(__file__).parent / "shipped.json"
HASHED = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "chat_template.jinja",
)


def digest(directory: Path = DIRECTORY) -> str:
    """sha256 over names and bytes of the files that decide what the model says."""
    whole = hashlib.sha256()
    for name in HASHED:
        content = (directory / name).read_bytes()
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, scratch: Path, directory: Path = DIRECTORY) -> str:
    """Writes weights (bfloat16), configuration and tokenizer beside the template; returns the digest.

    Every file is made in `scratch` first and then moved over the old one.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    directory.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to(torch.bfloat16) for name, value in model.state_dict().items()}
    plain = LlamaForCausalLM(model.config).to(torch.bfloat16)
    plain.load_state_dict(weights)
    plain.generation_config.eos_token_id = tokenizer.token_to_id(vocabulary.END)
    plain.generation_config.pad_token_id = tokenizer.token_to_id(vocabulary.PAD)
    plain.save_pretrained(scratch)
    vocabulary.export(tokenizer, scratch, model.config.max_position_embeddings)
    for file in sorted(scratch.iterdir()):
        staged = directory / f".{file.name}.partial"
        shutil.copyfile(file, staged)
        staged.replace(directory / file.name)
    return digest(directory)


@dataclass(frozen=True)
class Record:
    """What `shipped.json` says of the shipped weights; `steering`: attribute to block and dose."""

    digest: str
    recipe: dict[str, float]
    loss: float
    held_out: float
    bound: float
    seconds: float
    steering: dict[str, tuple[int, float]]


def write_record(record: Record) -> None:
    """Notes how the shipped weights came about, for tests, benchmark and model card."""
    RECORD.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def recorded() -> Record:
    """The note on the shipped weights."""
    entry = json.loads(RECORD.read_text(encoding="utf-8"))
    entry["steering"] = {name: (int(block), float(dose)) for name, (block, dose) in entry["steering"].items()}
    return Record(**entry)
