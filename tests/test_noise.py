"""The generator is the published one, and its numbers are as random as they are said to be."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray
from scipy import special, stats

from twin import noise

N = 1_000_000
Words = tuple[int, int, int, int]


def philox_by_definition(counter: Words, key: tuple[int, int]) -> Words:
    """Return philox4x32-10 as the paper states it, in whole numbers."""
    mask = 2**32 - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return a, b, c, d


ONES = 0xFFFFFFFF
KNOWN_ANSWERS = {  # the known-answer file of Random123: zeros, ones, the digits of pi
    "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    "pi": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}


@njit
def _philox(counter: Any, key: Any) -> Any:
    u = np.uint32
    return noise.philox(u(counter[0]), u(counter[1]), u(counter[2]), u(counter[3]), u(key[0]), u(key[1]))


@njit
def _words(seed: Any, machine: Any, stream: Any, index: Any) -> Any:
    return noise.words(seed, machine, stream, index)


@njit
def _series(seed: Any, machine: Any, stream: Any, start: Any, step: Any, n: Any) -> Any:
    """Return n x 4 words at consecutive addresses."""
    out = np.empty((n, 4), np.uint32)
    for i in range(n):
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = noise.words(seed, machine, stream, start + i * step)
    return out


@njit
def _normals(words: Any) -> Any:
    out = np.empty(words.size, np.float32)
    for i in range(words.size):
        out[i] = noise.normal(words[i])
    return out


@njit
def _uniforms(words: Any) -> Any:
    out = np.empty(words.size, np.float32)
    for i in range(words.size):
        out[i] = noise.uniform(words[i])
    return out


def normals(
    seed: int = 7, machine: int = 1, stream: int = 0, step: int = 1_000_000, n: int = N, lane: int = 0
) -> NDArray[np.float64]:
    start = 1_767_225_600_000_000  # 2026, as in a run
    words = np.ascontiguousarray(_series(seed, machine, stream, start, step, n)[:, lane])
    return _normals(words).astype(np.float64)


@cache
def sample(lane: int = 0) -> NDArray[np.float64]:
    return normals(lane=lane)


# -- the generator ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(name: str) -> None:
    counter, key, answer = KNOWN_ANSWERS[name]
    assert _philox(np.array(counter, np.uint32), np.array(key, np.uint32)) == answer
    assert philox_by_definition(counter, key) == answer


def test_philox_agrees_with_its_definition_at_random_addresses() -> None:
    rng = np.random.default_rng(1)
    for row in rng.integers(0, 2**32, (200, 6), dtype=np.uint32):
        counter: Words = (int(row[0]), int(row[1]), int(row[2]), int(row[3]))
        assert _philox(row[:4], row[4:]) == philox_by_definition(counter, (int(row[4]), int(row[5])))


def test_an_address_is_seed_machine_stream_and_index() -> None:
    seed, machine, stream, index = 2**62 + 12345, 321, 9, 1_767_225_600_123_456
    counter = (index & ONES, index >> 32, stream, machine)
    assert _words(seed, machine, stream, index) == philox_by_definition(counter, (seed & ONES, seed >> 32))


def test_a_number_does_not_depend_on_how_it_was_reached() -> None:
    whole = _series(7, 3, 1, 0, 10, 1000)
    assert np.array_equal(whole[500:], _series(7, 3, 1, 5000, 10, 500))
    assert np.array_equal(whole[::7], _series(7, 3, 1, 0, 70, 143))


# -- from words to numbers --------------------------------------------------------------------


def quantile(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return what `normal` approximates: sign from the lowest bit, tail from the other 31."""
    p = ((words >> 1).astype(np.float64) + 0.5) * 2.0**-32
    return np.where(words & 1, 1.0, -1.0) * special.ndtri(p) * -1.0


def test_normal_is_the_quantile_within_a_hundred_thousandth() -> None:
    rng = np.random.default_rng(2)
    tails = np.unique(np.geomspace(1, 2**31, 200_000).astype(np.uint64) - 1)  # every decade of p, to the last word
    tails = np.concatenate([tails, np.arange(100_000, dtype=np.uint64), 2**31 - 1 - np.arange(1000, dtype=np.uint64)])
    words = np.concatenate([tails * 2, tails * 2 + 1, rng.integers(0, 2**32, 500_000, dtype=np.uint64)])
    words = words.astype(np.uint32)
    error = _normals(words).astype(np.float64) - quantile(words)
    assert np.abs(error).max() < 1e-5


def test_normal_is_symmetric_and_bounded() -> None:
    words = np.random.default_rng(3).integers(0, 2**32, 100_000, dtype=np.uint32)
    assert np.array_equal(_normals(words), -_normals(words ^ np.uint32(1)))
    extremes = _normals(np.array([0, 1, ONES - 1, ONES], np.uint32))
    assert np.abs(extremes[:2]) == pytest.approx([6.34, 6.34], abs=0.01)
    assert np.abs(extremes[2:]).max() < 1e-5


def test_uniform_stays_inside_zero_and_one() -> None:
    edge = _uniforms(np.array([0, 1, 255, 256, ONES - 256, ONES - 1, ONES], np.uint32))
    assert edge.min() > 0.0
    assert edge.max() < 1.0
    words = _series(5, 1, 33, 0, 1, N)[:, 0].copy()
    u = _uniforms(words)
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert np.abs(u - words / 2.0**32).max() < 2.0**-22


# -- statistics -------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", range(4))
def test_moments(lane: int) -> None:
    z = sample(lane)
    # standard errors of mean, variance, skewness and kurtosis of n normal numbers
    assert abs(z.mean()) < 4 / N**0.5
    assert abs(z.var() - 1.0) < 4 * (2 / N) ** 0.5
    assert abs(stats.skew(z)) < 4 * (6 / N) ** 0.5
    assert abs(stats.kurtosis(z)) < 4 * (24 / N) ** 0.5


@pytest.mark.parametrize("lane", range(4))
def test_kolmogorov_smirnov(lane: int) -> None:
    assert stats.kstest(sample(lane), "norm").pvalue > 1e-3


@pytest.mark.parametrize("sigmas", [1.0, 2.0, 3.0, 4.0, 4.5])
def test_tails(sigmas: float) -> None:
    z = np.concatenate([sample(lane) for lane in range(4)])
    for count in (np.sum(z > sigmas), np.sum(z < -sigmas)):
        expected = z.size * special.ndtr(-sigmas)
        assert abs(count - expected) < 4 * expected**0.5 + 1


@pytest.mark.parametrize("step", [1, 1000, 100_000, 1_000_000, 60_000_000])
def test_no_autocorrelation_at_any_sampling_interval(step: int) -> None:
    n = 2**18
    z = normals(step=step, n=n)
    spectrum = np.abs(np.fft.rfft(z, 2 * n)) ** 2
    correlation = np.fft.irfft(spectrum)[1:2001] / n
    assert np.abs(correlation).max() < 5 / n**0.5  # the largest of 2,000 lags
    squares = np.corrcoef(z[:-1] ** 2, z[1:] ** 2)[0, 1]
    assert abs(squares) < 4 / n**0.5


def test_streams_machines_seeds_and_lanes_do_not_correlate() -> None:
    n = 2**17
    series = [normals(n=n, lane=lane) for lane in range(4)]
    series += [normals(n=n, stream=stream) for stream in (1, 2, 8, 9, 16, 32, 33)]
    series += [normals(n=n, machine=machine) for machine in (0, 2, 3, 12, 32767)]
    series += [normals(n=n, seed=seed) for seed in (0, 8, 2**32 + 7, 2**62)]
    correlation = np.corrcoef(series) - np.eye(len(series))
    assert np.abs(correlation).max() < 5 / n**0.5
    squares = np.corrcoef(np.square(series)) - np.eye(len(series))
    assert np.abs(squares).max() < 5 / n**0.5


def test_the_numbers_of_many_machines_at_one_moment_are_normal() -> None:
    at_once = np.array([_words(7, machine, 0, 1_767_225_600_000_000)[0] for machine in range(1, 20_001)], np.uint32)
    assert stats.kstest(_normals(at_once), "norm").pvalue > 1e-3


def test_bits_of_the_words_are_fair() -> None:
    words = _series(11, 4, 0, 0, 1_000_000, 2**18)
    ones = ((words[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / 2**9
