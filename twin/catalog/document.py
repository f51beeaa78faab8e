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
    gain = _value(effect.gain or 0.0)
    return f"`{effect.parameter}` " + (f"x (1 + {gain} {shape})" if effect.op == "factor" else f"+ {gain} {shape}")


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
    "maintenance_actions": _action_rows,
    "inputs": lambda _: _parameter_rows((p.name, p) for p in INPUTS),
    "physics": lambda _: _parameter_rows((p.name, p) for p in PHYSICS),
    "sensors": _sensor_rows,
}
"""The tables by the names that the page's markers use."""


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(document(target.read_text("utf-8")), "utf-8")
