"""The frozen tasks: five kinds of question in three difficulties, each regenerated from its name alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from twin.benchmark.worlds import World
from twin.errors import shown, unknown

if TYPE_CHECKING:
    from twin.prognosis.spec import FeatureSpec

EDITION = 1
"""Counts up whenever a task changes: scores of different editions cannot be compared."""
KINDS = ("detection", "diagnosis", "rul", "survival", "policy")
DIFFICULTIES = ("easy", "medium", "hard")
RUL_CAP_H = 336.0
"""Remaining lives are asked for within so many hours of the failure."""
SERVICE = "periodic:90d"
"""What is done to every machine of a task's run, so that work and its traces are in the data."""

ASKS = {
    "detection": "How likely does each machine fail within 7 days, twice a day",
    "diagnosis": "Which failure mode stops a machine that fails within 7 days",
    "rul": "How many hours are left to a machine that fails within 14 days, with a 90 % interval",
    "survival": "Which machines fail first, judged with censored lives, every third day",
    "policy": "Which maintenance policy saves most against running to failure",
}
METRICS = {
    "detection": "average precision",
    "diagnosis": "macro F1",
    "rul": "skill: 1 - mean absolute error / that of the best constant",
    "survival": "concordance (Harrell)",
    "policy": "share of the oracle's saving",
}
COLUMNS = {
    "detection": ("probability",),
    "diagnosis": ("mode",),
    "rul": ("rul_h", "low_h", "high_h"),
    "survival": ("risk",),
}
"""What a submission gives for each test row; the bounds of a remaining life may be left out."""


@dataclass(frozen=True)
class Task:
    """A question, the world that it is asked in, and who answers from what.

    Attributes
    ----------
    kind, difficulty : str
        Of `KINDS` and `DIFFICULTIES`.
    world : World
        The plant and its dials.
    teach : int
        The first so many machines are for training, the others for the test. A policy is tested on the whole
        fleet, in other worlds of the same plant.
    cadence, horizon : duration
        Time between two rows, and how far ahead labels look.
    every_days : int
        Only rows of every so many days count.
    replications : int
        Of a policy task: test worlds.
    """

    kind: str
    difficulty: str
    world: World
    teach: int
    cadence: str = "12h"
    horizon: str = "7d"
    every_days: int = 1
    replications: int = 0

    @property
    def name(self) -> str:
        """Such as ``detection-medium``."""
        return f"{self.kind}-{self.difficulty}"

    @property
    def asks(self) -> str:
        """The question in one sentence."""
        return ASKS[self.kind]

    @property
    def metric(self) -> str:
        """What is measured; 1 is the best possible."""
        return METRICS[self.kind]

    @property
    def best(self) -> float:
        """The best possible score."""
        return 1.0

    @property
    def spec(self) -> FeatureSpec:
        """The features that come with the task; a submission may use others of the same telemetry."""
        from twin.prognosis.spec import FeatureSpec

        return FeatureSpec.of(
            channels=(
                "temperature_c", "vibration_g", "vibration_mm_s", "kurtosis", "power_w", "speed_rpm", "torque_nm",
            ),
            windows=("24h",),
            cadence=self.cadence,
        )  # fmt: skip

    def is_test(self, machine_id: int) -> bool:
        """Return whether a machine is held out."""
        return machine_id > self.teach


def _world(difficulty: str, seed: int, machines: int, days: int = 365) -> World:
    """Return a world of a difficulty: what is hard is hard for every kind of question in the same way."""
    sizes: dict[str, Any] = {"machines": machines, "days": days, "seed": seed}
    if difficulty == "easy":
        return World(**sizes, signal=1.3, gradual=2.0)
    if difficulty == "medium":
        return World(**sizes, duty=0.6, turn_days=(4.0, 14.0), faults=2.0)
    return World(
        **sizes, signal=0.6, variation=2.0, wander=2.0, duty=1.0, turn_days=(1.0, 5.0), faults=6.0, life=1.6,
        gradual=0.7,
    )  # fmt: skip


_FLEETS = {  # machines, and how many of them teach
    "detection": {"easy": (144, 96), "medium": (360, 240), "hard": (240, 72)},
    "diagnosis": {"easy": (240, 144), "medium": (360, 240), "hard": (360, 120)},
    "rul": {"easy": (240, 120), "medium": (360, 180), "hard": (360, 120)},
    "survival": {"easy": (144, 96), "medium": (240, 144), "hard": (240, 72)},
    "policy": {"easy": (24, 24), "medium": (24, 24), "hard": (24, 24)},
}


def _task(kind: str, difficulty: str) -> Task:
    machines, teach = _FLEETS[kind][difficulty]
    seed = 26_000 + 100 * KINDS.index(kind) + DIFFICULTIES.index(difficulty)
    world = _world(difficulty, seed, machines)
    if kind == "policy" and difficulty == "easy":  # with more signal, heat trips machines for weeks, and all save most
        world = replace(world, signal=1.0)
    if kind == "survival":
        return Task(kind, difficulty, world, teach, cadence="24h", horizon="1d", every_days=3)
    return Task(kind, difficulty, world, teach, replications=10 if kind == "policy" else 0)


def tasks() -> dict[str, Task]:
    """Return all tasks by name, kind by kind from easy to hard."""
    made = [_task(kind, difficulty) for kind in KINDS for difficulty in DIFFICULTIES]
    return {task.name: task for task in made}


def task(name: str) -> Task:
    """Return a task by its name, such as ``detection-medium``."""
    known = tasks()
    if not isinstance(name, str) or name not in known:
        raise unknown("benchmark task", shown(name) if not isinstance(name, str) else name, known)
    return known[name]
