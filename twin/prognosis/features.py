"""Features of stored runs and of frames: the same windows, the same SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twin.errors import BadRequest, shown
from twin.prognosis.spec import FeatureSpec, as_spec
from twin.store.features import FrameFeatures, run_baseline, run_features
from twin.times import parse_time

if TYPE_CHECKING:
    import pandas as pd

    from twin.results import RunRecord

KEYS = ("machine_id", "ts")


def features(
    run: RunRecord,
    spec: FeatureSpec | None = None,
    machines: Any = None,
    start: Any = None,
    end: Any = None,
) -> pd.DataFrame:
    """Return the features of a stored run, from reported telemetry, alarms and finished work only.

    Parameters
    ----------
    run : Run
        One with telemetry, complete or not.
    spec : FeatureSpec, optional
        Which features.
    machines : str, int or sequence, optional
        Some machines; all when not given.
    start, end : time, optional
        First row, and end of the rows (not included); windows and baselines still reach back before the start.

    Returns
    -------
    DataFrame
        Indexed by ``machine_id`` and ``ts``, sorted; float64 columns `FeatureSpec.columns`, NaN where nothing is known.

    Raises
    ------
    BadRequest
        If the run has no telemetry, or is shorter than the longest window.
    """
    spec = as_spec(spec)
    row = run.row
    if not row.telemetry:
        raise BadRequest(f"run {run.id} has events only: features need telemetry; simulate without events_only")
    long_us = row.committed_ticks * row.interval_us
    if long_us < spec.window_us:
        raise BadRequest(
            f"run {run.id} is {long_us / 3.6e9:g} h long, shorter than the longest window of "
            f"{spec.window_us / 3.6e9:g} h: simulate longer, or ask for shorter windows"
        )
    limits = [None if at is None else parse_time(at, name) for name, at in (("start", start), ("end", end))]
    chosen = None if machines is None else run._machine_ids(machines)
    return _indexed(run_features(run._store, spec.query(), run.id, run.plan.start_us, chosen, *limits))


def baseline(run: RunRecord, spec: FeatureSpec | None = None) -> pd.DataFrame:
    """Return what `features` takes for each machine's healthy relation of channels to load: one row a machine."""
    return run_baseline(run._store, as_spec(spec).query(), run.id, run.plan.start_us)


class FrameReader:
    """Features of frames of readings: the newest minutes of a stream, or what a policy's function is shown.

    Parameters
    ----------
    spec : FeatureSpec, optional
    """

    def __init__(self, spec: FeatureSpec | None = None) -> None:
        self.spec = as_spec(spec)
        self._query = self.spec.query()
        self._engine = FrameFeatures(self._query)

    def baseline(self, readings: pd.DataFrame) -> pd.DataFrame:
        """Return each machine's healthy relation of channels to load, from its first readings."""
        return self._engine.baseline(_checked(readings, self._query.channels()))

    def features(
        self,
        readings: pd.DataFrame,
        alarms: pd.DataFrame | None = None,
        log: pd.DataFrame | None = None,
        baseline: pd.DataFrame | None = None,
        since: Any = None,
    ) -> pd.DataFrame:
        """Return features as `features` does.

        Parameters
        ----------
        readings : DataFrame
            ``machine_id``, ``ts`` and channels.
        alarms : DataFrame, optional
            ``machine_id``, ``ts``.
        log : DataFrame, optional
            Finished work: ``machine_id``, ``end_at``.
        baseline : DataFrame, optional
            What `baseline` returned; by default it is taken from the first of the readings.
        since : time, optional
            The first row wanted.
        """
        frames = self._frames(readings, alarms, log, baseline)
        return _indexed(self._engine.features(frames, None if since is None else parse_time(since, "since")))

    def newest(
        self,
        readings: pd.DataFrame,
        baseline: pd.DataFrame | None = None,
        alarms: pd.DataFrame | None = None,
        log: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return the newest row of each machine alone, which takes milliseconds; parameters as in `features`.

        Raises
        ------
        BadRequest
            If the spec has residuals and no baseline is given: the newest readings tell nothing of the first.
        """
        frames = self._frames(readings, alarms, log, baseline)
        if self._query.residuals and baseline is None:
            raise BadRequest(
                "residuals need the machines' baseline: give what reader.baseline(first_readings) returned"
            )
        return _indexed(self._engine.newest(frames))

    def _frames(self, readings: Any, alarms: Any, log: Any, baseline: Any) -> dict[str, pd.DataFrame]:
        import pandas as pd

        none = pd.DataFrame({"machine_id": pd.Series(dtype="int64"), "ts": pd.Series(dtype="datetime64[us]")})
        frames = {"readings": _checked(readings, self._query.channels()), "alarmed": none, "worked": none}
        for name, what, given, time in (("alarmed", "alarms", alarms, "ts"), ("worked", "log", log, "end_at")):
            if given is not None and len(given):
                frames[name] = _timed(given, what, time)[["machine_id", time]].rename(columns={time: "ts"})
        if baseline is None:
            return frames
        needed = ["machine_id", "known_us", *(f"{part}_{c}" for c in self._query.residuals for part in ("a", "sd"))]
        if not isinstance(baseline, pd.DataFrame) or not set(needed) <= set(baseline.columns):
            raise BadRequest(f"baseline must be what reader.baseline returned for this spec, got {shown(baseline)}")
        return {**frames, "baselines": baseline}


def _checked(readings: Any, channels: list[str]) -> pd.DataFrame:
    from pandas.api.types import is_numeric_dtype

    found = _timed(readings, "readings", "ts", channels)
    for name in channels:
        if len(found) and not is_numeric_dtype(found[name]):
            raise BadRequest(f"{name} of the readings must be numbers, got {found[name].dtype}")
    return found


def _timed(frame: Any, what: str, time: str, more: Sequence[str] = ()) -> pd.DataFrame:
    """Return a frame of machines and times in UTC without a zone, which the database would take for local ones."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise BadRequest(f"the {what} must be a DataFrame, got {shown(frame)}")
    missing = [name for name in ("machine_id", time, *more) if name not in frame.columns]
    if missing:
        raise BadRequest(f"the {what} lack {', '.join(missing)}; they have {shown(list(frame.columns), 200)}")
    if frame.empty:
        return frame
    machines, times = frame["machine_id"], frame[time]
    if not pd.api.types.is_integer_dtype(machines):
        raise BadRequest(f"machine_id of the {what} must be whole numbers, none missing, got {machines.dtype}")
    if times.dtype.kind != "M" or times.isna().any():
        raise BadRequest(f"{time} of the {what} must be times, none missing, got {times.dtype}")
    zone = getattr(times.dtype, "tz", None)
    return frame if zone is None else frame.assign(**{time: times.dt.tz_convert("UTC").dt.tz_localize(None)})


def _indexed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index(list(KEYS))
