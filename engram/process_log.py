"""What a process says on standard error: lines for people on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["auto", "text", "json"]


class JsonLines(logging.Formatter):
    """One object a record: time (ISO 8601, UTC), level, logger, service, message; error, with its trace, if any."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "service": self._service,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def log_to_stderr(service: str, form: LogFormat, *, for_people: bool = False) -> None:
    """Log from INFO on to standard error; Kafka's client from WARNING on.

    form: auto is text on a terminal or where a command shows the lines to people (for_people), and JSON elsewhere.
    """
    handler = logging.StreamHandler(sys.stderr)
    if form == "text" or (form == "auto" and (for_people or sys.stderr.isatty())):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    else:
        handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kafka").setLevel(logging.WARNING)
