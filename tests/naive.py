"""The simulation once more: slow, reading by reading, in plain Python and double precision.

Written from the description of the physics and of the noise's addresses, so that a mistake in the
compiled kernel does not repeat itself here. It knows nothing of chunks, blocks or arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.special import ndtri

from twin.catalog.models import Effect, Profile, Scenario
from twin.catalog.parameters import CHANNELS, PARAMETERS
from twin.plan import Plan, PlannedMachine
from twin.timeline import unit_constants

Words = tuple[int, int, int, int]
MINUTE_US = 60_000_000
SLOW, HALL, FAULT = 8, 9, 32  # streams; 0, 1 and 2 are those of the readings
ONES = 2**32 - 1


# -- noise ------------------------------------------------------------------------------------


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Return philox4x32-10 as the paper states it, in whole numbers."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & ONES, (k1 + 0xBB67AE85) & ONES
    return a, b, c, d


def words(seed: int, machine: int, stream: int, index: int) -> Words:
    """Return the four words at an address."""
    return philox((index & ONES, index >> 32, stream, machine), (seed & ONES, seed >> 32))


def normal(word: int) -> float:
    """Return a standard normal number: the lowest bit is the sign, the others the tail."""
    z = float(ndtri(((word >> 1) + 0.5) / 2.0**32))
    return -z if word & 1 else z


def uniform(word: int) -> float:
    """Return a number between 0 and 1."""
    return ((word >> 9) + 0.5) / 2.0**23


# -- what is asked ----------------------------------------------------------------------------


def follow(profile: Profile, values: tuple[float, ...], t_us: int) -> tuple[float, float, int]:
    """Return a recording's value at a time since its start, its slope a second, and when its next point comes."""
    times = [round(t * 1e6) for t in profile.t_s]
    period = round(profile.period_s * 1e6)
    cycle, local = divmod(t_us, period)
    before = [i for i, t in enumerate(times) if t <= local]
    if not before:
        return values[0], 0.0, cycle * period + times[0]
    i = before[-1]
    if i + 1 == len(times):
        return values[i], 0.0, (cycle + 1) * period
    slope = 0.0
    if profile.interpolation == "linear":
        slope = (values[i + 1] - values[i]) / ((times[i + 1] - times[i]) * 1e-6)
    return values[i] + slope * (local - times[i]) * 1e-6, slope, cycle * period + times[i + 1]


@dataclass
class Asked:
    """Inputs at a time: value and slope of each, and when a recording goes on."""

    load: tuple[float, float]
    speed: tuple[float, float]
    ambient: tuple[float, float]
    ambient_recorded: bool
    variation: float
    until_us: int


class Machine:
    """One machine of a plan, with all that happens to it."""

    def __init__(self, plan: Plan, machine: PlannedMachine) -> None:
        self.plan, self.id = plan, machine.machine_id
        self.type = plan.machine_types[machine.machine_type]
        self.c = unit_constants(machine, self.type)
        self.scenarios: list[tuple[int, float, Scenario]] = []
        for a in plan.activations:
            scenario = plan.scenarios[a.scenario]
            end = math.inf if a.end_us is None else a.end_us
            if scenario.profile is not None and scenario.profile.at_end == "end":
                end = min(end, a.start_us + round(scenario.profile.period_s * 1e6))
            if a.machine_id == self.id:
                self.scenarios.append((a.start_us, end, scenario))
        self.faults = [
            (i.start_us, math.inf if i.end_us is None else i.end_us, i)
            for i in plan.injections
            if i.machine_id == self.id
        ]

    def switches(self) -> list[int]:
        """Return when something begins or ends on this machine within the plan."""
        edges = {edge for a, b, _ in (*self.scenarios, *self.faults) for edge in (a, b)}
        return sorted(int(e) for e in edges if self.plan.start_us < e < self.plan.end_us)

    def active(self, t_us: int) -> list[tuple[int, Scenario]]:
        return [(a, s) for a, b, s in self.scenarios if a <= t_us < b]

    def damage(self, t_us: int) -> dict[str, float]:
        levels: dict[str, float] = {}
        for a, b, i in self.faults:
            if a <= t_us < b:
                levels[i.failure_mode] = max(i.level, levels.get(i.failure_mode, 0.0))
        return levels

    def effects(self, t_us: int) -> Iterator[tuple[Effect, float]]:
        """Yield the effects at work and the damage behind each."""
        for _, scenario in self.active(t_us):
            yield from ((e, 1.0) for e in scenario.effects)
        for mode, level in self.damage(t_us).items():
            yield from ((e, level) for e in self.plan.failure_modes[mode].effects)

    def parameter(self, name: str, t_us: int) -> float:
        """Return a parameter of machine or instrument: factors multiply, additions add."""
        rule = PARAMETERS[name]
        value = rule.neutral
        for effect, damage in self.effects(t_us):
            if effect.parameter != name:
                continue
            value = value * effect.at(damage) if rule.op == "factor" else value + effect.at(damage)
        return value

    def set_input(self, names: tuple[str, ...], otherwise: float, t_us: int) -> tuple[float, float, float, bool]:
        """Return value, slope, end and whether recorded of an input that the most important scenario sets."""
        found: list[tuple[int, int, float, tuple[float, float, float]]] = []
        for start_us, scenario in self.active(t_us):
            recorded = {} if scenario.profile is None else scenario.profile.columns
            given = [n for n in names if n in recorded or any(e.parameter == n for e in scenario.effects)]
            for name in given[:1]:  # rpm overrides the factor
                per = self.c["rated_speed_rpm"] if name == "speed_rpm" else 1.0
                for effect in scenario.effects:
                    if effect.parameter == name:
                        value = float(effect.value or 0.0) / per
                        found.append((scenario.priority, 0, value, (value, 0.0, math.inf)))
                if scenario.profile is not None and name in recorded:
                    value, slope, following = follow(scenario.profile, recorded[name], t_us - start_us)
                    found.append((scenario.priority, 1, 0.0, (value / per, slope / per, start_us + following)))
        if not found:
            return otherwise, 0.0, math.inf, False
        best = max(found, key=lambda f: f[:3])
        return *best[3], best[1] == 1

    def asked(self, t_us: int) -> Asked:
        load = self.set_input(("load",), self.c["nominal_load"], t_us)
        speed = self.set_input(("speed_rpm", "speed_factor"), 1.0, t_us)
        ambient = self.set_input(("ambient_c",), 22.0, t_us)
        factor, offset = self.parameter("load_factor", t_us), self.parameter("ambient_offset_c", t_us)
        return Asked(
            (load[0] * factor, load[1] * factor),
            speed[:2],
            (ambient[0] + offset, ambient[1]),
            ambient[3],
            self.parameter("load_variation", t_us),
            int(min(load[2], speed[2], ambient[2], 2.0**62)),
        )


# -- physics ----------------------------------------------------------------------------------


def lag(start: float, target: tuple[float, float], tau: float, s: float) -> float:
    """Return the output of a first-order lag s seconds after it was `start`, following a ramp."""
    value, slope = target
    return value + slope * (s - tau) + (start - value + slope * tau) * math.exp(-s / tau)


def lag_mean(start: float, target: tuple[float, float], tau: float, h: float) -> float:
    value, slope = target
    return value + slope * (h / 2 - tau) + (start - value + slope * tau) * tau / h * (1 - math.exp(-h / tau))


@dataclass
class State:
    """What a machine carries along."""

    t_us: int
    knot_us: int
    load: float
    speed: float
    housing_c: float
    load_wander: tuple[float, float]
    vibration_wander: tuple[float, float]
    hall: float
    drift: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CHANNELS, 0.0))
    stuck: dict[str, float] = field(default_factory=dict)


class Naive:
    """The simulation of one machine."""

    def __init__(self, plan: Plan, machine: PlannedMachine) -> None:
        self.plan, self.m = plan, Machine(plan, machine)
        self.c = self.m.c
        self.omega = self.c["rated_speed_rpm"] * 2 * math.pi / 60
        self.rated_torque = self.c["rated_power_w"] / self.omega
        self.state = self.begin()

    def slow(self, stream: int, machine: int, t_us: int, lane: int) -> float:
        return normal(words(self.plan.seed, machine, stream, t_us)[lane])

    def wander(self, before: float, tau_s: float, z: float) -> float:
        decay = math.exp(-60.0 / tau_s)
        return decay * before + math.sqrt(1 - decay**2) * z

    def begin(self) -> State:
        """Return the state in which machines begin: at their operating point, or cold and at rest."""
        t = self.plan.start_us
        knot = t - t % MINUTE_US
        number = self.m.id
        load0, vib0 = self.slow(SLOW, number, knot, 0), self.slow(SLOW, number, knot, 1)
        load1 = self.wander(load0, self.c["load_tau_ou_s"], self.slow(SLOW, number, knot + MINUTE_US, 0))
        vib1 = self.wander(vib0, 300.0, self.slow(SLOW, number, knot + MINUTE_US, 1))
        state = State(t, knot, 0.0, 0.0, 0.0, (load0, load1), (vib0, vib1), self.slow(HALL, 0, knot, 0))
        asked = self.m.asked(t)
        if self.plan.settled:
            state.load, state.speed = asked.load[0], asked.speed[0]
        state.housing_c = self.air_c(state, asked, 0.0)
        state.drift = {name: self.drift_before(name) for name in CHANNELS}
        if self.plan.settled:
            state.housing_c += self.resistance(t) * self.heat(state.load, state.speed, t)
        return state

    def drift_before(self, name: str) -> float:
        """Return how far an instrument that drifts at the start has drifted since it began to."""
        start, parameter = self.plan.start_us, f"{name}.drift_per_day"
        edges = sorted(
            {min(edge, start) for a, b, _ in (*self.m.scenarios, *self.m.faults) for edge in (a, b)} | {start}
        )
        drift = 0.0
        for begin, end in pairwise(int(edge) for edge in edges):
            rate, next_rate = self.m.parameter(parameter, begin), self.m.parameter(parameter, end)
            drift = drift + rate * (end - begin) / 86400e6 if next_rate != 0.0 else 0.0
        return drift

    def air_c(self, state: State, asked: Asked, seconds: float) -> float:
        """Return the temperature of the air: as asked, with the hall's weather unless it was recorded."""
        air = asked.ambient[0] + asked.ambient[1] * seconds
        if asked.ambient_recorded:
            return air
        since_11 = (state.knot_us / 3.6e9 - 11.0) % 24.0 / 24.0  # 0 at 11:00, highest at 17:00, lowest at 05:00
        half = since_11 % 0.5
        arc = 16.0 * half * (0.5 - half)
        return air + 0.5 * state.hall + 0.6 * (arc if since_11 < 0.5 else -arc)

    def resistance(self, t_us: int) -> float:
        return self.c["thermal_resistance_k_per_w"] * self.m.parameter("thermal_resistance", t_us)

    def torque(self, load: float, speed: float, t_us: int) -> float:
        friction = self.rated_torque * self.c["friction_fraction"] * self.m.parameter("friction", t_us)
        return load * self.rated_torque + friction * min(1.0, 20.0 * speed)

    def electric(self, load: float, speed: float, t_us: int) -> float:
        """Return the electric power: shaft power, the motor's losses, and what idles."""
        below = max(0.0, 1.0 - load / 0.4)
        eta = self.c["efficiency"] * (1.0 - 0.4 * below**2)
        shaft = self.torque(load, speed, t_us) * speed * self.omega
        losses = shaft * (1.0 / eta - 1.0) * self.m.parameter("winding_loss", t_us)
        return shaft + losses + self.c["idle_power_w"]

    def heat(self, load: float, speed: float, t_us: int) -> float:
        """Return what does not leave as useful work."""
        return self.electric(load, speed, t_us) - load * self.rated_torque * speed * self.omega

    def signals(self, load: float, speed: float, housing: float, wander: float, t_us: int) -> dict[str, float]:
        """Return what ideal instruments would show."""
        p = {name: self.m.parameter(name, t_us) for name in PARAMETERS if PARAMETERS[name].layer == "physics"}
        c = self.c
        power = self.electric(load, speed, t_us)
        below = max(0.0, 1.0 - load / 0.4)
        cos_phi = c["power_factor"] * (1.0 - 0.45 * below**2)
        floor_g = math.hypot(
            c["vibration_floor_g"] * p["vibration_floor"], c["load_vibration_g"] * p["looseness"] * load
        )
        floor = floor_g * speed
        one = c["imbalance_g"] * p["imbalance"] * speed**2
        two = c["imbalance_g"] * p["misalignment"] * speed**2
        defect_g = c["vibration_floor_g"] * p["defect_g"]
        defect = defect_g * speed * (0.7 + 0.5 * load)
        total2 = floor**2 + one**2 + two**2 + defect**2 + 1e-12
        shares = [(defect**2 / total2) ** 2, (one**2 / total2) ** 2, (two**2 / total2) ** 2]
        floor_v = c["velocity_floor_mm_s"] * p["vibration_floor"] * math.hypot(1.0, p["looseness"] * load)
        one_v, two_v = c["imbalance_mm_s"] * p["imbalance"], c["imbalance_mm_s"] * p["misalignment"] / 2
        velocity = math.sqrt(floor_v**2 + one_v**2 + two_v**2 + (c["defect_mm_s_per_g"] * defect_g) ** 2)
        return {
            "temperature_c": housing,
            "vibration_g": math.sqrt(total2 - 1e-12) * wander,
            "vibration_mm_s": velocity * speed * wander,
            "kurtosis": 3.0 + p["impulsiveness"] * shares[0] - 1.5 * (shares[1] + shares[2]),
            "power_w": power,
            "current_a": power / (math.sqrt(3.0) * c["supply_voltage_v"] * cos_phi),
            "speed_rpm": speed * c["rated_speed_rpm"],
            "torque_nm": self.torque(load, speed, t_us),
        }

    # -- time ---------------------------------------------------------------------------------

    def run(self) -> Iterator[dict[str, float]]:
        """Yield the readings, one after the other."""
        plan, switches = self.plan, self.m.switches()
        begun, t = plan.start_us, plan.start_us
        self.let_stick()
        while True:
            s = self.state
            asked = self.m.asked(s.t_us)
            planned = min(s.knot_us + MINUTE_US, asked.until_us)
            end = min([planned] + [e for e in switches if e > s.t_us])
            slope = self.warming(asked, planned)
            while t < end:
                if t >= plan.end_us:
                    return
                load, speed, wander = self.latent(asked, t)
                housing = s.housing_c + slope * (t - s.t_us) * 1e-6
                yield self.reading(load, speed, housing, wander, t, begun)
                t += plan.interval_us
            self.move(asked, slope, end)
            if end in switches:
                for name in CHANNELS:
                    rate = self.m.parameter(f"{name}.drift_per_day", begun)
                    goes_on = self.m.parameter(f"{name}.drift_per_day", end) != 0.0
                    s.drift[name] = s.drift[name] + rate * (end - begun) / 86400e6 if goes_on else 0.0
                begun = end
                self.let_stick()

    def warming(self, asked: Asked, until_us: int) -> float:
        """Return how fast the housing warms until the minute is over or a recording goes on, K/s."""
        s, c = self.state, self.c
        h = (until_us - s.t_us) * 1e-6
        middle = ((s.t_us + until_us) / 2 - s.knot_us) / MINUTE_US
        wandering = s.load_wander[0] + (s.load_wander[1] - s.load_wander[0]) * middle
        load = max(
            0.0, lag_mean(s.load, asked.load, c["load_tau_s"], h) * (1 + c["load_sd"] * asked.variation * wandering)
        )
        speed = max(0.0, lag_mean(s.speed, asked.speed, c["speed_tau_s"], h))
        target = self.air_c(s, asked, h / 2) + self.resistance(s.t_us) * self.heat(load, speed, s.t_us)
        tau = c["housing_tau_s"] * self.m.parameter("thermal_resistance", s.t_us)
        return (target - s.housing_c) * (1 - math.exp(-h / tau)) / h

    def latent(self, asked: Asked, t_us: int) -> tuple[float, float, float]:
        """Return load, speed and wander of the vibration at a time in the current cell."""
        s, c = self.state, self.c
        seconds, into = (t_us - s.t_us) * 1e-6, (t_us - s.knot_us) / MINUTE_US
        wandering = s.load_wander[0] + (s.load_wander[1] - s.load_wander[0]) * into
        load = lag(s.load, asked.load, c["load_tau_s"], seconds) * (1 + c["load_sd"] * asked.variation * wandering)
        vibration = s.vibration_wander[0] + (s.vibration_wander[1] - s.vibration_wander[0]) * into
        speed = lag(s.speed, asked.speed, c["speed_tau_s"], seconds)
        return max(0.0, load), max(0.0, speed), 1 + c["vibration_sd"] * vibration

    def move(self, asked: Asked, slope: float, end_us: int) -> None:
        """Move the state to the end of a cell, and the slow processes to the next minute if one begins."""
        s, c = self.state, self.c
        seconds = (end_us - s.t_us) * 1e-6
        s.load, s.speed = (
            lag(s.load, asked.load, c["load_tau_s"], seconds),
            lag(s.speed, asked.speed, c["speed_tau_s"], seconds),
        )
        s.housing_c += slope * seconds
        s.t_us = end_us
        if end_us == s.knot_us + MINUTE_US:
            s.knot_us = end_us
            z = [self.slow(SLOW, self.m.id, end_us + MINUTE_US, lane) for lane in (0, 1)]
            s.load_wander = s.load_wander[1], self.wander(s.load_wander[1], c["load_tau_ou_s"], z[0])
            s.vibration_wander = s.vibration_wander[1], self.wander(s.vibration_wander[1], 300.0, z[1])
            s.hall = self.wander(s.hall, 3 * 3600.0, self.slow(HALL, 0, end_us, 0))

    # -- instruments --------------------------------------------------------------------------

    def quantised(self, name: str, value: float) -> float:
        channel = self.plan.channels[name]
        return round(min(max(value, channel.low), channel.high) * channel.counts_per_unit) / channel.counts_per_unit

    def let_stick(self) -> None:
        """Let instruments that stick from now on keep what they would show without noise."""
        s, t = self.state, self.state.t_us
        true = self.signals(*self.of_now(t), t)
        for name in CHANNELS:
            if self.m.parameter(f"{name}.stuck", t) <= 0.0:
                s.stuck.pop(name, None)
            elif name not in s.stuck:
                gain, offset = self.m.parameter(f"{name}.gain", t), self.m.parameter(f"{name}.offset", t)
                s.stuck[name] = self.quantised(name, gain * (true[name] + s.drift[name]) + offset)

    def of_now(self, t_us: int) -> tuple[float, float, float, float]:
        load, speed, wander = self.latent(self.m.asked(t_us), t_us)
        return load, speed, self.state.housing_c, wander

    def reading(
        self, load: float, speed: float, housing: float, wander: float, t_us: int, begun_us: int
    ) -> dict[str, float]:
        """Return what the eight instruments report at a time."""
        seed, number = self.plan.seed, self.m.id
        noise = [word for stream in (0, 1, 2) for word in words(seed, number, stream, t_us)]
        load *= 1 + self.c["ripple_sd"] * normal(noise[len(CHANNELS)])
        true = self.signals(load, speed, housing, wander, t_us)
        return {
            name: self.report(name, true[name], normal(noise[i]), words(seed, number, FAULT + i, t_us), t_us, begun_us)
            for i, name in enumerate(CHANNELS)
        }

    def report(self, name: str, signal: float, z: float, trouble: Words, t_us: int, begun_us: int) -> float:
        """Return one instrument's reading: spike, drift, gain, offset, noise, range, resolution, stuck, dropout."""
        channel = self.plan.channels[name]
        p = {kind: self.m.parameter(f"{name}.{kind}", t_us) for kind in ("noise", "offset", "drift_per_day", "gain")}
        if uniform(trouble[0]) < self.m.parameter(f"{name}.spike_probability", t_us):
            size = self.m.parameter(f"{name}.spike_size", t_us) * (0.5 + uniform(trouble[1]))
            signal += size if trouble[1] & 1 else -size
        if p["drift_per_day"] != 0.0:
            signal += self.state.drift[name] + p["drift_per_day"] * (t_us - begun_us) / 86400e6
        spread = p["noise"] * (channel.noise_sd + channel.noise_fraction * abs(signal))
        value = self.quantised(name, p["gain"] * signal + p["offset"] + spread * z)
        value = self.state.stuck.get(name, value)
        missing = uniform(trouble[2]) < self.m.parameter(f"{name}.dropout_probability", t_us)
        return math.nan if missing else value


def readings(plan: Plan) -> np.ndarray:
    """Return the readings of a plan as an array (channels, machines, ticks)."""
    out = np.empty((len(CHANNELS), len(plan.machines), plan.ticks))
    for m, machine in enumerate(plan.machines):
        for k, row in enumerate(Naive(plan, machine).run()):
            out[:, m, k] = [row[name] for name in CHANNELS]
    return out
