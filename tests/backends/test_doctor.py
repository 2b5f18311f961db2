"""What the doctor says of hosted models."""

from __future__ import annotations

from pathlib import Path

from symposia.backends.doctor import doctor_checks
from symposia.core.doctor import DoctorContext, Finding
from symposia.core.redact import Redactor


def looked(env: dict[str, str]) -> dict[str, Finding]:
    """Each check's finding."""
    context = DoctorContext(env, Path.cwd(), frozenset(), Redactor({}))
    return {check.id: check.run(context) for check in doctor_checks()}


def test_sdks_and_keys_are_named_and_no_key_is_shown(tmp_path: Path) -> None:
    """Versions of what is installed; which endpoints find a key, in a variable or a file."""
    (tmp_path / "key").write_text("sk-of-somebody\n")
    found = looked({"OPENAI_API_KEY": "planted", "ANTHROPIC_API_KEY_FILE": str(tmp_path / "key")})
    assert found["backends.openai"].message.startswith("openai 3.")
    assert found["backends.anthropic"].message.startswith("anthropic 2.")
    assert found["backends.keys"].message == "keys are there for openai, anthropic"
    assert looked({})["backends.keys"].status == "skip"
