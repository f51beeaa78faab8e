"""The laws of wear, one formula a function: lives, damage, and how fast they pass.

Ages and lives are hours of *effective* time (see `twin.catalog.wear.Wear`). Sources as in
`twin.physics`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import noise
from twin.portable import exp, log, power

WEAR_US = 3_600_000_000
"""The grid of wear: damage moves from whole hour to whole hour of absolute time. [choice]"""

LEVEL_STEP = 0.0025
"""The signals follow the damage in steps of this size. [choice]"""

INJECTED_STEPS = 500
"""A progressive injection grows in so many steps where an hour would be too coarse. [choice]"""

WOBBLE = 1 << 40  # index of the day's wobble: far from the renewals' numbers
WOBBLE_SPREAD = 0.5  # the rate of a day is uniform within 1 +- this [choice]
DAY_US = 86_400_000_000
SECONDARY_SHARE = 1.0 / 3.0  # of the effective age owed to other modes: beyond it a failure is secondary [choice]
USED_SHARE = 0.6  # used parts are up to this share of their characteristic life old [choice]

# curvatures of damage over the used share of life: some units degrade gradually, most late and suddenly
# [data: run-to-failure recordings; the ranges are ours, fitted to their bands]
GRADUAL_LOW, GRADUAL_HIGH = 1.0, 2.5
SUDDEN_LOW, SUDDEN_HIGH = 8.0, 50.0


@njit(error_model="numpy", forceinline=True)
def uniform53(high, low):
    """Return a uniform number in (0, 1) from two words: the middle of one of 2**52 cells."""
    bits = (np.int64(high) << np.int64(20)) | np.int64(low >> np.uint32(12))
    return (np.float64(bits) + 0.5) * 2.0**-52


@njit(error_model="numpy", forceinline=True)
def weibull_life(u, shape, scale, age):
    """Return a life, h, drawn from a Weibull law given that it exceeds `age`, h (0: a new part).

    Inverse of the conditional survival: ``S(life) / S(age) = u``.
    """
    return scale * power(power(age / scale, shape) - log(u), 1.0 / shape)


@njit(error_model="numpy")
def draw(seed, machine_id, stream, renewal, shape, scale, gradual_share, age):
    """Return life, h, and curvature of a part: pure functions of machine, mode and renewal."""
    a, b, c, d = noise.words(seed, machine_id, stream, renewal)
    life = weibull_life(uniform53(a, b), shape, scale, age)
    share = np.float64(noise.uniform(d))
    if np.float64(noise.uniform(c)) < gradual_share:
        return life, GRADUAL_LOW * power(GRADUAL_HIGH / GRADUAL_LOW, share)
    return life, SUDDEN_LOW * power(SUDDEN_HIGH / SUDDEN_LOW, share)


@njit(error_model="numpy", forceinline=True)
def wobble(seed, machine_id, stream, t_us):
    """Return the factor by which a mode wears faster or slower on the day of a time; mean 1."""
    a, _, _, _ = noise.words(seed, machine_id, stream, WOBBLE + t_us // DAY_US)
    return 1.0 + WOBBLE_SPREAD * (2.0 * np.float64(noise.uniform(a)) - 1.0)


@njit(error_model="numpy", forceinline=True)
def damage(age, life, base_age, base_damage, curvature):
    """Return the damage of a part: from `base_damage` at `base_age` to 1 at `life`.

    ``D = D0 + (1 - D0) (exp(c x) - 1) / (exp(c) - 1)`` with x the used share of what was left at
    `base_age`: exponential growth, as cracks and spalls show it [paper: Gebraeel 2005].
    """
    x = (age - base_age) / (life - base_age)
    if x >= 1.0:
        return 1.0
    left = curvature * (1.0 - x)
    if left > 30.0 or x <= 0.0:
        return base_damage
    none = exp(-curvature) if curvature < 40.0 else 0.0
    return base_damage + (1.0 - base_damage) * (exp(-left) - none) / (1.0 - none)


@njit(error_model="numpy")
def age_at(damage, life, base_age, base_damage, curvature):
    """Return the age at which a part has a damage: the inverse of `damage`."""
    if damage >= 1.0 or base_damage >= 1.0:
        return life
    none = exp(-curvature) if curvature < 40.0 else 0.0
    grown = none + (1.0 - none) * (damage - base_damage) / (1.0 - base_damage)
    return min(life, base_age + (life - base_age) * (1.0 + log(max(1e-300, grown)) / curvature))


@njit(error_model="numpy", forceinline=True)
def stress(load, speed, load_exponent, speed_exponent):
    """Return the rate of effective time: ``load**a * speed**b``, both relative to nominal duty [std ISO 281]."""
    rate = 1.0
    if load_exponent != 0.0 and load != 1.0:
        rate *= power(max(0.0, load), load_exponent)
    if speed_exponent != 0.0 and speed != 1.0:
        rate *= power(max(0.0, speed), speed_exponent)
    return rate


@njit(error_model="numpy", forceinline=True)
def arrhenius(kelvin, doubling_k):
    """Return the rate of ageing that many kelvins above the reference: 2**(kelvin / doubling_k) [std IEC 60085]."""
    return exp(0.6931471805599453 * kelvin / doubling_k)


@njit(error_model="numpy", forceinline=True)
def injected(level, grown_h, time_to_failure_h, kept):
    """Return the damage that an injection stands for.

    Parameters
    ----------
    level : float
        Where it begins.
    grown_h, time_to_failure_h : float
        Hours that it has grown, and after which it is 1; 0: it holds its level.
    kept : float
        What repairs have left of it, 0 to 1.
    """
    grown = level
    if time_to_failure_h > 0.0:
        grown += (1.0 - level) * min(1.0, grown_h / time_to_failure_h)
    return kept * grown
