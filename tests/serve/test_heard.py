"""What libraries say is in the log, as any line: redacted, whole, one line."""

from __future__ import annotations

import io
import json
import logging
import warnings

import pytest

from symposia.core.redact import Redactor
from symposia.serve.heard import Heard, heard
from symposia.serve.log import Log

SECRET = "https://up.example/v1?key=hush-hush"


def said(*, level: str = "info") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(stream, Redactor({"UPSTREAM": SECRET}), level=level), stream


def test_a_library_is_heard_without_secrets() -> None:
    """Its words, its name and its traceback; debug chatter is not."""
    log, stream = said()
    library = logging.getLogger("some.client")
    with heard(log):
        library.warning("no answer of %s\nat all", SECRET)
        library.info("chatter")
        try:
            raise ValueError(SECRET)
        except ValueError:
            library.exception("failed")
    library.warning("after the end %s", SECRET)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["type"], first["logger"]) == ("warning", "library", "some.client")
    assert first["message"] == "no answer of [redacted:UPSTREAM]\nat all"
    assert (second["level"], second["message"]) == ("error", "failed")
    assert "test_heard.py" in second["traceback"]
    assert "hush" not in stream.getvalue()


def test_a_record_that_does_not_fit_is_heard_as_it_is() -> None:
    """A library's slip is no reason to lose its line, let alone a request."""
    log, stream = said()
    record = logging.LogRecord("sloppy", logging.ERROR, "", 0, "%d of %d", ("three",), None)
    Heard(log).handle(record)
    assert json.loads(stream.getvalue())["message"] == "%d of %d"


def test_warnings_are_heard() -> None:
    """Python's own too; outside, they are what they were."""
    log, stream = said()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with heard(log):
            warnings.warn(f"old: {SECRET}", DeprecationWarning, stacklevel=1)
    assert "old: [redacted:UPSTREAM]" in json.loads(stream.getvalue())["message"]
    with pytest.warns(DeprecationWarning, match="aloud"):
        warnings.warn("aloud", DeprecationWarning, stacklevel=1)
