"""Equal digests mean equal rows: whatever changes a row changes the digest, and nothing else does."""

from __future__ import annotations

import numpy as np
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.catalog.parameters import CHANNELS
from twin.digest import as_text, join, row_digest
from twin.simulation import Simulation

N = 5000
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(n: int = N, seed: int = 1) -> Rows:
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 13, n).astype(np.int16)
    ts = plans.START_US + rng.permutation(n).astype(np.int64) * 1_000_000
    return ids, ts, rng.normal(50.0, 3.0, (len(CHANNELS), n)).astype(np.float32)


def by_definition(ids: np.ndarray, ts: np.ndarray, values: np.ndarray) -> int:
    """Return the digest in whole numbers, row by row."""
    mask = 2**64 - 1
    a, b, c = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

    def mix(h: int, word: int) -> int:
        h = (h ^ word) * b & mask
        return h ^ (h >> 32)

    total = second = 0
    for i in range(len(ts)):
        h = mix(mix(a, int(ts[i])), int(ids[i]))
        bits = [0x7FC00000 if np.isnan(v) else int(v.view(np.uint32)) for v in values[:, i]]
        for low, high in zip(bits[::2], bits[1::2], strict=True):
            h = mix(h, low | high << 32)
        x = h * c & mask
        total += x ^ (x >> 29)
        x = (h ^ c) * a & mask
        second += x ^ (x >> 32)
    return (second & mask) << 64 | total & mask


def test_digest_is_what_it_says() -> None:
    ids, ts, values = rows(300)
    values[2, 5] = np.nan
    assert row_digest(ids, ts, values) == by_definition(ids, ts, values)


@given(st.integers(0, 2**32 - 1), st.integers(1, N - 1))
def test_order_and_parts_do_not_matter(seed: int, cut: int) -> None:
    ids, ts, values = rows()
    whole = row_digest(ids, ts, values)
    order = np.random.default_rng(seed).permutation(N)
    a, b = order[:cut], order[cut:]
    parts = [row_digest(ids[p], ts[p], np.ascontiguousarray(values[:, p])) for p in (a, b)]
    assert join(*parts) == join(*parts[::-1]) == whole


@given(st.integers(0, N - 1), st.integers(0, len(CHANNELS) - 1), st.integers(0, 31))
def test_any_bit_of_any_reading_matters(row: int, channel: int, bit: int) -> None:
    ids, ts, values = rows()
    before = row_digest(ids, ts, values)
    values[channel].view(np.uint32)[row] ^= np.uint32(1 << bit)
    assert row_digest(ids, ts, values) != before


@pytest.mark.parametrize("column", [0, 1])
def test_machine_and_time_matter(column: int) -> None:
    given_rows = rows()
    before = row_digest(*given_rows)
    given_rows[column][17] += 1
    assert row_digest(*given_rows) != before


def test_exchanged_and_repeated_rows_matter() -> None:
    ids, ts, values = rows()
    before = row_digest(ids, ts, values)
    swapped = values.copy()
    swapped[:, [3, 4]] = swapped[:, [4, 3]]
    assert row_digest(ids, ts, swapped) != before
    channels = values.copy()
    channels[[0, 1]] = channels[[1, 0]]
    assert row_digest(ids, ts, channels) != before
    again = join(before, join(row_digest(ids[:1], ts[:1], values[:, :1].copy()), 0))
    assert again != before


def test_any_nan_is_the_same_missing_reading() -> None:
    ids, ts, values = rows(10)
    quiet, other = values.copy(), values.copy()
    quiet[0, 0] = np.nan
    other[0].view(np.uint32)[0] = 0xFFC12345
    assert np.isnan(other[0, 0])
    assert row_digest(ids, ts, quiet) == row_digest(ids, ts, other) != row_digest(ids, ts, values)


def test_nothing_has_the_digest_zero_and_text_has_32_digits() -> None:
    ids, ts, values = rows(1)
    assert row_digest(ids[:0], ts[:0], values[:, :0].copy()) == 0
    assert as_text(0) == "0" * 32
    text = as_text(row_digest(ids, ts, values))
    assert len(text) == 32
    assert int(text, 16) == row_digest(ids, ts, values)


def test_chunks_of_a_run_join_to_its_digest() -> None:
    plan = plans.busy((1, 2, 3), 900.0)
    with Simulation(plan) as whole, Simulation(plan) as parts:
        total, pieces = whole.advance(plan.ticks).digest(), 0
        while parts.tick < plan.ticks:
            pieces = join(pieces, parts.advance(77).digest())
    assert pieces == total
