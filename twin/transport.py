"""Data as received: rows that are lost, late, doubled or out of order on their way from the machine.

What befalls a row is a pure function of (transport seed, machine, time of the reading), as all noise
here: it does not depend on which other rows, columns or machines are read, nor in what portions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError, model_validator

from twin import noise, portable
from twin.cache import cached_njit
from twin.catalog.checks import Frozen, Integer, Number, refusal
from twin.errors import BadRequest, shown, unknown
from twin.times import SECOND_US, parse_duration

if TYPE_CHECKING:
    import pyarrow as pa

STREAM_TRANSPORT = 64  # the row's fate; + 1, 2: the journeys of its copies; + 3: outages, index = part of time
RECEIVED = "received_at"

_DAY_S = 86_400.0
_RAREST_PER_DAY = 1e-3
_EXAMPLE = "drop=0.01,delay=5s,duplicate=0.01,reorder=0.02,seed=7"
_FIELDS = {
    "drop": "drop",
    "duplicate": "duplicate",
    "delay": "delay_s",
    "reorder": "reorder",
    "reorder_within": "reorder_s",
    "outage_per_day": "outage_per_day",
    "outage": "outage_s",
    "seed": "seed",
}
"""The keys of the text form, and the fields that they set."""


def _check_seed(value: int) -> int:
    if not 0 <= value < 2**63:
        raise BadRequest(f"must be from 0 to 2**63 - 1, got {shown(value)}")
    return value


Seed = Annotated[Integer, AfterValidator(_check_seed)]
Probability = Annotated[Number, Field(ge=0.0, le=1.0)]
Wait = Annotated[Number, Field(ge=0.0, le=30 * _DAY_S)]


class Transport(Frozen):
    """How rows of telemetry travel from the machines to whoever stores them.

    A row waits while its machine's gateway is offline, then travels for an exponential time, and
    may be held back for longer. The copies of a doubled row travel independently, so that with a
    delay that is long against the interval rows overtake one another anyhow.

    Attributes
    ----------
    seed : int
        Address of all that happens, 0 to 2**63 - 1.
    drop : float
        Probability that a row is lost, with its copies.
    duplicate : float
        Probability that a row that is not lost arrives twice.
    delay_s : float
        Mean of the exponential delay in the network, s; 0 for none. Up to 30 days.
    outage_per_day, outage_s : float
        How many times a day a machine's gateway is offline, and for how long each time, s. Time is
        divided into equal parts with one outage in each, at a random place; the rows of an outage
        leave together when it ends.
    reorder : float
        Probability that a copy is held back for an additional time.
    reorder_s : float
        The longest that it is held back, s: the time is uniform from 0 to this.

    Raises
    ------
    BadRequest
        A field is unknown or out of range.
    """

    seed: Seed = 0
    drop: Probability = 0.0
    duplicate: Probability = 0.0
    delay_s: Wait = 0.0
    outage_per_day: Annotated[Number, Field(ge=0.0, le=_DAY_S)] = 0.0
    outage_s: Wait = 0.0
    reorder: Probability = 0.0
    reorder_s: Annotated[Number, Field(gt=0.0, le=30 * _DAY_S)] = 5.0

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:  # people make transports by hand, and get one line as everywhere
            raise refusal(error, type(self), "transport") from None

    @model_validator(mode="after")
    def _check_outages(self) -> Self:
        if (self.outage_per_day > 0.0) != (self.outage_s > 0.0):
            raise BadRequest("outages need both how often (outage_per_day) and how long (outage_s); give both or none")
        if 0.0 < self.outage_per_day < _RAREST_PER_DAY:
            raise BadRequest(f"outage_per_day must be 0 or at least {_RAREST_PER_DAY:g}, got {self.outage_per_day!r}")
        if self.outage_per_day * self.outage_s > _DAY_S:
            raise BadRequest(
                f"outage_per_day times outage_s must not exceed a day ({_DAY_S:g} s), "
                f"got {self.outage_per_day:g} times {self.outage_s:g} s"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the transport that a text describes, such as ``drop=0.01,delay=5s,seed=7``.

        Parameters
        ----------
        text : str
            ``KEY=VALUE``, separated by commas. Probabilities (``drop``, ``duplicate``, ``reorder``),
            ``outage_per_day`` and ``seed`` are numbers; ``delay``, ``outage`` and ``reorder_within``
            are durations with their unit, such as ``5s``.
        """
        if not isinstance(text, str) or not text.strip():
            raise BadRequest(f"transport must say what happens, for example {_EXAMPLE!r}, got {shown(text)}")
        fields: dict[str, Any] = {}
        for part in text.split(","):
            key, _, value = (word.strip() for word in part.partition("="))
            if not key or not value:
                raise BadRequest(f"transport: {shown(part)} is not KEY=VALUE; write for example {_EXAMPLE!r}")
            if key not in _FIELDS:
                raise unknown("key of transport", key, _FIELDS)
            if _FIELDS[key] in fields:
                raise BadRequest(f"transport: {key} is given twice")
            fields[_FIELDS[key]] = _value(key, value)
        return cls(**fields)

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """Return a transport as it was given: itself, its text form, or None."""
        if value is None or isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise BadRequest(f"transport must be a Transport or a text such as {_EXAMPLE!r}, got {shown(value)}")

    def receive(
        self, table: pa.Table, *, machine: str = "machine_id", ts: str = "ts", ordered: bool = True
    ) -> pa.Table:
        """Return the rows that arrive, with when they do; no value is changed.

        Parameters
        ----------
        table : pyarrow.Table
            Clean rows; memory grows with their number.
        machine, ts : str
            Names of the columns of machine number and time of the reading.
        ordered : bool
            Whether to order the rows by arrival (then machine and time), or leave them as given.

        Returns
        -------
        pyarrow.Table
            The columns given and ``received_at`` (timestamp, microseconds); a doubled row stands twice.
        """
        import pyarrow as pa

        ids, times = _addresses(table, machine, ts)
        row, received = self._arrivals(ids, times)
        if ordered:
            order = np.lexsort((times[row], ids[row], received))
            row, received = row[order], received[order]
        return table.take(pa.array(row)).append_column(RECEIVED, pa.array(received).cast(pa.timestamp("us")))

    def _arrivals(self, ids: NDArray[np.int64], times: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
        """Return the number of each row that arrives and its arrival, microseconds since 1970."""
        part_us = round(_DAY_S * SECOND_US / self.outage_per_day) if self.outage_per_day else 1
        outage_us = min(round(self.outage_s * SECOND_US), part_us) if self.outage_per_day else 0
        # room for every row twice; the system gives memory only to what is filled
        row, received = np.empty(2 * len(ids), np.int64), np.empty(2 * len(ids), np.int64)
        journey = (self.delay_s * SECOND_US, self.reorder, self.reorder_s * SECOND_US)
        n = _fill(
            self.seed, ids, times, self.drop, self.duplicate, np.array(journey), part_us, outage_us, row, received
        )
        return row[:n], received[:n]


def _value(key: str, text: str) -> float | int:
    """Return the value of a key of the text form."""
    if _FIELDS[key].endswith("_s"):
        return parse_duration(text, f"transport: {key}", allow_zero=True) / SECOND_US
    kind = int if key == "seed" else float
    try:
        if "_" in text or not text.isascii():  # which Python reads, and people do not write
            raise ValueError
        return kind(text)
    except ValueError:
        what = "a whole number" if key == "seed" else "a number without a unit, such as 0.01"
        raise BadRequest(f"transport: {key} must be {what}, got {shown(text)}") from None


def _addresses(table: pa.Table, machine: str, ts: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return machine numbers and times, microseconds since 1970, of a table's rows."""
    import pyarrow as pa

    names = table.column_names
    for name in (machine, ts):
        if name not in names:
            raise BadRequest(f"what happens to a row depends on {machine} and {ts}; the table has no column {name}")
    if RECEIVED in names:
        raise BadRequest(f"the table has a column {RECEIVED} already: its rows were received before")
    ids, times = table[machine], table[ts]
    if not pa.types.is_integer(ids.type) or not pa.types.is_timestamp(times.type) or ids.null_count + times.null_count:
        raise BadRequest(f"{machine} must be whole numbers and {ts} timestamps, none of them missing")
    micros = times.cast(pa.timestamp("us", times.type.tz)).cast(pa.int64())
    # copies: Arrow's memory is read-only, for which the compiled function would be compiled once more
    return np.array(ids.to_numpy(), np.int64), np.array(micros.to_numpy(), np.int64)


@njit(error_model="numpy", forceinline=True)
def _unit(word: Any) -> Any:
    """Return a uniform number in (0, 1), to the word's 32 bits: probabilities may be small."""
    return (np.float64(word) + 0.5) * 2.0**-32


@njit(error_model="numpy", forceinline=True)
def _leaves_us(seed: Any, machine: Any, t_us: Any, part_us: Any, outage_us: Any) -> Any:
    """Return when a row leaves its gateway: at once, or at the end of the outage that it falls into."""
    if outage_us == 0:
        return t_us
    part = t_us // part_us
    a, _, _, _ = noise.words(seed, machine, STREAM_TRANSPORT + 3, part)
    begin = part * part_us + np.int64((part_us - outage_us) * _unit(a))
    return begin + outage_us if begin <= t_us < begin + outage_us else t_us


@njit(error_model="numpy", forceinline=True)
def _travels_us(seed: Any, machine: Any, stream: Any, t_us: Any, journey: Any) -> Any:
    """Return how long a copy travels: an exponential delay, and being held back."""
    a, b, c, _ = noise.words(seed, machine, stream, t_us)
    delay = -portable.log(_unit(a)) * journey[0]
    held = journey[2] * _unit(c) if _unit(b) < journey[1] else 0.0
    return np.int64(delay + held)


@cached_njit  # not in twin.cache.SOURCES, by which runs are told apart: Numba itself notices a change of this file
def _fill(
    seed: Any,
    machine_id: Any,
    ts: Any,
    drop: Any,
    duplicate: Any,
    journey: Any,
    part_us: Any,
    outage_us: Any,
    row: Any,
    received: Any,
) -> Any:
    """Fill in which rows arrive and when, and return how many do."""
    n = 0
    for i in range(ts.size):
        machine, t_us = machine_id[i], ts[i]
        a, b, _, _ = noise.words(seed, machine, STREAM_TRANSPORT, t_us)
        if _unit(a) < drop:
            continue
        leaves_us = _leaves_us(seed, machine, t_us, part_us, outage_us)
        for copy in range(1, 3 if _unit(b) < duplicate else 2):
            row[n] = i
            received[n] = leaves_us + _travels_us(seed, machine, STREAM_TRANSPORT + copy, t_us, journey)
            n += 1
    return n
