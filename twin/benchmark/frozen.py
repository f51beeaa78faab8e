"""What the tasks were when they were frozen: digests, choices, and the baselines' scores with their versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from twin.benchmark.tasks import EDITION, tasks
from twin.errors import TwinError

PATH = Path(__file__).with_name("frozen.json")
TOLERANCE = 0.03
"""By how much a baseline's score may differ from the frozen one: other versions of libraries fit other models."""
DIGITS = 4


@cache
def frozen() -> dict[str, Any]:
    """Return what is frozen: ``edition``, ``versions``, ``policies`` (see `chosen`) and ``tasks`` by name."""
    found: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def frozen_digest(name: str) -> str | None:
    """Return the digest that a task was frozen with; None before it was."""
    digest: str | None = frozen()["tasks"].get(name, {}).get("digest")
    return digest


def chosen(name: str) -> dict[str, Any]:
    """Return the intervals and the threshold of a policy task's baselines (see `policy_task.tune`)."""
    found: dict[str, Any] | None = frozen()["policies"].get(name)
    if found is None:
        raise TwinError(f"{name}: no policies are chosen yet; run python -m twin.benchmark.freeze --tune {name}")
    return found


def drifted(record: Mapping[str, Any], tolerance: float = TOLERANCE) -> list[str]:
    """Return in words which scores of a task's record are not the frozen ones, beyond a tolerance."""
    before = {row["baseline"]: row["score"] for row in frozen()["tasks"].get(record["task"], {}).get("baselines", ())}
    return [
        f"{row['baseline']} {row['score']:.3f}, frozen {before[row['baseline']]:.3f}"
        for row in record["baselines"]
        if row["baseline"] in before and not abs(row["score"] - before[row["baseline"]]) <= tolerance
    ]


def freeze(records: Iterable[Mapping[str, Any]] = (), policies: Mapping[str, Any] | None = None) -> Path:
    """Write digests and scores of finished tasks, and choices of policies, over those that are frozen.

    For those who change a task: `EDITION` then counts up, and docs/benchmark.md is written anew.
    """
    from twin.prognosis.card import versions
    from twin.run_rows import versions as run_versions

    before = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {"tasks": {}, "policies": {}}
    made = {record["task"]: _plain(record) for record in records}
    every = before["tasks"] | made
    found = {
        "edition": EDITION,
        "versions": {**versions(), **run_versions()} if made else before.get("versions", {}),
        "policies": before["policies"] | dict(policies or {}),
        "tasks": {name: every[name] for name in tasks() if name in every},
    }
    PATH.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    frozen.cache_clear()
    return PATH


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a record, with numbers to a few digits."""
    rows = [
        {k: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for k, v in row.items()}
        for row in record["baselines"]
    ]
    return {"digest": record["digest"], "sizes": record["sizes"], "baselines": rows}
