"""The project's own exp, log and power are as good as the C library's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from twin import portable


@njit
def _exp(x: Any) -> Any:
    return portable.exp(x)


@njit
def _log(x: Any) -> Any:
    return portable.log(x)


@njit
def _power(x: Any, y: Any) -> Any:
    return portable.power(x, y)


@given(st.floats(-708.0, 708.0))
def test_exp(x: float) -> None:
    assert _exp(x) == pytest.approx(math.exp(x), rel=1e-15)


def test_exp_is_exact_at_zero_and_clipped_beyond_its_range() -> None:
    assert _exp(0.0) == 1.0
    assert _exp(-1e9) == _exp(-708.0) > 0.0
    assert _exp(1e9) == _exp(708.0) < math.inf
    assert _exp(-math.inf) == _exp(-708.0)


def test_exp_grows_everywhere() -> None:
    x = np.linspace(-5.0, 5.0, 20_001)
    y = np.array([_exp(v) for v in x])
    assert (np.diff(y) > 0.0).all()


@given(st.floats(1e-300, 1e300))
def test_log(x: float) -> None:
    assert _log(x) == pytest.approx(math.log(x), rel=1e-15, abs=1e-15)


@given(st.floats(0.5, 2.0))
def test_log_near_one(x: float) -> None:
    assert _log(x) == pytest.approx(math.log(x), rel=1e-14, abs=1e-16)


@given(st.floats(-300.0, 300.0))
def test_log_undoes_exp(x: float) -> None:
    assert _log(_exp(x)) == pytest.approx(x, rel=1e-14, abs=1e-15)


@given(st.floats(1e-9, 1e3), st.floats(0.1, 10.0))
def test_power(x: float, y: float) -> None:
    assert _power(x, y) == pytest.approx(x**y, rel=5e-14)


def test_power_of_zero_and_one() -> None:
    assert _power(0.0, 3.0) == 0.0
    assert _power(1e-301, 0.5) == 0.0  # what is below 1e-300 counts as nothing
    assert _power(1.0, 7.3) == 1.0
