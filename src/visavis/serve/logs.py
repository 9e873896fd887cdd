"""Logs as one JSON object a line: what happened, never what was said, nor who was shown."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

_KNOWN = ("request_id", "session", "status", "milliseconds", "reason", "avatar")


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as JSON: time, level, logger, message, and what we add to records."""
        stamp = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "time": stamp.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in _KNOWN if hasattr(record, name)})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(form: str) -> None:
    """Send the logs to the standard error stream, as ``form`` "json" or "text"."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else plain)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("aioice", "aiortc", "uvicorn"):  # uvicorn's lines hold queries, hence tokens
        logging.getLogger(noisy).setLevel(logging.WARNING)
