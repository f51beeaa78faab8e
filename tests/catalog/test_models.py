"""Effects, scenarios, failure modes and machine types: the checked form that all rows take."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from twin.catalog.checks import checked
from twin.catalog.loader import load_catalog
from twin.catalog.models import (
    Bearing,
    Channel,
    Effect,
    FailureMode,
    MachineType,
    MaintenanceAction,
    Profile,
    Scenario,
    scenario_from_inputs,
)
from twin.catalog.parameters import INPUTS, PARAMETERS
from twin.errors import BadRequest, UnknownName

CATALOG = load_catalog()
ROWS: list[BaseModel] = [
    row
    for table in (
        CATALOG.channels,
        CATALOG.machine_types,
        CATALOG.scenarios,
        CATALOG.failure_modes,
        CATALOG.maintenance_actions,
        CATALOG.technicians,
    )
    for row in table.values()
]


def refusal(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def mode_refusal(*effects: Any, **fields: Any) -> str:
    data = {"name": "wear", "category": "mechanical", "effects": effects, **fields}
    return refusal(checked, FailureMode, data, "failure mode 'wear'")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{type(row).__name__}-{next(iter(dict(row).values()))}")
def test_rows_pass_through_json_unchanged(row: BaseModel) -> None:
    again = type(row).model_validate_json(row.model_dump_json())
    assert again == row
    assert again.model_dump_json() == row.model_dump_json()


@pytest.mark.parametrize("row", ROWS[::7], ids=lambda row: type(row).__name__)
def test_rows_do_not_change(row: BaseModel) -> None:
    field = next(iter(type(row).model_fields))
    with pytest.raises(ValidationError):
        setattr(row, field, "another")


@given(st.data())
def test_scenarios_of_any_inputs_pass_through_json(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from([p.name for p in INPUTS]), unique=True))
    inputs = {name: data.draw(st.floats(PARAMETERS[name].low, PARAMETERS[name].high)) for name in names}
    scenario = scenario_from_inputs("Any", "of a test", data.draw(st.integers(0, 100)), **inputs)
    assert {effect.parameter: effect.value for effect in scenario.effects} == inputs
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


@given(st.sampled_from(sorted(PARAMETERS)), st.floats() | st.integers())
def test_values_out_of_range_never_pass(parameter: str, value: float) -> None:
    rule = PARAMETERS[parameter]
    fields = {"name": "X", "effects": [{"parameter": parameter, "value": value}]}
    if rule.low <= value <= rule.high:
        assert checked(Scenario, fields, "scenario 'X'").effects[0].value == value
    else:
        assert f"{parameter} must be between" in refusal(checked, Scenario, fields, "scenario 'X'")


def test_effects_fill_in_what_follows_from_their_parameter() -> None:
    effect = Effect(parameter="thermal_resistance", gain=0.8)
    assert (effect.layer, effect.op) == ("physics", "factor")
    assert Effect(parameter="load", value=0.4, layer="input", op="set") == Effect(parameter="load", value=0.4)


def test_effects_grow_with_the_damage() -> None:
    factor = Effect(parameter="thermal_resistance", gain=0.8)
    assert (factor.at(0.0), factor.at(1.0)) == (1.0, 1.8)
    assert factor.at(0.75) == pytest.approx(1.6)
    late = Effect(parameter="defect_g", gain=4.0, exponent=2.0)
    assert (late.at(0.0), late.at(0.5), late.at(1.0)) == (0.0, 1.0, 4.0)
    hump = Effect(parameter="impulsiveness", gain=10.0, shape="hump", peak=0.4)
    assert hump.at(0.4) == 10.0
    assert hump.at(0.0) == 0.0
    assert 0.0 < hump.at(1.0) < hump.at(0.7) < 10.0
    assert Effect(parameter="load", value=0.4).at(0.3) == 0.4


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1.51, 1e308, 10**400])
def test_inputs_that_are_no_number_in_range_are_refused(value: float) -> None:
    message = refusal(scenario_from_inputs, "X", load=value)
    assert message.startswith("scenario 'X': load must be between 0 and 1.5, got ")


def test_the_refusal_of_the_plan_reads_as_promised() -> None:
    said = "scenario 'X': load must be between 0 and 1.5, got nan"
    assert refusal(scenario_from_inputs, "X", load=math.nan) == said
    effect = {"parameter": "load", "value": math.nan}
    assert refusal(checked, Scenario, {"name": "X", "effects": [effect]}, "scenario 'X'") == said


@pytest.mark.parametrize("priority", [-1, 101, 10**30, 1.5, math.nan, "high", True, None])
def test_priorities_are_whole_numbers_to_100(priority: Any) -> None:
    assert "scenario 'X': priority " in refusal(scenario_from_inputs, "X", priority=priority)


def test_unknown_inputs_and_parameters_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="'lod'; did you mean 'load'"):
        scenario_from_inputs("X", lod=1.0)
    with pytest.raises(UnknownName, match="'frction'; did you mean 'friction'"):
        scenario_from_inputs("X", effects=[{"parameter": "frction", "value": 1.0}])
    with pytest.raises(UnknownName, match="unknown channel 'vibration'"):
        checked(Scenario, {"name": "X", "channels": ["vibration"]}, "scenario 'X'")
    assert "unknown input" in refusal(scenario_from_inputs, "X", friction=2.0)  # effects on the machine are rows


@pytest.mark.parametrize("effects", [3, "load", {"load": 1.0}, [3], ["load"], [None], [{}], [{"parameter": 5}]])
def test_what_is_no_list_of_effects_is_refused(effects: Any) -> None:
    assert refusal(scenario_from_inputs, "X", effects=effects).startswith("scenario 'X': ")


def test_layers_and_operations_that_disagree_with_the_parameter_are_refused() -> None:
    effect = {"parameter": "friction", "value": 2.0}
    assert "layer of friction must be 'physics'" in refusal(
        scenario_from_inputs, "X", effects=[{**effect, "layer": "input"}]
    )
    assert "op of friction must be 'factor'" in refusal(scenario_from_inputs, "X", effects=[{**effect, "op": "add"}])


def test_a_parameter_stands_once_in_a_scenario() -> None:
    assert "load stands twice" in refusal(
        scenario_from_inputs, "X", load=0.4, effects=[{"parameter": "load", "value": 0.5}]
    )
    profile = Profile(t_s=(0.0, 1.0), load=(0.1, 0.2))
    assert "set by the profile and by an effect" in refusal(scenario_from_inputs, "X", load=0.4, profile=profile)


def test_scenarios_have_values_and_failure_modes_gains() -> None:
    value, gain = {"parameter": "friction", "value": 2.0}, {"parameter": "friction", "gain": 2.0}
    assert "must have a value" in refusal(scenario_from_inputs, "X", effects=[gain])
    assert "must have a gain" in mode_refusal(value)
    assert "and not both" in mode_refusal({**value, **gain})
    assert "and not both" in mode_refusal({"parameter": "friction"})


def test_failure_modes_cannot_set_inputs() -> None:
    assert "cannot set load; use load_factor" in mode_refusal({"parameter": "load", "gain": 0.1})
    mode = checked(
        FailureMode,
        {"name": "wear", "category": "mechanical", "effects": [{"parameter": "load_factor", "gain": -0.2}]},
        "failure mode",
    )
    assert mode.title == "Wear"
    assert mode.effects[0].at(1.0) == pytest.approx(0.8)


@pytest.mark.parametrize("gain", [math.nan, math.inf, -math.inf, -0.91, 49.1, 1e300])
def test_gains_keep_the_parameter_in_range(gain: float) -> None:
    assert "gain of friction must be between -0.9 and 49" in mode_refusal({"parameter": "friction", "gain": gain})


@pytest.mark.parametrize(
    "change",
    [
        {"exponent": 0.0},
        {"exponent": math.inf},
        {"exponent": -1.0},
        {"peak": 0.0},
        {"peak": math.nan},
        {"shape": "step"},
    ],
)
def test_shapes_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    assert f"effects[0].{next(iter(change))} " in mode_refusal({"parameter": "friction", "gain": 1.0, **change})


def test_failure_modes_need_effects_a_category_and_a_proper_name() -> None:
    assert "effects must name at least one effect" in mode_refusal()
    effect = {"parameter": "friction", "gain": 1.0}
    assert "category should be 'mechanical', 'thermal', 'electrical' or 'sensor'" in mode_refusal(
        effect, category="bad"
    )
    assert "lower-case" in mode_refusal(effect, name="Belt wear'; DROP TABLE")
    assert "stands twice" in mode_refusal(effect, effect)


def test_detached_scenarios_keep_the_id_of_their_profile() -> None:
    scenario = CATALOG.scenarios["Stop-and-go duty cycle"]
    profile = scenario.profile
    assert profile is not None
    detached = scenario.detached()
    assert detached.profile is None
    assert detached.profile_id == scenario.profile_id == profile.sha256
    assert Scenario.model_validate_json(detached.model_dump_json()) == detached
    assert detached.attached(profile) == scenario
    other = Profile(t_s=(0.0, 1.0), load=(0.1, 0.2))
    assert "not the content hash" in refusal(detached.attached, other)


def test_bearing_frequencies_agree_with_the_makers_tables() -> None:
    bearing = CATALOG.machine_types["spindle"].bearing
    found = [round(f, 4) for f in (bearing.ftf, bearing.bpfo, bearing.bpfi, bearing.bsf)]
    assert found == [0.3983, 3.5848, 5.4152, 2.3567]
    assert bearing.bpfo + bearing.bpfi == pytest.approx(bearing.n_balls)
    assert bearing.n_balls * bearing.ftf == pytest.approx(bearing.bpfo)


def test_the_contact_angle_shortens_the_balls_reach() -> None:
    geometry = {"name": "ZA-2115", "n_balls": 16, "ball_d_mm": 8.4, "pitch_d_mm": 71.5}
    assert Bearing(**geometry, contact_deg=15.17).bpfo > Bearing(**geometry).bpfo
    assert "below pitch_d_mm" in refusal(checked, Bearing, {**geometry, "ball_d_mm": 71.5}, "bearing")
    assert "n_balls" in refusal(checked, Bearing, {**geometry, "n_balls": 2}, "bearing")


@pytest.mark.parametrize("field", [name for name, f in MachineType.model_fields.items() if f.annotation is float])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300, "1", None])
def test_constants_of_machine_types_are_checked(field: str, value: Any) -> None:
    data = {**CATALOG.default_machine_type.model_dump(), field: value}
    assert f"machine type: {field} " in refusal(checked, MachineType, data, "machine type")


def test_only_constants_vary_from_unit_to_unit() -> None:
    spindle = CATALOG.default_machine_type.model_dump()
    assert "unknown varying field 'default'" in refusal(
        checked, MachineType, {**spindle, "variation": {"default": 0.1}}, "t"
    )
    assert "variation" in refusal(checked, MachineType, {**spindle, "variation": {"imbalance_g": 0.5}}, "t")
    assert "efficiency must stay" in refusal(checked, MachineType, {**spindle, "variation": {"efficiency": 0.1}}, "t")


def test_channels_fit_into_32_bit_floats() -> None:
    channel = CATALOG.channels["power_w"]
    assert channel.resolution == 0.1
    assert "32-bit" in refusal(checked, Channel, {**channel.model_dump(), "high": 1e6}, "channel")
    assert "low must be below" in refusal(checked, Channel, {**channel.model_dump(), "low": 3e4}, "channel")
    assert "unknown channel" in refusal(checked, Channel, {**channel.model_dump(), "name": "power"}, "channel")


def test_restorations_are_shares() -> None:
    action = {"name": "grease", "duration_min": 30.0}
    assert checked(MaintenanceAction, action, "action").title == "Grease"
    for share in (-0.1, 1.1, math.nan):
        assert "restores" in refusal(checked, MaintenanceAction, {**action, "restores": {"wear": share}}, "action")
    assert "duration_min" in refusal(checked, MaintenanceAction, {**action, "duration_min": 0.0}, "action")


def test_the_catalog_is_cheap_to_import() -> None:
    code = "import sys, twin.catalog.loader, twin.times; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "pandas", "pyarrow", "numba", "duckdb"} & set(loaded) == set()
