"""What libraries say, as lines of our log: through the same redactor, and no raw text between lines of JSON."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from .log import Level, Log


class Heard(logging.Handler):
    """Warnings and worse of every library."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write what a library said; a traceback with it."""
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit its text
            message = str(record.msg)
        fields = {"logger": record.name, "message": message}
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        self._log.note(record.created, level, "library", fields)


@contextmanager
def heard(log: Log) -> Iterator[None]:
    """Within it, what libraries log, and Python's warnings, are lines of `log`."""
    root, handler = logging.getLogger(), Heard(log)
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
