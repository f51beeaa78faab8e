"""Freeze the tasks as they are now: ``python -m twin.benchmark.freeze [--tune] [NAME...]``.

For those who change a task or a baseline. Runs the tasks (all when none is named), writes their digests and scores to
frozen.json, and the tables of docs/benchmark.md. With ``--tune`` it chooses the policies of the policy tasks first.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.benchmark import document, policy_task
from twin.benchmark.frozen import freeze
from twin.benchmark.runs import run_tasks
from twin.benchmark.tasks import task, tasks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmark.md"


def tuned(names: Sequence[str]) -> dict[str, Any]:
    """Return the choices of the policy tasks among these; prints what each policy cost."""
    found = {}
    for name in names:
        if task(name).kind == "policy":
            with tempfile.TemporaryDirectory(prefix="twin-benchmark-") as folder:
                plant = task(name).world.plant(Path(folder) / "plant.duckdb")
                found[name], cost = policy_task.tune(task(name), plant, progress=True)
            print(name, found[name], cost.round(0).to_string(), sep="\n")
    return found


def main(words: Sequence[str]) -> None:
    """Freeze."""
    names = [word for word in words if word != "--tune"] or list(tasks())
    if "--tune" in words:
        freeze(policies=tuned(names))
    freeze(run_tasks(names, progress=True))
    document.main(str(PAGE))


if __name__ == "__main__":
    main(sys.argv[1:])
