"""Every JSON Schema of the product in one place: what is stored, what is printed, what people write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from symposia.core.schema import StoredFormat, json_schema
from symposia.core.schema import stored_formats as core_formats

from .outdir import Recorded
from .report import RunReport
from .scenario.jsonschema import scenario_schema

SCENARIO = "scenario"


def formats() -> tuple[StoredFormat, ...]:
    """What is stored and printed, by every package."""
    from symposia.store.formats import stored_formats as store_formats
    from symposia.talk import conversation_file
    from symposia.talk.debate import stored

    from .debate.log import RecordedTold
    from .debate.report import DebateReport

    return (
        *core_formats(),
        *store_formats(),
        StoredFormat(conversation_file.FORMAT, 1, conversation_file.ConversationFile),
        StoredFormat("symposia.event", 1, Recorded),
        StoredFormat("symposia.run", 1, RunReport),
        StoredFormat(stored.FORMAT, 1, stored.StoredDebate),
        StoredFormat("symposia.debate-event", 1, RecordedTold),
        StoredFormat("symposia.debate-report", 1, DebateReport),
    )


def schemas() -> Mapping[str, Callable[[], dict[str, Any]]]:
    """Each schema by the name `symposia schema` knows it by."""
    stored = {form.name.removeprefix("symposia."): partial(json_schema, form) for form in formats()}
    return {**stored, SCENARIO: scenario_schema}


def files() -> Mapping[str, dict[str, Any]]:
    """Each schema by its file name in `docs/schema`."""
    return {
        **{form.file_name: json_schema(form) for form in formats()},
        "scenario.schema.json": scenario_schema(),
    }
