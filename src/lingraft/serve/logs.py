"""The log: one JSON object per line, without anything that a user wrote.

A line names the route's pattern and not its path, the class and place of an error and not its message, numbers and
names of keys. So no text can get into it, whatever a request holds.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("lingraft.serve")


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of an exception only its class and where it was raised."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line |= where(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def where(error: BaseException) -> dict[str, str]:
    """Return the class of an exception and the lines that it came through, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = (f"{frame.filename.rsplit('lingraft/', 1)[-1]}:{frame.lineno}" for frame in frames)
    return {"error": type(error).__name__, "at": " > ".join(places)}


def write(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with fields, which must hold nothing that a user wrote."""
    LOGGER.log(level, event, extra={"fields": fields})


def config(level: str = "INFO") -> dict[str, Any]:
    """Return what to give to uvicorn as ``log_config``: everything as JSON lines to stderr, no access log.

    Args:
        level: The least level that is written.

    Returns:
        A configuration for `logging.config.dictConfig`.
    """
    loggers = {name: {"level": level, "handlers": ["lines"], "propagate": False} for name in ("lingraft", "uvicorn")}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{__name__}.JsonLines"}},
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "loggers": {**loggers, "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False}},
    }
