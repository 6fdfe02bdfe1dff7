"""Where the page finds the API: two variables of its environment."""

from __future__ import annotations

from typing import Final

URL_VARIABLE: Final = "ENGRAM_API_URL"
KEY_VARIABLE: Final = "ENGRAM_API_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8000"
