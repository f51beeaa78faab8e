"""The catalog's tables as Markdown, for docs/catalog.md: a test holds the page to the rows.

``python -m twin.catalog.document docs/catalog.md`` writes them into the page anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from twin.catalog.loader import Catalog, load_catalog
from twin.catalog.models import Effect, Scenario
from twin.catalog.parameters import CHANNELS, INPUTS, PARAMETERS, PHYSICS, SENSOR_KINDS, SEVERITIES, Parameter
from twin.catalog.wear import ISO_ZONES_MM_S, AlarmRule, Wear

_PART = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def document(page: str) -> str:
    """Return a page with the tables between its markers (``<!-- table: NAME -->``) written anew."""
    catalog = load_catalog()
    return _PART.sub(lambda part: f"{part[1]}\n{TABLES[part[2]](catalog)}\n\n{part[3]}", page)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _value(number: float) -> str:
    return f"{number:.6g}"


def _channels(names: Sequence[str]) -> str:
    if len(names) == len(CHANNELS):
        return "all"
    return ", ".join(f"`{name}`" for name in names) or "none"


def _scenario_effect(effect: Effect) -> str:
    sign = {"set": "=", "factor": "x", "add": "+"}[effect.op]
    return f"`{effect.parameter}` {sign} {_value(effect.value or 0.0)}"


def _scenario_effects(scenario: Scenario) -> str:
    parts = [_scenario_effect(effect) for effect in scenario.effects]
    profile = scenario.profile
    if profile is not None:
        followed = ", ".join(f"`{name}`" for name in profile.columns)
        parts.append(f"profile of {_value(profile.period_s)} s: {followed}")
    return "; ".join(parts)


def _mode_effect(effect: Effect) -> str:
    if effect.shape == "hump":
        shape = f"hump at {_value(effect.peak)}"
    else:
        shape = "D" if effect.exponent == 1.0 else f"D^{_value(effect.exponent)}"
    gain = effect.gain or 0.0
    grown = f"{'-' if gain < 0.0 else '+'} {_value(abs(gain))} {shape}"
    return f"`{effect.parameter}` " + (f"x (1 {grown})" if effect.op == "factor" else grown)


def _channel_rows(catalog: Catalog) -> str:
    rows = [
        (
            f"`{c.name}`",
            c.unit,
            _value(c.resolution),
            _value(c.noise_sd) + (f" + {_value(100 * c.noise_fraction)} %" if c.noise_fraction else ""),
            f"{_value(c.low)} to {_value(c.high)}",
            c.description,
        )
        for c in catalog.channels.values()
    ]
    return _table(("channel", "unit", "resolution", "noise (sd)", "range", "what"), rows)


def _machine_type_rows(catalog: Catalog) -> str:
    rows = [
        (
            f"`{m.name}`" + (" (default)" if m.default else ""),
            f"{m.title}: {m.description}",
            f"{_value(m.rated_power_w)} W, {_value(m.rated_speed_rpm)} rpm",
            _value(m.nominal_load),
            f"{_value(m.thermal_resistance_k_per_w)} K/W, {_value(m.housing_tau_s / 60.0)} min",
            m.bearing.name,
        )
        for m in catalog.machine_types.values()
    ]
    return _table(("type", "what", "rated", "nominal load", "housing", "bearing"), rows)


def _bearing_rows(catalog: Catalog) -> str:
    bearings = {m.bearing.name: m.bearing for m in catalog.machine_types.values()}
    rows = [
        (
            b.name,
            f"{b.n_balls} {b.kind}s",
            _value(b.ball_d_mm),
            _value(b.pitch_d_mm),
            _value(b.contact_deg),
            *(f"{frequency:.4f}" for frequency in (b.ftf, b.bpfo, b.bpfi, b.bsf)),
        )
        for b in bearings.values()
    ]
    return _table(("bearing", "elements", "d mm", "D mm", "contact deg", "FTF", "BPFO", "BPFI", "BSF"), rows)


def _source_rows(catalog: Catalog) -> str:
    return _table(("type", "sources"), [(f"`{m.name}`", m.source) for m in catalog.machine_types.values()])


def _scenario_rows(catalog: Catalog) -> str:
    rows = [
        (s.name, s.description, s.priority, _scenario_effects(s), _channels(s.channels))
        for s in catalog.scenarios.values()
    ]
    return _table(("scenario", "what", "priority", "effects", "channels moved"), rows)


def _mode_rows(catalog: Catalog) -> str:
    rows = [
        (f"`{m.name}`", m.category, m.description, "; ".join(map(_mode_effect, m.effects)), _channels(m.channels))
        for m in catalog.failure_modes.values()
    ]
    return _table(("failure mode", "category", "what", "effects at damage D", "channels moved"), rows)


def _wear_rows(catalog: Catalog) -> str:
    rows = [
        (
            f"`{m.name}`",
            _value(m.wear.shape),
            f"{m.wear.life_h:,.0f} h",
            _rate(m.wear),
            ", ".join(f"`{other}` x {_value(1.0 + gain)}" for other, gain in m.wear.accelerated_by.items())
            or "nothing",
            f"{_value(100 * m.wear.gradual_share)} %",
        )
        for m in catalog.failure_modes.values()
        if m.wear is not None
    ]
    return _table(("failure mode", "shape", "life", "rate", "faster with", "gradual"), rows)


def _rate(wear: Wear) -> str:
    """Return what the rate of effective time goes with."""
    parts = []
    if wear.load_exponent == "bearing":
        parts.append("load^3 (balls) or load^10/3 (rollers)")
    elif wear.load_exponent:
        parts.append(_power("load", float(wear.load_exponent)))
    if wear.speed_exponent:
        parts.append(_power("speed", wear.speed_exponent))
    if wear.doubling_k is not None:
        parts.append(f"doubles for {_value(wear.doubling_k)} K")
    return "; ".join(parts) or "running time"


def _power(name: str, exponent: float) -> str:
    return name if exponent == 1.0 else f"{name}^{_value(exponent)}"


def _alarm_rows(catalog: Catalog) -> str:
    rows = [
        (
            f"`{r.name}`",
            r.description,
            f"`{r.channel}`",
            _limit(r),
            f"{_value(100 * r.hysteresis)} %",
            r.level + (f", stops the machine for {r.trip_h} h" if r.trip else ""),
        )
        for r in catalog.alarm_rules.values()
    ]
    return _table(("alarm", "what", "channel", "above", "ends below by", "level"), rows)


def _limit(rule: AlarmRule) -> str:
    if rule.limit is None:
        return f"zone limit {rule.iso_zone} of ISO 10816-1"
    return f"{_value(rule.limit)} x healthy" if rule.relative else _value(rule.limit)


def _zone_rows(_: Catalog) -> str:
    names = next(iter(ISO_ZONES_MM_S.values()))
    rows = [(name, *(_value(zones[limit]) for limit in names)) for name, zones in ISO_ZONES_MM_S.items()]
    return _table(("class", *(f"{limit} mm/s" for limit in names)), rows)


def _technician_rows(catalog: Catalog) -> str:
    rows = [
        (
            f"`{t.technician_id}`",
            t.name,
            ", ".join(t.skills),
            _value(t.hourly_cost),
            ", ".join(_DAYS[int(day) - 1] for day in t.weekdays),
            f"{_clock(t.shift_start_h)} to {_clock(t.shift_end_h)}",
        )
        for t in catalog.technicians.values()
    ]
    return _table(("technician", "name", "skills", "cost of an hour", "days", "begins work (UTC)"), rows)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _clock(hours: float) -> str:
    return f"{int(hours):02d}:{round(hours % 1 * 60):02d}"


def _action_rows(catalog: Catalog) -> str:
    rows = [
        (
            f"`{a.name}`",
            a.description,
            ", ".join(f"`{mode}` {_value(100 * share)} %" for mode, share in a.restores.items()) or "nothing",
            f"{_value(a.duration_min)} min",
            _value(a.parts_cost),
            a.skill,
        )
        for a in catalog.maintenance_actions.values()
    ]
    return _table(("action", "what", "restores", "duration", "parts", "skill"), rows)


def _severity_rows(_: Catalog) -> str:
    return _table(("severity", "damage D"), [(f"`{name}`", level) for name, level in SEVERITIES.items()])


def _parameter_rows(parameters: Iterable[tuple[str, Parameter]]) -> str:
    rows = [
        (f"`{name}`", p.op, p.unit, f"{_value(p.low)} to {_value(p.high)}", p.description) for name, p in parameters
    ]
    return _table(("parameter", "op", "unit", "range", "what"), rows)


def _sensor_rows(_: Catalog) -> str:
    return _parameter_rows((f"CHANNEL.{kind}", PARAMETERS[f"{CHANNELS[0]}.{kind}"]) for kind in SENSOR_KINDS)


TABLES: dict[str, Callable[[Catalog], str]] = {
    "channels": _channel_rows,
    "machine_types": _machine_type_rows,
    "bearings": _bearing_rows,
    "sources": _source_rows,
    "scenarios": _scenario_rows,
    "failure_modes": _mode_rows,
    "severities": _severity_rows,
    "wear": _wear_rows,
    "alarm_rules": _alarm_rows,
    "iso_zones": _zone_rows,
    "technicians": _technician_rows,
    "maintenance_actions": _action_rows,
    "inputs": lambda _: _parameter_rows((p.name, p) for p in INPUTS),
    "physics": lambda _: _parameter_rows((p.name, p) for p in PHYSICS),
    "sensors": _sensor_rows,
}
"""The tables by the names that the page's markers use."""


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(document(target.read_text("utf-8")), "utf-8")
