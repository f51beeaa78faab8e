"""The lives of one machine once more: slow, cell by cell, in plain Python and double precision.

Written from the description of wear, injections, repair and alarms, so that a mistake in the compiled
walk does not repeat itself here. It shares the noise's addresses, the inputs and the physics with `naive`,
knows nothing of technicians (work begins as soon as the machine is free), and stops nowhere but at the
ends of its cells: whole hours, and the moments when something is switched by the plan or by people.

Losses alone are computed in single precision, as the kernel does: ageing is exponential in the temperature
that they make, so that their roundings would grow to seconds in a year.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field

import numpy as np
from naive import Machine, Naive, normal, uniform, words

from twin import physics, wear
from twin.catalog.models import AlarmRule, FailureMode
from twin.catalog.parameters import CHANNELS
from twin.plan import Injection, Plan, PlannedMachine

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MINUTE_US = 60_000_000
MONITOR = 10  # and 11: streams of the hourly means' noise
WOBBLE = 2**40  # the days' wobbles lie beyond the renewals
SHOWN_STEP, INJECTED_STEPS = wear.LEVEL_STEP, wear.INJECTED_STEPS  # choices, as the ranges of curvature are
PRIORITIES = ("low", "medium", "high", "critical")
ISO = {"I": (1.8, 4.5), "II": (2.8, 7.1), "III": (4.5, 11.2), "IV": (7.1, 18.0)}
MEAN_SD = {"temperature_c": 0.3, "kurtosis": 0.05}
MEAN_SHARE = {
    "vibration_g": 0.015,
    "vibration_mm_s": 0.015,
    "power_w": 0.005,
    "current_a": 0.005,
    "speed_rpm": 0.0005,
    "torque_nm": 0.005,
}


def stream_of(mode: str) -> int:
    """Return the stream of a mode's own noise: above all others, by its name."""
    return 0x80000000 | zlib.crc32(mode.encode())


class Part:
    """What wears in one failure mode: its ages in effective hours, and what they have made of it."""

    def __init__(self, plan: Plan, machine_id: int, mode: FailureMode) -> None:
        self.plan, self.machine_id, self.mode, self.law = plan, machine_id, mode, mode.wear
        self.stream = stream_of(mode.name)
        self.wears = plan.wear != "off" and self.law is not None
        self.renewal, self.owed, self.seen = 0, 0.0, 0.0
        self.fresh = True  # nothing of it is seen yet
        age = 0.0
        if self.wears and plan.wear == "used":
            assert self.law is not None
            age = 0.6 * self.law.life_h * uniform(words(plan.seed, machine_id, self.stream, WOBBLE - 1)[0])
        self.be_given(age, age, 0.0)
        if plan.wear == "used":
            self.base_age = 0.0

    def be_given(self, age: float, base_age: float, base_damage: float) -> None:
        """Get a life that exceeds the age, and a curvature."""
        self.age, self.base_age, self.base_damage = age, base_age, base_damage
        self.owed, self.fresh = 0.0, True
        self.life, self.curvature = math.inf, 1.0
        if self.wears:
            assert self.law is not None
            a, b, c, d = words(self.plan.seed, self.machine_id, self.stream, self.renewal)
            u = ((a << 20 | b >> 12) + 0.5) / 2.0**52
            hazard = (age / self.law.life_h) ** self.law.shape - math.log(u)  # that the life has used up at its end
            self.life = self.law.life_h * hazard ** (1.0 / self.law.shape)
            gradual, sudden = (wear.GRADUAL_LOW, wear.GRADUAL_HIGH), (wear.SUDDEN_LOW, wear.SUDDEN_HIGH)
            low, high = gradual if uniform(c) < self.law.gradual_share else sudden
            self.curvature = low * (high / low) ** uniform(d)

    def be_repaired(self, share: float) -> None:
        """Lose a share of age and damage (Kijima II), and get another life."""
        damage, age = self.damage(), (1.0 - share) * self.age
        self.renewal += 1
        self.be_given(age, age, (1.0 - share) * damage)

    def damage(self) -> float:
        """Return exponential growth from the damage at the base age to 1 at the life's end."""
        if not self.wears:
            return self.base_damage
        x, c = (self.age - self.base_age) / (self.life - self.base_age), self.curvature
        grown = math.exp(c * (x - 1.0)) * math.expm1(-c * x) / math.expm1(-c)
        return min(1.0, self.base_damage + (1.0 - self.base_damage) * grown)

    def look(self) -> None:
        """Let the damage be seen where it has grown by a step."""
        damage = self.damage()
        if self.fresh or damage >= min(1.0, self.seen + SHOWN_STEP) > self.seen:
            self.seen, self.fresh = damage, False

    def wobble(self, t_us: int) -> float:
        """Return how much faster or slower than usual the part wears on a day."""
        word = words(self.plan.seed, self.machine_id, self.stream, WOBBLE + t_us // DAY_US)[0]
        return 0.5 + uniform(word)


@dataclass
class Put:
    """An injection and what has become of it."""

    injection: Injection
    grown_h: float
    kept: float = 1.0
    frozen: bool = False

    @property
    def ttf_h(self) -> float | None:
        ttf_us = self.injection.time_to_failure_us
        return None if ttf_us is None else ttf_us / HOUR_US

    def active(self, t_us: int) -> bool:
        end_us = self.injection.end_us
        return self.injection.start_us <= t_us and (end_us is None or t_us < end_us)

    def level(self) -> float:
        start, ttf = self.injection.level, self.ttf_h
        return self.kept * (start if ttf is None else start + (1.0 - start) * min(1.0, self.grown_h / ttf))

    def left_h(self) -> float:
        """Return the hours of work until it is at full damage."""
        if self.kept < 1.0:
            return math.inf
        if self.injection.level >= 1.0 - 1e-12:
            return 0.0
        return math.inf if self.ttf_h is None or self.frozen else max(0.0, self.ttf_h - self.grown_h)

    def next_step_us(self, t_us: int) -> float:
        """Return when the level takes its next step where an hour would be too coarse."""
        if self.frozen or self.injection.time_to_failure_us is None or self.grown_h >= self.ttf_h:
            return math.inf
        step = max(1000, self.injection.time_to_failure_us // INJECTED_STEPS)
        if step >= HOUR_US:
            return math.inf
        return self.injection.start_us + ((t_us - self.injection.start_us) // step + 1) * step


@dataclass
class Job:
    """Work on the machine."""

    due_us: int
    duration_us: int
    action: str
    priority: str
    number: int
    corrective: bool = False
    attempt_us: int = 0

    def order(self) -> tuple[int, int, int]:
        return -PRIORITIES.index(self.priority), self.due_us, self.number


class Condition(Machine):
    """The machine under the levels that its signals follow."""

    shown: dict[str, float]

    def damage(self, t_us: int) -> dict[str, float]:
        return {mode: level for mode, level in self.shown.items() if level > 1e-6}


class Losses(Naive):
    """The formulas of the physics without its state; losses in single precision."""

    def __init__(self, plan: Plan, condition: Condition) -> None:
        self.plan, self.m, self.c = plan, condition, condition.c
        self.omega = self.c["rated_speed_rpm"] * 2 * math.pi / 60
        self.rated_torque = self.c["rated_power_w"] / self.omega

    def losses(self, load: float, speed: float, t_us: int) -> tuple[float, float]:
        """Return all that does not leave as useful work, and the part of it in the winding, W."""
        f, c = np.float32, self.c
        fraction, rated, omega = f(load), f(self.rated_torque), f(speed) * f(self.omega)
        friction = f(self.rated_torque * c["friction_fraction"]) * f(self.m.parameter("friction", t_us))
        winding_loss = f(self.m.parameter("winding_loss", t_us))
        torque = f(physics.torque(fraction, f(speed), rated, friction))
        share = f(physics.motor_loss_fraction(fraction, f(c["efficiency"]), winding_loss))
        power = f(physics.electric_power(torque, omega, share, f(c["idle_power_w"])))
        return float(power - fraction * rated * omega), float(torque * omega * share)

    def heat(self, load: float, speed: float, t_us: int) -> float:
        return self.losses(load, speed, t_us)[0]


@dataclass
class Story:
    """What happened to a machine."""

    failures: list[tuple[int, str, str]] = field(default_factory=list)  # time, mode, cause
    work: list[tuple[int, int, str]] = field(default_factory=list)  # begin, end, action
    alarms: list[tuple[int, str]] = field(default_factory=list)  # time, code
    truth: dict[int, tuple[str, dict[str, float]]] = field(default_factory=dict)  # time: state, damage


class NaiveLife:
    """The life of one machine of a plan, but for its technicians."""

    def __init__(self, plan: Plan, machine: PlannedMachine) -> None:
        self.plan, self.t_us = plan, plan.start_us
        self.condition = Condition(plan, machine)
        self.condition.shown = {}
        self.physics = Losses(plan, self.condition)
        self.type, self.id = plan.machine_types[machine.machine_type], machine.machine_id
        self.modes = dict(sorted(plan.failure_modes.items()))
        self.parts = {name: Part(plan, machine.machine_id, mode) for name, mode in self.modes.items()}
        own = [i for i in plan.injections if i.machine_id == self.id]
        own.sort(key=lambda i: (i.failure_mode, i.start_us, i.injection_id))
        self.puts = [Put(i, max(0, plan.start_us - i.start_us) / HOUR_US) for i in own]
        self.nominal = {"load": self.condition.c["nominal_load"]}
        healthy = self.physics.heat(self.nominal["load"], 1.0, self.t_us_of_nothing())
        self.nominal["housing"] = 22.0 + self.condition.c["thermal_resistance_k_per_w"] * healthy
        self.nominal["winding"] = self.nominal["housing"] + self.winding_k(self.nominal["load"], 1.0)
        self.healthy = self.physics.signals(
            self.nominal["load"], 1.0, self.nominal["housing"], 1.0, self.t_us_of_nothing()
        )
        self.state, self.failed_mode, self.resume_us, self.eager = "running", "", 0, True
        self.housing: float | None = None
        self.look_at = 0
        self.target, self.held, self.rated_until, self.rated_state = 0.0, (0.0, 0.0, 0.0), 0, ""
        self.drift = {name: self.physics.drift_before(name) for name in CHANNELS} if not self.modes else {}
        self.drift = self.drift or dict.fromkeys(CHANNELS, 0.0)
        self.raised: set[str] = set()
        self.jobs = [
            Job(max(t.scheduled_us, plan.start_us), t.duration_us, t.action, t.priority, n)
            for n, t in enumerate((t for t in plan.tasks if t.machine_id == self.id), start=1)
        ]
        self.jobs = self.jobs if plan.acting else []
        for job in self.jobs:
            job.attempt_us = whole_minute(job.due_us)
        self.numbers, self.current, self.free_us = 1000, None, 0
        self.story = Story()

    def t_us_of_nothing(self) -> int:
        """Return a time at which no scenario is active: before all."""
        return min([0, *(a for a, _, _ in self.condition.scenarios)]) - 1

    def winding_k(self, load: float, speed: float) -> float:
        """Return by how much the winding is warmer than the housing."""
        return self.condition.c["winding_resistance_k_per_w"] * self.physics.losses(load, speed, self.t_us)[1]

    def tau_h(self) -> float:
        return self.condition.c["housing_tau_s"] * self.condition.parameter("thermal_resistance", self.t_us) / 3600.0

    def rate(self, until_us: int) -> None:
        """Set duty and temperatures that hold until then, where the hour would end if nobody did anything."""
        t, asked, p = self.t_us, self.condition.asked(self.t_us), self.physics
        hours = (until_us - t) / HOUR_US
        load, speed = (max(0.0, x[0] + x[1] * hours * 1800.0) for x in (asked.load, asked.speed))
        ambient = asked.ambient[0] + asked.ambient[1] * hours * 1800.0
        self.target = ambient + (p.resistance(t) * p.heat(load, speed, t) if self.state == "running" else 0.0)
        self.housing = self.target if self.housing is None else self.housing
        away, tau_h = self.housing - self.target, self.tau_h()
        mean = self.target + away * (1.0 - math.exp(-hours / tau_h)) * tau_h / hours
        self.held = load, speed, mean + (self.winding_k(load, speed) if self.state == "running" else 0.0)
        self.rated_until, self.rated_state = until_us, self.state

    def warm(self, hours: float) -> None:
        """Let the lumped housing come nearer to where it goes; within a thousandth of a kelvin it is there."""
        assert self.housing is not None
        away = (self.housing - self.target) * math.exp(-hours / self.tau_h())
        self.housing = self.target + away if abs(away) > 1e-3 else self.target

    def rates(self, load: float, speed: float, winding_c: float) -> dict[str, tuple[float, float]]:
        """Return the effective hours that pass in an hour for each mode, and those owed to other modes."""
        found = {}
        for name, part in self.parts.items():
            law = part.law
            if not part.wears or law is None:
                continue
            a = {"ball": 3.0, "roller": 10.0 / 3.0}[self.type.bearing.kind]
            a = a if law.load_exponent == "bearing" else float(law.load_exponent)
            rate = (load / self.nominal["load"]) ** a * speed**law.speed_exponent * part.wobble(self.t_us)
            if law.doubling_k is not None:
                rate *= 2.0 ** ((winding_c - self.nominal["winding"]) / law.doubling_k)
            coupled = 1.0
            for other, gain in law.accelerated_by.items():
                coupled *= 1.0 + gain * self.condition.shown.get(other, 0.0)
            found[name] = rate * coupled, rate * (coupled - 1.0)
        return found

    def levels(self, worn: dict[str, float]) -> dict[str, float]:
        """Return the levels of the modes: the further of what has worn and what is injected."""
        levels = dict(worn)
        for put in self.puts:
            if put.active(self.t_us):
                mode = put.injection.failure_mode
                levels[mode] = max(levels[mode], put.level())
        return levels

    def look(self) -> None:
        """Let signals and rates follow the levels where these have moved by a step, or at all where it is time."""
        for part in self.parts.values():
            part.look()
        levels, shown = self.levels({n: p.seen for n, p in self.parts.items()}), self.condition.shown
        moves = [(abs(level - shown.get(mode, 0.0)), level) for mode, level in levels.items()]
        if any(by >= 0.999 * SHOWN_STEP or (by > 0.0 and (self.eager or level >= 1.0)) for by, level in moves):
            self.condition.shown, self.rated_until = levels, 0
        self.eager = False

    def limit(self, rule: AlarmRule) -> float:
        if rule.iso_zone is not None:
            return ISO[self.type.iso_class][("B/C", "C/D").index(rule.iso_zone)]
        assert rule.limit is not None
        return rule.limit * (self.healthy[rule.channel] if rule.relative else 1.0)

    def monitor(self, load: float, speed: float) -> None:
        """Look at the hour's means; raise and end alarms, and trip."""
        assert self.housing is not None
        t = self.t_us
        true = self.physics.signals(load, speed, self.housing, 1.0, t)
        noise = [w for stream in (MONITOR, MONITOR + 1) for w in words(self.plan.seed, self.id, stream, t)]
        seen = {}
        for name, word in zip(CHANNELS, noise, strict=True):
            gain, offset = (self.condition.parameter(f"{name}.{kind}", t) for kind in ("gain", "offset"))
            channel = self.plan.channels[name]
            clean = min(max(gain * (true[name] + self.drift[name]) + offset, channel.low), channel.high)
            spread = MEAN_SD.get(name, 0.0) + MEAN_SHARE.get(name, 0.0) * true[name]
            seen[name] = clean + spread * normal(word)
            if name != "temperature_c":
                seen[name] = max(0.0, seen[name])
        for rule in self.plan.alarm_rules.values():
            value, limit = seen[rule.channel], self.limit(rule)
            if value < limit * (1.0 - rule.hysteresis):
                self.raised.discard(rule.name)
            if value > limit and rule.name not in self.raised:
                self.raised.add(rule.name)
                self.story.alarms.append((t, rule.name))
                if rule.trip:
                    self.state, self.resume_us = "off", t + rule.trip_h * HOUR_US
                    self.raised.discard(rule.name)

    def begin_work(self) -> None:
        """Begin the most important work that is due, if the machine is free."""
        due = [job for job in self.jobs if job.attempt_us <= self.t_us and not self.halted(job.attempt_us)]
        if self.current is not None or not due:
            return
        job = min(due, key=Job.order)
        self.jobs.remove(job)
        self.current, self.begun_us, self.free_us = job, self.t_us, self.t_us + job.duration_us
        for other in self.jobs:
            other.attempt_us = max(other.attempt_us, whole_minute(self.free_us))
        self.state = "maintenance"

    def halted(self, t_us: int) -> bool:
        return self.plan.halt_us is not None and t_us >= self.plan.halt_us

    def end_work(self) -> None:
        job = self.current
        assert job is not None
        for name, share in sorted(self.plan.actions[job.action].restores.items()):
            if name not in self.parts or share <= 0.0:
                continue
            self.parts[name].be_repaired(share)
            for put in self.puts:
                if put.injection.failure_mode == name and put.active(self.t_us):
                    put.kept, put.frozen = put.kept * (1.0 - share), True
        self.story.work.append((self.begun_us, self.t_us, job.action))
        self.current, self.eager = None, True
        broken = {n for n, level in self.levels({n: p.damage() for n, p in self.parts.items()}).items() if level >= 1.0}
        if self.failed_mode in broken:
            self.state = "failed"
            return
        self.state, self.failed_mode = "running", ""
        self.jobs = [other for other in self.jobs if not other.corrective]

    def fail(self, mode: str, cause: str) -> None:
        if self.t_us >= self.plan.end_us:
            return
        self.state, self.failed_mode = "failed", mode
        self.story.failures.append((self.t_us, mode, cause))
        able = [a for a in self.plan.actions.values() if a.restores.get(mode, 0.0) > 0.0]
        if self.plan.acting and self.plan.corrective is not None and able:
            most = max(a.restores[mode] for a in able)  # the cheapest of those that restore nearly as much
            near = [a for a in able if a.restores[mode] >= 0.9 * most]
            best = min(near, key=lambda a: (a.parts_cost, a.duration_min, -a.restores[mode], a.name))
            due = self.t_us + self.plan.corrective.response_us
            self.numbers += 1
            job = Job(due, round(best.duration_min * 60e6), best.name, "critical", self.numbers, True)
            job.attempt_us = max(whole_minute(due), whole_minute(self.free_us))
            self.jobs.append(job)

    def live(self) -> Story:
        """Live to the end of the plan."""
        while self.t_us < self.plan.end_us:
            self.cell()
        return self.story

    def cell(self) -> None:
        """Live from here to where the hour is over or something is switched, or to a failure."""
        t = self.t_us
        if self.current is not None and t == self.free_us:
            self.end_work()
        if self.state == "off" and t >= self.resume_us:
            self.state = "running"
        self.begin_work()
        if t in self.condition.switches():
            self.eager, self.rated_until = True, 0
        if t >= self.look_at or self.eager:
            self.look()
        asked = self.condition.asked(t)
        moments = [(t // HOUR_US + 1) * HOUR_US, asked.until_us, *(s for s in self.condition.switches() if s > t)]
        if self.state == "running":
            moments += [put.next_step_us(t) for put in self.puts if put.active(t)]
        self.look_at = int(min(moments))  # not where a cell is cut because somebody might come
        if self.state == "running" and t % HOUR_US == 0 and self.housing is not None:
            self.monitor(max(0.0, asked.load[0]), asked.speed[0])
        end = min(self.ends(), asked.until_us)
        hours = (end - t) / HOUR_US
        if t >= self.rated_until or self.state != self.rated_state:
            self.rate(min((t // HOUR_US + 1) * HOUR_US, asked.until_us))
        load, speed, winding_c = self.held
        rates: dict[str, tuple[float, float]] = {}
        within, mode, cause = math.inf, "", ""
        if self.state == "running":
            rates = self.rates(load, speed, winding_c)
            within, mode, cause = self.next_failure(rates)
        if self.plan.truth_us is not None and t % self.plan.truth_us == 0 and within * HOUR_US >= 0.5:
            self.note()
        self.age(rates, min(hours, within))
        self.warm(min(hours, within))
        self.t_us = end
        if within <= hours:
            self.t_us = min(end, t + math.floor(within * HOUR_US + 0.5))
            self.fail(mode, self.wear_out(mode, cause))

    def age(self, rates: dict[str, tuple[float, float]], hours: float) -> None:
        """Let hours pass for parts and injections (none of work: no rates), and for instruments."""
        for name, (rate, owed) in rates.items():
            part = self.parts[name]
            part.age = min(part.life, part.age + rate * hours)
            part.owed += owed * hours
        for put in self.puts if self.state == "running" else ():
            if put.active(self.t_us) and not put.frozen:
                put.grown_h += hours
        for name in CHANNELS:
            per_day = self.condition.parameter(f"{name}.drift_per_day", self.t_us)
            self.drift[name] = self.drift[name] + per_day * hours / 24.0 if per_day != 0.0 else 0.0

    def wear_out(self, mode: str, cause: str) -> str:
        """Let a mode be at full damage, not a rounding short of it, and return the cause."""
        if cause == "wear":
            part = self.parts[mode]
            part.age = part.life
            return "secondary" if part.owed > wear.SECONDARY_SHARE * part.life else "wear"
        for put in self.puts:
            if put.injection.failure_mode == mode and put.ttf_h is not None and put.ttf_h - put.grown_h < 1e-6:
                put.grown_h = put.ttf_h
        return cause

    def ends(self) -> int:
        """Return where the cell ends, but for recordings."""
        plan, t = self.plan, self.t_us
        ends = [plan.end_us, (t // HOUR_US + 1) * HOUR_US, *(s for s in self.condition.switches() if s > t)]
        if self.current is not None:
            ends.append(self.free_us)
        else:
            ends += [job.attempt_us for job in self.jobs if job.attempt_us > t and not self.halted(job.attempt_us)]
        if self.state == "running":
            ends += [put.next_step_us(t) for put in self.puts if put.active(t)]
        return int(min(ends))

    def next_failure(self, rates: dict[str, tuple[float, float]]) -> tuple[float, str, str]:
        """Return in how many hours of work what fails first, and why: (inf, "", "") if nothing does."""
        found = [(math.inf, 0, "", "")]
        for n, (name, (rate, _)) in enumerate(rates.items()):
            if rate > 0.0 and self.modes[name].stops_machine:
                part = self.parts[name]
                found.append((max(0.0, (part.life - part.age) / rate), n, name, "wear"))
        for n, put in enumerate(self.puts, start=len(rates)):
            name = put.injection.failure_mode
            if put.active(self.t_us) and self.modes[name].stops_machine:
                found.append((put.left_h(), n, name, "injected"))
        within, _, name, cause = min(found)
        return within, name, cause

    def note(self) -> None:
        worn = {name: part.damage() for name, part in self.parts.items()}
        self.story.truth[self.t_us] = self.state, self.levels(worn)


def whole_minute(t_us: int) -> int:
    """Return the first whole minute that is not before a time."""
    return -(-t_us // MINUTE_US) * MINUTE_US


def lives(plan: Plan) -> dict[int, Story]:
    """Return what happens to each machine of a plan without technicians and policies."""
    return {machine.machine_id: NaiveLife(plan, machine).live() for machine in plan.machines}
