"""Curves that are fitted to simulated machines as they are to real ones: warm-up, and Weibull lives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest

Floats = NDArray[np.float64]
LOWEST_SHAPE, HIGHEST_SHAPE = 0.05, 50.0


@dataclass(frozen=True)
class Warming:
    """One exponential fitted to a temperature after a step of the load.

    Attributes
    ----------
    start_c, rise_k, tau_min, rmse_k : float
        Temperature at the step, final rise, time constant, and root mean square of the residuals.
    """

    start_c: float
    rise_k: float
    tau_min: float
    rmse_k: float

    def at(self, minutes: Floats) -> Floats:
        """Return the fitted temperature, minutes after the step."""
        return self.start_c + self.rise_k * (1.0 - np.exp(-minutes / self.tau_min))


def fit_warming(minutes: Floats, temperature_c: Floats) -> Warming:
    """Fit ``T = T0 + rise (1 - exp(-t / tau))`` by least squares.

    Parameters
    ----------
    minutes, temperature_c : arrays
        Time after the step, and the readings.
    """
    from scipy.optimize import curve_fit

    def law(t: Floats, start: float, rise: float, tau: float) -> Floats:
        return start + rise * (1.0 - np.exp(-t / tau))

    y = temperature_c.astype(np.float64)
    (start, rise, tau), _ = curve_fit(law, minutes, y, p0=(y[0], y[-1] - y[0], 20.0))
    residuals = law(minutes, start, rise, tau) - y
    return Warming(float(start), float(rise), float(tau), float(np.sqrt(np.mean(residuals**2))))


@dataclass(frozen=True)
class WeibullFit:
    """A Weibull law fitted to lives.

    Attributes
    ----------
    shape, life_h : float
        Shape and scale (characteristic life: 63.2 % have failed), h.
    shape_se, life_se : float
        Standard errors of their logarithms.
    events : int
        Failures among the lives.
    """

    shape: float
    life_h: float
    shape_se: float
    life_se: float
    events: int

    def interval(self, parameter: str, confidence: float = 0.95) -> tuple[float, float]:
        """Return a confidence interval of ``shape`` or ``life_h``, symmetrical on the log scale."""
        reach = np.exp(quantile(confidence) * (self.shape_se if parameter == "shape" else self.life_se))
        value = getattr(self, parameter)
        return value / reach, value * reach


def quantile(confidence: float) -> float:
    """Return how many standard errors a two-sided interval reaches to either side."""
    from scipy.stats import norm

    return float(norm.ppf(0.5 + confidence / 2.0))


def fit_weibull(start_h: Floats, stop_h: Floats, event: NDArray[np.bool_]) -> WeibullFit:
    """Fit a Weibull law to lives of which some were cut off and some began late, by maximum likelihood.

    The log-likelihood is ``sum(event log h(stop)) - sum(H(stop) - H(start))`` with the cumulated hazard
    ``H(t) = (t / life)**shape`` and the hazard h, its slope. For a given shape the best scale is
    ``life**shape = sum(stop**shape - start**shape) / events``, so that one root is left to find. Standard
    errors come from the second derivatives with respect to log shape and log life.

    Parameters
    ----------
    start_h : float array
        Age at which the part came under observation: above 0 for one that was not new (left truncation).
    stop_h : float array
        Age at which it failed, or was last seen.
    event : bool array
        Whether it failed (else censored).
    """
    from scipy.optimize import brentq

    seen = stop_h > start_h
    start, stop, failed = start_h[seen], stop_h[seen], event[seen]
    events = int(failed.sum())
    if events < 2:
        raise BadRequest(f"a Weibull law cannot be fitted to {events} failures: give it 2 or more")
    unit = float(stop.mean())  # powers of numbers near one
    ends, begins = np.log(stop / unit), np.log(start[start > 0.0] / unit)
    mean_log = float(ends[failed].mean())

    def grown(shape: float) -> float:
        return float(np.exp(shape * ends).sum() - np.exp(shape * begins).sum())

    def score(shape: float) -> float:
        slope = (np.exp(shape * ends) * ends).sum() - (np.exp(shape * begins) * begins).sum()
        return 1.0 / shape + mean_log - float(slope) / grown(shape)

    shape = float(brentq(score, LOWEST_SHAPE, HIGHEST_SHAPE))
    log_life = np.log(grown(shape) / events) / shape
    y, y0 = shape * (ends - log_life), shape * (begins - log_life)
    errors = _standard_errors(shape, y, y0, float(y[failed].sum()), events)
    return WeibullFit(shape, float(np.exp(log_life) * unit), *errors, events)


def _standard_errors(shape: float, y: Floats, y0: Floats, failed_sum: float, events: int) -> tuple[float, float]:
    """Return the standard errors of log shape and log life; ``H = exp(y)`` at the ends, ``exp(y0)`` at the starts."""
    h, h0 = np.exp(y), np.exp(y0)
    by_shape = failed_sum - ((h * (y * y + y)).sum() - (h0 * (y0 * y0 + y0)).sum())
    by_life = -(shape**2) * (h.sum() - h0.sum())
    by_both = -shape * events + shape * ((h * (1.0 + y)).sum() - (h0 * (1.0 + y0)).sum())
    covariance = np.linalg.inv(-np.array([[by_shape, by_both], [by_both, by_life]]))
    shape_se, life_se = np.sqrt(np.diag(covariance))
    return float(shape_se), float(life_se)
