"""Which features are made of telemetry: a frozen description that a model keeps beside it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from pydantic import Field, ValidationError, model_validator

from twin.catalog.checks import Frozen, refusal
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, shown, unknown
from twin.store.feature_text import LOADS, STATISTICS, FeatureQuery, Wanted
from twin.times import parse_duration

MOST_FEATURES = 500
MOST_BUCKETS = 100_000
HOUR_US = 3_600_000_000
_QUANTILE = re.compile(r"q(0[1-9]|[1-9]\d)")


class FeatureSpec(Frozen):
    """Features of rolling windows, computed from what was reported and nothing else.

    A row at a time T is made of readings after ``T - window`` and up to T, T a multiple of the cadence.
    There is a row for each machine and cadence in which it reported something (with `running_only`: while
    its shaft turned).

    Attributes
    ----------
    channels : tuple of str
        Telemetry channels.
    statistics : tuple of str
        ``mean``, ``sd``, ``slope`` (per hour), ``min``, ``max``, ``kurtosis`` (excess, unbiased;
        to five digits), or quantiles ``q01`` to ``q99``; of each channel in each window.
    windows : tuple of duration
        Lengths of the windows, whole multiples of the cadence.
    cadence : duration
        Time between two rows of a machine.
    residuals : tuple of str
        Channels of which the mean is also compared with the machine's own early relation to what was asked of it
        (torque and speed), in standard deviations of that time: ``<channel>_residual_<window>``; NaN until the
        baseline is over.
    baseline : duration
        How long from its first reading a machine is taken for healthy.
    alarms : bool
        Whether alarms in each window are counted.
    maintenance : bool
        Whether hours since the last finished work are given (NaN before the first).
    running_only : bool
        Whether readings of a standing machine are left out.
    """

    channels: tuple[str, ...] = Field(default=("temperature_c", "vibration_g", "vibration_mm_s", "kurtosis", "power_w"))
    statistics: tuple[str, ...] = ("mean", "sd", "slope", "max")
    windows: tuple[str, ...] = ("24h",)
    cadence: str = "6h"
    residuals: tuple[str, ...] = ("temperature_c", "vibration_g", "vibration_mm_s", "kurtosis", "power_w")
    baseline: str = "7d"
    alarms: bool = True
    maintenance: bool = True
    running_only: bool = True

    @classmethod
    def of(cls, **fields: Any) -> FeatureSpec:
        """Return a spec, or refuse it with one line."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise refusal(error, cls, "feature spec") from None

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSpec:
        for name in ("channels", "statistics", "windows", "residuals"):
            given = getattr(self, name)
            if len(set(given)) != len(given):
                raise ValueError(f"{name} names something twice: {', '.join(given)}")
        self._check_names()
        self._check_times()
        if not 1 <= len(self.columns) <= MOST_FEATURES:
            raise ValueError(f"a feature spec must give 1 to {MOST_FEATURES} features, not {len(self.columns)}")
        return self

    def _check_names(self) -> None:
        for channel in (*self.channels, *self.residuals):
            if channel not in CHANNELS:
                raise ValueError(str(unknown("channel", channel, CHANNELS)))
        for channel in self.residuals:
            if channel in LOADS:
                raise ValueError(f"{channel} says what was asked of the machine: it has no residual")
        for statistic in self.statistics:
            if statistic not in STATISTICS and not _QUANTILE.fullmatch(statistic):
                raise ValueError(str(unknown("statistic", statistic, (*STATISTICS, "q50"))))

    def _check_times(self) -> None:
        if not self.windows:
            raise ValueError("a feature spec needs a window, such as '24h'")
        cadence = parse_duration(self.cadence, "cadence")
        for window in self.windows:
            long = parse_duration(window, "window")
            if long % cadence or long // cadence > MOST_BUCKETS:
                most = f"up to {MOST_BUCKETS:,} times"
                raise ValueError(f"window {window} must be a whole multiple of the cadence {self.cadence}, {most}")
        parse_duration(self.baseline, "baseline")

    @property
    def cadence_us(self) -> int:
        """Time between two rows, microseconds."""
        return parse_duration(self.cadence, "cadence")

    @property
    def window_us(self) -> int:
        """The longest window, microseconds."""
        return max(parse_duration(window, "window") for window in self.windows)

    @property
    def baseline_us(self) -> int:
        """How long a machine is taken for healthy, microseconds."""
        return parse_duration(self.baseline, "baseline")

    def query(self) -> FeatureQuery:
        """Return what is asked of the store."""
        cadence, wanted, alarms = self.cadence_us, [], []
        for window in self.windows:
            buckets, tail = parse_duration(window, "window") // cadence, window.replace(" ", "").replace(".", "_")
            wanted += [Wanted(f"{c}_{s}_{tail}", c, s, buckets) for c in self.channels for s in self.statistics]
            wanted += [Wanted(f"{c}_residual_{tail}", c, "residual", buckets) for c in self.residuals]
            alarms += [(f"alarms_{tail}", buckets)] if self.alarms else []
        maintenance = "time_since_maintenance_h" if self.maintenance else ""
        return FeatureQuery(tuple(wanted), cadence, self.baseline_us, self.running_only, tuple(alarms), maintenance)

    @property
    def columns(self) -> list[str]:
        """Names of the features, in order."""
        query = self.query()
        return (
            [w.name for w in query.wanted]
            + [n for n, _ in query.alarms]
            + [query.maintenance] * bool(query.maintenance)
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the description: equal hash, equal features."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def as_spec(spec: Any) -> FeatureSpec:
    """Return a spec, the default one for None."""
    if spec is None:
        return FeatureSpec()
    if not isinstance(spec, FeatureSpec):
        raise BadRequest(f"spec must be a FeatureSpec, got {shown(spec)}")
    return spec
