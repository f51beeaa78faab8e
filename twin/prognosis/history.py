"""What a plant's control systems would have kept, as features and labels: what a policy's models are trained on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.errors import BadRequest, shown
from twin.policy import PolicyLike, decided_by, parse
from twin.prognosis.features import KEYS, FrameReader
from twin.prognosis.labels import labels
from twin.prognosis.policies import Recorder, hourly
from twin.prognosis.spec import FeatureSpec
from twin.times import format_time, parse_duration, parse_time

if TYPE_CHECKING:
    import pandas as pd

    from twin.plan import Plan
    from twin.plant import Plant
    from twin.store import Store

APART = 10_000
"""Between the machines' numbers of one world and the next: the same machine in another world is another machine."""


def recorded(
    plant: Plant,
    policies: Sequence[PolicyLike],
    span: Any = "730d",
    *,
    ahead: Any = "7d",
    spec: FeatureSpec | None = None,
    seed: int = 1_000,
    start: Any = "2026-01-05",
    progress: bool = True,
    **options: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features and labels of hourly means from worlds lived under several policies.

    A policy's function sees hourly means (`twin.reported.Reported`), and what work does to them; a model for it is
    trained on the same. The worlds live in a temporary file and are not kept.

    Parameters
    ----------
    plant : Plant
        Its machines, scenarios, actions and technicians are used.
    policies : sequence of policies
        A world for each, with the seeds ``seed``, ``seed + 1`` and so on: take others than those that are judged later.
    span : duration
        Length of each world.
    ahead : duration
        How far the labels look.
    spec : FeatureSpec, optional
        Which features.
    start : time
        Begin of each world, UTC.
    progress : bool
        Show a bar.
    **options
        As in `Plant.simulate`: ``machines``, ``fleet``, ``wear``, ``response``.

    Returns
    -------
    tuple of DataFrame
        As from `features` and `labels`; machines of the k-th world have 10,000 k added to their numbers.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    from twin.store import Store

    spec = hourly(spec)
    if isinstance(policies, str) or not policies:
        raise BadRequest(f"policies must be a list of one policy or more, got {shown(policies)}")
    begin = parse_time(start, "start")
    until = format_time(begin + parse_duration(span, "span"))
    given = {"wear": "used", "tasks": False, "events_only": True, "truth_interval": None, **options}
    parts = []
    for k, policy in enumerate(tqdm(policies, desc="training worlds", unit="world", disable=not progress)):
        with tempfile.TemporaryDirectory(prefix="twin-recorded-") as folder:
            store = Store.create(Path(folder) / "world.duckdb")
            world = partial(plant.plan, format_time(begin), until, "1h", seed=seed + k, **given)
            parts.append([apart(frame, k) for frame in observed(store, world, policy, spec, ahead)])
    return pd.concat([X for X, _ in parts]), pd.concat([y for _, y in parts])


def observed(
    store: Store, world: Callable[..., Plan], policy: PolicyLike, spec: FeatureSpec, ahead: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features and labels of one world lived under a policy.

    Parameters
    ----------
    store : Store
        Where the world is lived.
    world : callable
        Takes ``policy``; returns the plan.
    policy, spec, ahead
        See `recorded`.
    """
    from twin.run import simulate

    recorder = Recorder()
    rules: list[Any] = [(decided_by(recorder, every="1d", name="recorder"), recorder)]
    rules = rules if policy is None else [policy, *rules]
    # anew, also where the same world has been lived: only one that is lived shows what it reports
    run = simulate(store, world(policy=rules), progress=False, functions=parse(rules)[1], new=True)
    seen = recorder.seen
    if seen is None:
        raise BadRequest("the world ends before the control system is looked at, once a day: take a longer one")
    X = FrameReader(spec).features(seen.hourly, seen.alarms, seen.log)
    return X, labels(run, X, ahead, window=f"{spec.window_us // 3_600_000_000}h")


def apart(frame: pd.DataFrame, world: int) -> pd.DataFrame:
    """Return a frame whose machines have other numbers than those of other worlds: see `APART`."""
    import pandas as pd

    machines, times = (frame.index.get_level_values(name) for name in KEYS)
    return frame.set_axis(pd.MultiIndex.from_arrays([machines + APART * world, times], names=KEYS))
