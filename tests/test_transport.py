"""Data as received: addressed, of the frequencies asked for, and never a changed value."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import noise, portable
from twin.errors import BadRequest, UnknownName
from twin.transport import STREAM_TRANSPORT, Transport

START_US = 1_767_601_830_250_000  # 2026-01-05 08:30:30.25
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
MANY = 100_000


def clean(machines: Sequence[int] = (1, 2, 3), ticks: int = 50, step_us: int = SECOND_US) -> pa.Table:
    """Return rows by machine and time, with two columns that tell where they come from."""
    ids = np.repeat(np.asarray(machines, np.int16), ticks)
    tick = np.tile(np.arange(ticks, dtype=np.int64), len(machines))
    power = (ids * 1000 + tick).astype(np.float32)
    return pa.table(
        {
            "machine_id": ids,
            "ts": pa.array(START_US + tick * step_us).cast(pa.timestamp("us")),
            "power_w": pa.array(power, mask=tick % 7 == 3),
            "current_a": -power,
        }
    )


def micros(table: pa.Table, name: str) -> np.ndarray:
    return table[name].cast(pa.int64()).to_numpy()


def late_us(table: pa.Table) -> np.ndarray:
    return micros(table, "received_at") - micros(table, "ts")


def by_arrival(table: pa.Table) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in ("received_at", "machine_id", "ts")])


def within_5_sigma(hits: int, n: int, p: float) -> bool:
    return abs(hits - n * p) <= 5.0 * math.sqrt(n * p * (1.0 - p)) + 1e-9


@st.composite
def transports(draw: st.DrawFn) -> Transport:
    chance = st.sampled_from([0.0, 0.01, 0.3, 1.0]) | st.floats(0.0, 1.0)
    offline = draw(st.just({}) | st.just({"outage_per_day": draw(st.floats(0.01, 2000.0)), "outage_s": 43.0}))
    return Transport(
        seed=draw(st.integers(0, 2**63 - 1)),
        drop=draw(chance),
        duplicate=draw(chance),
        delay_s=draw(st.sampled_from([0.0, 0.05, 5.0]) | st.floats(0.0, 1e6)),
        reorder=draw(chance),
        reorder_s=draw(st.floats(0.001, 1e5)),
        **offline,
    )


# -- addressed --------------------------------------------------------------------------------


def naive(t: Transport, machine: int, ts: int) -> list[int]:
    """Return when the copies of a row arrive, as the documentation says it."""
    u = [
        [(int(word) + 0.5) / 2**32 for word in noise.words(t.seed, machine, STREAM_TRANSPORT + i, ts)] for i in range(3)
    ]
    if u[0][0] < t.drop:
        return []
    leaves = ts
    if t.outage_per_day:
        part = round(DAY_US / t.outage_per_day)
        length = min(round(t.outage_s * 1e6), part)
        place = (int(noise.words(t.seed, machine, STREAM_TRANSPORT + 3, ts // part)[0]) + 0.5) / 2**32
        begin = ts // part * part + int((part - length) * place)
        leaves = begin + length if begin <= ts < begin + length else ts
    return [
        leaves + int(-portable.log(a) * (t.delay_s * 1e6) + (c * (t.reorder_s * 1e6) if b < t.reorder else 0.0))
        for a, b, c, _ in u[1 : 3 if u[0][1] < t.duplicate else 2]
    ]


@settings(max_examples=60)
@given(transports(), st.lists(st.integers(1, 32767), min_size=1, max_size=3, unique=True), st.integers(1, 10**10))
def test_what_happens_to_a_row_follows_from_seed_machine_and_time(t: Transport, ids: list[int], step_us: int) -> None:
    table = clean(ids, 20, step_us)
    expected = sorted(
        (arrival, machine, ts)
        for machine, ts in zip(table["machine_id"].to_pylist(), micros(table, "ts").tolist(), strict=True)
        for arrival in naive(t, machine, ts)
    )
    got = t.receive(table)
    columns = (micros(got, "received_at").tolist(), got["machine_id"].to_pylist(), micros(got, "ts").tolist())
    assert list(zip(*columns, strict=True)) == expected


@settings(max_examples=40)
@given(transports(), st.data())
def test_neither_portions_nor_machines_nor_columns_nor_order_of_the_rows_matter(
    t: Transport, data: st.DataObject
) -> None:
    table = clean((1, 2, 5), 40)
    whole = t.receive(table)
    assert whole.equals(Transport(**t.model_dump()).receive(table))

    cuts = sorted(data.draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    bounds = zip([0, *cuts], [*cuts, table.num_rows], strict=True)
    parts = [t.receive(table.slice(a, b - a), ordered=data.draw(st.booleans())) for a, b in bounds]
    assert by_arrival(pa.concat_tables(parts)).equals(by_arrival(whole))

    order = data.draw(st.permutations(range(table.num_rows)))
    assert t.receive(table.take(pa.array(order))).equals(whole)

    some = data.draw(st.sets(st.sampled_from([1, 2, 5]), min_size=1))
    chosen = t.receive(clean(sorted(some), 40))
    assert chosen.equals(whole.filter(pa.array(np.isin(whole["machine_id"].to_numpy(), list(some)))))

    few = t.receive(table.select(["ts", "current_a", "machine_id"]))
    assert few.equals(whole.select(["ts", "current_a", "machine_id", "received_at"]))


def test_another_seed_is_another_journey() -> None:
    a, b = (Transport(seed=seed, drop=0.5).receive(clean(ticks=500)) for seed in (1, 2))
    assert not a.equals(b)


@given(st.integers(0, 2**63 - 1), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_what_is_lost_does_not_depend_on_delays_and_grows_with_the_probability(seed: int, p: float, q: float) -> None:
    low, high = sorted((p, q))
    kept = [set(arrived(Transport(seed=seed, drop=drop))) for drop in (low, high)]
    assert kept[1] <= kept[0]
    busy = Transport(seed=seed, drop=low, delay_s=9.0, reorder=0.5, duplicate=0.5, outage_per_day=9.0, outage_s=60.0)
    assert set(arrived(busy)) == kept[0]


def arrived(t: Transport) -> list[tuple[int, int]]:
    got = t.receive(clean())
    return list(zip(got["machine_id"].to_pylist(), micros(got, "ts").tolist(), strict=True))


# -- what arrives -----------------------------------------------------------------------------


def test_without_faults_rows_arrive_as_they_are() -> None:
    table = clean()
    got = Transport(seed=9).receive(table, ordered=False)
    assert got.drop_columns("received_at").equals(table)
    assert got["received_at"].equals(table["ts"])
    assert Transport().receive(table).num_rows == table.num_rows


@settings(max_examples=40)
@given(transports())
def test_values_are_never_changed_and_no_row_arrives_before_it_was_read(t: Transport) -> None:
    table = clean()
    got = t.receive(table)
    assert got.column_names == [*table.column_names, "received_at"]
    assert (late_us(got) >= 0).all()
    sent = {(row["machine_id"], row["ts"]): row for row in table.to_pylist()}
    copies: dict[tuple[int, object], int] = {}
    for row in got.to_pylist():
        row.pop("received_at")
        key = (row["machine_id"], row["ts"])
        assert row == sent[key]
        copies[key] = copies.get(key, 0) + 1
    assert set(copies.values()) <= {1, 2}
    assert got.equals(by_arrival(got))


def test_everything_can_be_lost_and_nothing_can_be_read() -> None:
    assert Transport(drop=1.0).receive(clean()).num_rows == 0
    nothing = Transport(duplicate=1.0).receive(clean(ticks=0))
    assert nothing.num_rows == 0
    assert nothing.schema == Transport(duplicate=1.0).receive(clean()).schema
    assert Transport(duplicate=1.0).receive(clean()).num_rows == 2 * clean().num_rows


@pytest.mark.parametrize("p", [1e-4, 0.01, 0.5, 0.99])
def test_frequencies_are_those_asked_for(p: float) -> None:
    table, n = clean((1, 2), MANY // 2), MANY
    lost = n - Transport(seed=3, drop=p).receive(table).num_rows
    assert within_5_sigma(lost, n, p)
    assert within_5_sigma(Transport(seed=3, duplicate=p).receive(table).num_rows - n, n, p)
    held = late_us(Transport(seed=3, reorder=p, reorder_s=8.0).receive(table))
    assert within_5_sigma(int((held > 0).sum()), n, p)
    assert held.max() <= 8 * SECOND_US
    if p >= 0.5:
        assert abs(held[held > 0].mean() - 4e6) < 5 * 8e6 / math.sqrt(12 * p * n)
    both = (
        Transport(seed=3, drop=0.5, duplicate=p).receive(table).num_rows
        - Transport(seed=3, drop=0.5).receive(table).num_rows
    )
    assert within_5_sigma(both, n, 0.5 * p)  # losing a row and doubling it are independent


def test_the_delay_is_exponential() -> None:
    late = late_us(Transport(seed=4, delay_s=5.0).receive(clean((1,), MANY)))
    assert abs(late.mean() / 5e6 - 1.0) < 5 / math.sqrt(MANY)
    for factor in (0.01, 0.5, 1.0, 3.0):
        assert within_5_sigma(int((late > factor * 5e6).sum()), MANY, math.exp(-factor))


def test_copies_travel_apart() -> None:
    got = Transport(seed=5, duplicate=1.0, delay_s=5.0).receive(clean((1,), MANY), ordered=False)
    late = late_us(got).reshape(-1, 2)
    assert abs(np.corrcoef(late.T)[0, 1]) < 5 / math.sqrt(MANY)


def test_losses_follow_neither_each_other_nor_another_machine() -> None:
    got = Transport(seed=6, drop=0.5).receive(clean((1, 2), MANY), ordered=False)
    kept = np.zeros((2, MANY))
    kept[got["machine_id"].to_numpy() - 1, (micros(got, "ts") - START_US) // SECOND_US] = 1.0
    assert abs(np.corrcoef(kept)[0, 1]) < 5 / math.sqrt(MANY)
    assert abs(np.corrcoef(kept[0, 1:], kept[0, :-1])[0, 1]) < 5 / math.sqrt(MANY)


def test_rows_that_are_held_back_arrive_after_later_ones() -> None:
    got = Transport(seed=7, reorder=0.05, reorder_s=10.0).receive(clean((1,), 2000))
    assert 50 < (np.diff(micros(got, "ts")) < 0).sum() < 150


def test_the_rows_of_an_outage_leave_together_at_its_end() -> None:
    ticks = 4 * 1440
    got = Transport(seed=8, outage_per_day=6.0, outage_s=1800.0).receive(clean((1, 2), ticks, 60 * SECOND_US))
    late = late_us(got)
    assert got.num_rows == 2 * ticks
    assert abs((late > 0).mean() - 6 * 1800 / 86_400) < 0.01
    for machine in (1, 2):
        rows = (got["machine_id"].to_numpy() == machine) & (late > 0)
        ends, waiting = np.unique(micros(got, "received_at")[rows], return_counts=True)
        assert 22 <= len(ends) <= 26  # 24 in four days; the span begins and ends anywhere
        assert np.median(waiting) == 30
        assert set((ends - 1800 * SECOND_US) // (4 * 3600 * SECOND_US)) == set(ends // (4 * 3600 * SECOND_US))
        assert len({int(end) // (4 * 3600 * SECOND_US) for end in ends}) == len(ends)  # one in each part of the day
        assert late[rows].max() <= 1800 * SECOND_US


def test_a_gateway_that_is_never_online_sends_once_a_part() -> None:
    got = Transport(outage_per_day=24.0, outage_s=3600.0).receive(clean((1,), 300, 60 * SECOND_US))
    assert set(micros(got, "received_at") % (3600 * SECOND_US)) == {0}


# -- what can be received ---------------------------------------------------------------------


def test_times_may_be_of_another_unit_or_state_their_zone() -> None:
    table, t = clean(), Transport(seed=1, drop=0.3, delay_s=1.0)
    for kind in (pa.timestamp("ns"), pa.timestamp("us", "UTC")):
        got = t.receive(table.set_column(1, "ts", table["ts"].cast(kind)))
        assert got["ts"].type == kind
        assert got.drop_columns("ts").equals(t.receive(table).drop_columns("ts"))
    names = {"machine_id": "machineID", "ts": "datetime"}
    other = t.receive(table.rename_columns(names), machine="machineID", ts="datetime")
    assert other.rename_columns({new: old for old, new in names.items()}).equals(t.receive(table))
    assert t.receive(pa.concat_tables([table.slice(0, 11), table.slice(11)])).equals(t.receive(table))


def test_a_table_without_addresses_is_refused() -> None:
    table, t = clean(), Transport()
    bad = [
        (table.drop_columns("machine_id"), "no column machine_id"),
        (table.drop_columns("ts"), "no column ts"),
        (t.receive(table), "already"),
        (table.set_column(1, "ts", pa.array(micros(table, "ts"))), "timestamps"),
        (table.set_column(0, "machine_id", table["power_w"]), "whole numbers"),
        (table.set_column(0, "machine_id", pa.array([None] * table.num_rows, pa.int16())), "missing"),
    ]
    for given_table, reason in bad:
        with pytest.raises(BadRequest, match=reason):
            t.receive(given_table)


# -- the text form ----------------------------------------------------------------------------


def test_a_text_says_what_fields_say() -> None:
    text = (
        "drop=0.01, delay=1500ms ,duplicate=2e-2,reorder=0.03,reorder_within=2min,outage_per_day=2,outage=1h30m,seed=7"
    )
    assert Transport.parse(text) == Transport(
        drop=0.01,
        delay_s=1.5,
        duplicate=0.02,
        reorder=0.03,
        reorder_s=120,
        outage_per_day=2,
        outage_s=5400,
        seed=7,
    )
    assert Transport.of(None) is None
    t = Transport(seed=2**63 - 1)
    assert Transport.of(t) is t
    assert Transport.of(f"seed={t.seed}") == t
    assert Transport.parse("delay=0s") == Transport()
    assert Transport.model_validate_json(t.model_dump_json()) == t


REFUSED = [
    ("", "must say what happens"),
    ("   ", "must say what happens"),
    ("drop", "not KEY=VALUE"),
    ("drop=", "not KEY=VALUE"),
    ("=0.1", "not KEY=VALUE"),
    ("drop=0.1,", "not KEY=VALUE"),
    ("dorp=0.1", "did you mean 'drop'"),
    ("delay_s=5s", "did you mean 'delay'"),
    ("drop=0.1,drop=0.1", "drop is given twice"),
    ("drop=nan", "finite"),
    ("drop=inf", "finite"),
    ("drop=-0.1", "greater than or equal to 0"),
    ("drop=1.01", "less than or equal to 1"),
    ("duplicate=2", "duplicate should be less"),
    ("reorder=-1e-9", "reorder should be greater"),
    ("drop=1%", "without a unit"),
    ("drop=0_1", "without a unit"),
    ("drop=٠", "without a unit"),
    ("drop=0.1=0.2", "without a unit"),
    ("delay=5", "number with its unit"),
    ("delay=-5s", "zero or more"),
    ("delay=nan", "number with its unit"),
    ("delay=5parsec", "unknown unit"),
    ("delay=31d", "delay_s should be less"),
    ("reorder_within=0s", "greater than 0"),
    ("seed=-1", "seed must be from 0"),
    ("seed=9223372036854775808", "seed must be from 0"),
    ("seed=1.5", "whole number"),
    ("seed=" + "9" * 5000, "whole number"),
    ("outage=5min", "both"),
    ("outage_per_day=3", "both"),
    ("outage_per_day=0.0001,outage=5s", "at least 0.001"),
    ("outage_per_day=30,outage=1h", "must not exceed a day"),
    (7, "a Transport or a text"),
    ({"drop": 0.1}, "a Transport or a text"),
    (True, "a Transport or a text"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=[repr(text)[:30] for text, _ in REFUSED])
def test_what_makes_no_sense_is_refused_in_one_line(text: object, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as caught:
        Transport.of(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(
    st.text(max_size=60) | st.lists(st.sampled_from([*"=,_.-5e s", "drop", "delay", "seed", "9" * 400])).map("".join)
)
def test_any_other_text_is_refused_or_understood(text: str) -> None:
    try:
        found = Transport.parse(text)
    except BadRequest as error:
        found = error
    assert isinstance(found, Transport) or "\n" not in str(found)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"drop": 2}, "less than or equal to 1"),
        ({"drop": math.nan}, "finite"),
        ({"drop": "0.1"}, "must be a number"),
        ({"drop": None}, "must be a number"),
        ({"seed": 1.0}, "whole number"),
        ({"seed": True}, "whole number"),
        ({"delay_s": math.inf}, "finite"),
        ({"outage_s": 5.0}, "both"),
    ],
)
def test_fields_are_checked_too(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as caught:
        Transport(**fields)
    assert "\n" not in str(caught.value)


def test_unknown_fields_and_changes_are_refused() -> None:
    with pytest.raises(UnknownName, match="delay_s"):
        Transport(delay=5.0)
    with pytest.raises(ValueError, match="frozen"):
        Transport().drop = 0.5  # type: ignore[misc]
