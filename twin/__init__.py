"""A predictive-maintenance laboratory: the digital twin of a fleet of industrial machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from twin.workbench import Workbench

__version__ = "0.1.0"
__all__ = ["__version__", "open"]


def open(path: str | Path = "data/plant.duckdb", **options: Any) -> Workbench:
    """Open a plant; a sample plant is created the first time.

    See `twin.plant.Plant.open` for the options (``machines``, ``sample``, ``read_only``).
    """
    from twin.workbench import Workbench

    return Workbench.open(path, **options)
