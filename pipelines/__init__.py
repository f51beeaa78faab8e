"""Experiments: one notebook or function carried out with many sets of parameters, unattended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.runner import Summary

__all__ = ["sweep"]


def sweep(experiment: Any, db: Any, **options: Any) -> Summary:
    """Carry out what an experiment asks for and is not done yet: see `pipelines.runner.sweep`."""
    from pipelines.runner import sweep as carry_out

    return carry_out(experiment, db, **options)
