"""All dashboards, in the order in which they are read."""

from __future__ import annotations

from typing import Final

from dashboards.brain import BRAIN
from dashboards.comparison import COMPARISON
from dashboards.cost import COST
from dashboards.health import HEALTH
from dashboards.learning import LEARNING

BOARDS: Final = (LEARNING, HEALTH, COMPARISON, BRAIN, COST)
