"""What a maintenance policy is worth: the same plant, the same weather and the same parts under several policies."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from twin import what_if
from twin.cache import source_hash
from twin.catalog.checks import check_name, check_number, refusal
from twin.errors import BadRequest, PolicyFault, StoreFault, shown, unknown
from twin.hindsight import ORACLE, oracle_plans
from twin.interrupts import CtrlC
from twin.plan import Plan
from twin.policy import PolicyLike, Rule, parse
from twin.times import format_time, parse_duration, parse_time

if TYPE_CHECKING:
    import pandas as pd

    from twin.plant import Plant
    from twin.store import Store

BASELINE = "run-to-failure"
DEFAULT_POLICIES: dict[str, PolicyLike] = {
    BASELINE: None,
    "periodic": "periodic:90d",
    "condition": "condition:vibration_mm_s",
    ORACLE: ORACLE,
}
FIGURES = tuple(figure for figure in what_if.FIGURES if figure != "energy_kwh")  # which only readings tell
MOST_REPLICATIONS = 1000
MOST_WORKERS = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Evaluation:
    """What policies made of the same worlds.

    Attributes
    ----------
    runs : DataFrame
        One row for each replication and policy: ``replication, seed, policy`` and the figures of the whole
        fleet and span (`FIGURES`; times in h, costs in the plant's currency).
    machines : int
        Size of the fleet.
    years : float
        Length of the span, years of 8,766 h.
    """

    runs: pd.DataFrame
    machines: int
    years: float

    @property
    def policies(self) -> list[str]:
        """The policies, in the order in which they were given."""
        return list(dict.fromkeys(self.runs["policy"]))

    def by_replication(self, figure: str = "cost") -> pd.DataFrame:
        """Return a figure with one row a replication and one column a policy."""
        if figure not in FIGURES:
            raise BadRequest(f"unknown figure {shown(figure)}; there are: {', '.join(FIGURES)}")
        return self.runs.pivot_table(index="replication", columns="policy", values=figure)[self.policies]

    def difference(self, policy: str, other: str = BASELINE, figure: str = "cost") -> dict[str, float]:
        """Return what one policy has more than another on the same worlds, with its 95 % interval.

        Returns
        -------
        dict
            ``mean``, ``low``, ``high`` (paired t interval over the replications) and ``replications``.
        """
        wide = self.by_replication(figure)
        for name in (policy, other):
            if name not in self.policies:
                raise unknown("policy", name, self.policies)
        return _interval((wide[policy] - wide[other]).to_numpy())

    def table(self, baseline: str = BASELINE) -> pd.DataFrame:
        """Return one row a policy: means, what it saves against another policy, and its share of the oracle's saving.

        Parameters
        ----------
        baseline : str
            What others are compared with; without run to failure the first policy, unless another is named.

        Returns
        -------
        DataFrame
            Means of the figures by policy; ``saving`` with ``saving_low`` and ``saving_high`` (paired, 95 %),
            and ``oracle_share`` with ``_low`` and ``_high`` (ratio of mean savings, bootstrap over
            replications; NaN without the oracle, or where the oracle saves nothing).
        """
        import pandas as pd

        wide = self.by_replication()
        if baseline not in self.policies:
            if baseline != BASELINE:
                raise unknown("policy", baseline, self.policies)
            baseline = self.policies[0]
        means = self.runs.groupby("policy", sort=False)[list(FIGURES)].mean()
        rows = []
        for name in self.policies:
            saved = (wide[baseline] - wide[name]).to_numpy()
            spread = _interval(saved)
            share = _share(saved, (wide[baseline] - wide[ORACLE]).to_numpy()) if ORACLE in wide else [np.nan] * 3
            row = {"saving": spread["mean"], "saving_low": spread["low"], "saving_high": spread["high"]}
            rows.append(row | dict(zip(("oracle_share", "oracle_share_low", "oracle_share_high"), share, strict=True)))
        return means.join(pd.DataFrame(rows, index=pd.Index(self.policies, name="policy")))

    def __repr__(self) -> str:
        count = self.runs["replication"].nunique()
        size = f"{self.machines} machines, {self.years:g} years, {count} times"
        return f"<Evaluation: {len(self.policies)} policies, {size}>"

    def _repr_html_(self) -> str:
        return str(self.table().round(3).to_html())


def evaluate(
    plant: Plant,
    policies: Mapping[str, PolicyLike] | None = None,
    horizon: Any = "730d",
    replications: int = 20,
    *,
    start: Any = "2026-01-05",
    machines: Any = "all",
    fleet: int | None = None,
    seed: int = 0,
    wear: str = "used",
    response: Any = "4h",
    workers: int | None = None,
    keep: str | Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Return what maintenance policies cost on the same worlds: paired seeds, events only.

    Parameters
    ----------
    plant : Plant
        Its machines, scenarios, actions and technicians are used; its file is only read.
    policies : mapping of str to policy, optional
        By name; each as in `Plant.simulate`, or ``"oracle"``, which knows the truth. By default run to
        failure, periodic, by condition, and the oracle.
    horizon : duration
        Length of the span.
    replications : int
        How many worlds, 2 to 1,000; the k-th has the seed ``seed + k`` under every policy.
    start : time
        Begin of the span, UTC.
    machines, fleet, wear, response
        As in `Plant.simulate`.
    workers : int, optional
        Processes; all processors by default. Does not change a figure.
    keep : path, optional
        A folder in which finished replications are kept: the same call goes on after an interruption.
    progress : bool
        Show a bar with rate and time left.

    Raises
    ------
    BadRequest
        If a policy, a name or a number cannot be.
    StoreFault
        If nothing can be kept in the folder.
    KeyboardInterrupt
        On Ctrl-C; with `keep`, what is finished is kept.
    """
    import pandas as pd

    chosen = DEFAULT_POLICIES if policies is None else policies
    given = _checked(chosen)
    count = _whole(replications, "replications", 2, MOST_REPLICATIONS)
    number = (os.cpu_count() or 1) if workers is None else _whole(workers, "workers", 1, MOST_WORKERS)
    begin = parse_time(start, "start")
    end = begin + parse_duration(horizon, "horizon")
    base = plant.plan(
        format_time(begin), format_time(end), "1h", seed=seed, machines=machines, wear=wear, truth_interval=None,
        events_only=True, response=response, fleet=fleet, tasks=False,
    )  # fmt: skip
    jobs = [_Job(k, _plans(base, given, seed + k), given) for k in range(count)]
    rows = _carried_out(jobs, number, None if keep is None else kept_in(keep), progress)
    table = pd.DataFrame(rows).sort_values("replication", kind="stable", ignore_index=True)
    return Evaluation(table, len(base.machines), (end - begin) / 8766 / 3.6e9)


@dataclass(frozen=True)
class _Policy:
    rules: tuple[Rule, ...]
    functions: Mapping[str, Callable[[Any], Any]]
    oracle: bool = False


@dataclass(frozen=True)
class _Job:
    """One world under every policy."""

    replication: int
    plans: Mapping[str, Plan]
    policies: Mapping[str, _Policy]

    @property
    def key(self) -> str:
        """A name that tells this job from every other."""
        import hashlib

        parts = [f"{name}:{self.policies[name].oracle}:{plan.sha256}" for name, plan in self.plans.items()]
        parts.append(source_hash())  # what another kernel lived is another world
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _whole(value: Any, what: str, low: int, high: int) -> int:
    number = check_number(value, what, low, high)
    if number != int(number):
        raise BadRequest(f"{what} must be a whole number, got {shown(value)}")
    return int(number)


def kept_in(keep: Any) -> Path:
    """Return the folder of finished replications, made where there is none; what cannot be kept is told beforehand."""
    if not isinstance(keep, str | os.PathLike) or not os.fspath(keep):
        raise BadRequest(f"keep must be the path of a folder, got {shown(keep)}")
    folder = Path(keep)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as fault:  # a path with a NUL is a ValueError
        reason = getattr(fault, "strerror", None) or str(fault)
        raise StoreFault(f"nothing can be kept in {shown(str(keep))}: {reason}; give another folder") from None
    return folder


def _checked(policies: Any) -> dict[str, _Policy]:
    if not isinstance(policies, Mapping) or not policies:
        raise BadRequest("policies must be a mapping of names to policies, with one at least")
    found = {}
    for name, policy in policies.items():
        check_name(name, "policy name")
        if isinstance(policy, str) and policy == ORACLE:
            found[name] = _Policy((), {}, oracle=True)
        else:
            found[name] = _Policy(*parse(policy))
    if any(policy.oracle != (name == ORACLE) for name, policy in found.items()):
        raise BadRequest(
            f"the oracle's name must be {ORACLE!r}, and no other's, as its saving is what others are compared with"
        )
    return found


def _plans(base: Plan, policies: Mapping[str, _Policy], seed: int) -> dict[str, Plan]:
    try:
        return {
            name: Plan.model_validate({**dict(base), "seed": seed, "policies": policy.rules})
            for name, policy in policies.items()
        }
    except ValidationError as error:
        raise refusal(error, Plan, "evaluation") from None


def _carried_out(jobs: list[_Job], workers: int, keep: Path | None, progress: bool) -> list[dict[str, Any]]:
    """Return the rows of all jobs, finished ones from the folder, the others from worker processes."""
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    rows, waiting = [], []
    for job in jobs:
        kept = _kept(keep, job)
        if kept is None:
            waiting.append(job)
        else:
            rows += kept
    made = Parallel(
        n_jobs=min(workers, len(waiting) or 1), return_as="generator_unordered", pre_dispatch="n_jobs",
        initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN),  # a terminal's Ctrl-C is for this process
    )(delayed(_replicate)(job) for job in waiting)  # fmt: skip
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(waiting), desc="worlds", unit="world", disable=not progress)
    with bar, CtrlC() as ctrl_c:
        try:
            for replication, found in made:
                rows += found
                _put(keep, next(job for job in waiting if job.replication == replication), found)
                bar.update()
                ctrl_c.check()
        except Exception:
            ctrl_c.check()  # which may have ended a worker that was beginning
            raise
    return rows


def _kept(keep: Path | None, job: _Job) -> list[dict[str, Any]] | None:
    """Return the rows of a finished job; None where there are none, or no whole ones."""
    path = None if keep is None else keep / f"{job.key}.json"
    if path is None or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
        rows = [
            {
                "replication": job.replication,  # the same world has another number where another seed is the first
                "seed": job.plans[name].seed,
                "policy": name,
                **{figure: check_number(row[figure], figure) for figure in FIGURES},
            }
            for name, row in zip(job.policies, found, strict=True)
            if row["policy"] == name
        ]
    except (ValueError, TypeError, KeyError):
        return None  # damaged: lived again
    return rows if len(rows) == len(job.policies) else None


def _put(keep: Path | None, job: _Job, rows: list[dict[str, Any]]) -> None:
    if keep is None:
        return
    half = keep / f"{job.key}.{os.getpid()}.part"
    try:
        half.write_text(json.dumps(rows))
        half.replace(keep / f"{job.key}.json")
    except OSError as fault:
        half.unlink(missing_ok=True)
        raise StoreFault(f"nothing can be kept in {shown(str(keep))}: {fault.strerror}; give another folder") from None


def _replicate(job: _Job) -> tuple[int, list[dict[str, Any]]]:
    """Live one world under every policy, in a plant of its own that is thrown away."""
    from twin.plant import Plant

    rows = []
    with one_thread(), tempfile.TemporaryDirectory(prefix="twin-worth-") as folder:
        store = Plant.create(Path(folder) / "world.duckdb", sample=False).store
        for name, policy in job.policies.items():
            plan = job.plans[name]
            plans = oracle_plans(plan) if policy.oracle else [plan]
            figures = min((_figures(store, p, policy) for p in plans), key=lambda found: found["cost"])
            rows.append({"replication": job.replication, "seed": plan.seed, "policy": name, **figures})
    return job.replication, rows


@contextmanager
def one_thread() -> Iterator[None]:
    """Let simulations use one thread while this holds: worlds share the processors, not the machines of one."""
    before = os.environ.get("TWIN_THREADS")
    os.environ["TWIN_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TWIN_THREADS"]
        else:
            os.environ["TWIN_THREADS"] = before


def _figures(store: Store, plan: Plan, policy: _Policy) -> dict[str, float]:
    from twin.run import simulate

    try:
        summary = simulate(store, plan, progress=False, functions=dict(policy.functions)).summary()
    except PolicyFault as fault:  # what it says of its run is not so here: the world is gone with its folder
        raise PolicyFault(str(fault.__cause__ or fault)) from fault
    return {figure: float(summary[figure]) for figure in FIGURES}


def _interval(values: np.ndarray) -> dict[str, float]:
    """Return mean and 95 % t interval of paired differences."""
    from scipy import stats

    mean, count = float(values.mean()), int(values.size)
    if count < 2 or np.ptp(values) == 0.0:
        return {"mean": mean, "low": mean, "high": mean, "replications": count}
    spread = stats.ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return {"mean": mean, "low": float(spread.low), "high": float(spread.high), "replications": count}


def _share(saved: np.ndarray, most: np.ndarray) -> Iterable[float]:
    """Return the ratio of two mean savings and its bootstrap interval; NaN where the oracle saves nothing."""
    from scipy import stats

    if most.mean() <= 0.0:
        return [np.nan] * 3
    ratio = float(saved.mean() / most.mean())
    if np.array_equal(saved, most) or not saved.any():
        return [ratio] * 3

    def of(a: np.ndarray, b: np.ndarray, axis: int = -1) -> Any:
        return a.mean(axis=axis) / b.mean(axis=axis)

    found = stats.bootstrap(
        (saved, most), of, paired=True, vectorized=True, confidence_level=CONFIDENCE, method="percentile", rng=0
    ).confidence_interval
    return [ratio, float(found.low), float(found.high)]
