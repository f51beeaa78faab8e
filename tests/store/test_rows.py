"""Rows in, rows out: checked names, bound values, references, and nothing by halves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.catalog.loader import load_catalog
from twin.catalog.models import Effect, Profile, Scenario
from twin.errors import BadRequest, InUse, UnknownName
from twin.store import Store
from twin.store.values import micros

NOON = 1_767_268_800_000_000  # 2026-01-01 12:00
MACHINE = {"name": "M-100", "machine_type": "pump", "unit_seed": 5}


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def activate(store: Store, machine_id: int = 1, **more: Any) -> int:
    return store.insert(
        "scenario_activations", {"scenario_id": 2, "machine_id": machine_id, "start_at": NOON, "end_at": None} | more
    )


def test_a_row_comes_back_as_it_was_given(store: Store) -> None:
    key = store.insert("machines", MACHINE)
    assert store.get("machines", key) == {
        "machine_id": 3,
        "location": "",
        "description": "",
        "commissioned_at": None,
        **MACHINE,
    }
    store.update("machines", key, {"location": "hall 2"})
    assert store.find("machines", location="hall 2")["name"] == "M-100"
    store.delete("machines", key)
    assert store.get("machines", key) is None


def test_times_are_microseconds_in_rows_and_datetimes_in_frames(store: Store) -> None:
    activate(store)
    activate(store, start_at=datetime(2026, 1, 1, 13, tzinfo=UTC))
    assert [row["start_at"] for row in store.rows("scenario_activations")] == [NOON, NOON + 3_600_000_000]
    assert store.rows("scenario_activations", {"start_at >": NOON})[0]["activation_id"] == 2
    frame = store.frame("scenario_activations")
    assert str(frame["start_at"].dtype) == "datetime64[us]"
    assert frame["end_at"].isna().all()


def test_conditions_choose_rows(store: Store) -> None:
    assert store.names("machines") == ["M-001", "M-002"]
    assert [r["machine_id"] for r in store.rows("machines", {"name": ["M-002", "M-009"]})] == [2]
    assert store.rows("machines", {"name": []}) == []
    assert store.count("machines", {"commissioned_at": None}) == 2
    assert store.count("machines", {"commissioned_at !=": None}) == 0
    assert [r["name"] for r in store.rows("machines", order_by=["machine_type", "name DESC"])] == ["M-002", "M-001"]
    assert list(store.frame("machines", columns=["name", "machine_id"]).columns) == ["name", "machine_id"]


def test_json_goes_in_and_out_as_objects(store: Store) -> None:
    row = store.find("scenarios", name="High load manufacturing")
    assert row["definition"]["name"] == "High load manufacturing"
    assert row["builtin"] is True


def test_numbers_are_never_given_out_twice(store: Store) -> None:
    first = activate(store)
    second = activate(store)
    store.delete("scenario_activations", second)
    store.delete("scenario_activations", first)
    assert activate(store) == 3
    assert activate(store, activation_id=10) == 10
    assert activate(store) == 11


def test_a_named_key_must_be_new(store: Store) -> None:
    with pytest.raises(BadRequest, match="already taken"):
        store.insert("technicians", {"technician_id": "T-01", "name": "x", "skills": [], "hourly_cost": 1.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "M-001"}, "already taken"),
        ({"name": ""}, "must satisfy"),
        ({"name": "x" * 10_000}, "must satisfy"),
        ({"name": None}, "missing"),
        ({"machine_type": "pumpe"}, "did you mean 'pump'"),
        ({"unit_seed": -1}, "must satisfy"),
        ({"unit_seed": float("nan")}, "finite"),
        ({"unit_seed": float("inf")}, "finite"),
        ({"unit_seed": 2**70}, ""),
        ({"unit_seed": "many"}, ""),
        ({"machine_id": 40_000}, ""),
        ({"machine_id": 0}, "must satisfy"),
        ({"commissioned_at": "yesterday"}, "must be a time"),
        ({"size": 1}, "unknown column"),
        ({'name"; DROP TABLE machines; --': 1}, "unknown column"),
    ],
)
def test_a_bad_row_is_refused_in_one_line_and_nothing_is_kept(store: Store, change: dict[str, Any], words: str) -> None:
    before = store.rows("machines")
    with pytest.raises(BadRequest) as error:
        store.insert_many("machines", [MACHINE, MACHINE | {"name": "M-101"} | change])
    assert words in one_line(error)
    assert store.rows("machines") == before


def test_enumerations_name_their_values(store: Store) -> None:
    row = {"failure_mode_id": 1, "machine_id": 1, "severity": "hgih", "level": 0.5, "start_at": NOON}
    with pytest.raises(UnknownName, match=r"did you mean 'high'.*low, medium, high, critical"):
        store.insert("failure_injections", row)


def test_spans_must_not_be_reversed(store: Store) -> None:
    with pytest.raises(BadRequest, match="end_at"):
        activate(store, end_at=NOON)
    assert store.count("scenario_activations") == 0


def test_unknown_tables_columns_and_rows_are_named(store: Store) -> None:
    for call in (
        lambda: store.rows("machine"),
        lambda: store.rows("machines", {"nam": 1}),
        lambda: store.rows("machines", order_by="nam"),
        lambda: store.rows("machines", order_by="name; DROP TABLE machines"),
        lambda: store.frame("machines", columns=["nam"]),
        lambda: store.update("machines", 99, {"location": "x"}),
        lambda: store.delete("machines", 99),
        lambda: store.get("telemetry", 1),
    ):
        with pytest.raises(UnknownName) as error:
            call()
        assert one_line(error).startswith("unknown ")


def test_a_key_stays(store: Store) -> None:
    with pytest.raises(BadRequest, match="cannot be changed"):
        store.update("machines", 1, {"machine_id": 9})


def test_what_is_in_use_is_not_deleted(store: Store) -> None:
    activate(store)
    activate(store)
    with pytest.raises(InUse) as error:
        store.delete("machines", 1)
    assert "scenario_activations 1, 2" in one_line(error)
    assert store.references("machines", 2) == []
    with pytest.raises(InUse, match=r"machines 1 \(M-001\), 2 \(M-002\)"):
        store.delete("machine_types", "spindle")
    with pytest.raises(InUse, match=r"maintenance_actions .*replace_bearing"):
        store.delete("failure_modes", store.find("failure_modes", name="bearing_degradation")["failure_mode_id"])
    store.update("machines", 1, {"name": "renamed while in use"})


def test_many_users_are_counted(store: Store) -> None:
    with store.writing():
        for _ in range(8):
            activate(store)
    assert store.references("machines", 1) == ["scenario_activations 1, 2, 3, 4, 5 and 3 more"]


def test_a_machine_of_a_stored_run_is_in_use(store: Store) -> None:
    plan = '{"machines":[{"machine_id":2}],"scenarios":{}}'
    store.create_run(plan, "a" * 64, 1, NOON, NOON + 10, 1, 1, 10)
    assert store.references("machines", 2) == ["runs 1"]
    store.delete("machines", 1)


def test_references_must_exist(store: Store) -> None:
    with pytest.raises(UnknownName, match="unknown machine_id of scenario_activations 77"):
        activate(store, 77)
    key = activate(store)
    with pytest.raises(UnknownName, match="unknown scenario_id"):
        store.update("scenario_activations", key, {"scenario_id": 500})


def test_several_changes_are_one_transaction(store: Store) -> None:
    def half() -> None:
        with store.writing() as tx:
            tx.insert("machines", MACHINE)
            store.insert("machines", MACHINE | {"name": "M-101"})  # joins the transaction of its thread
            assert store.count("machines") == 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert store.count("machines") == 2
    with store.writing() as tx:
        key = tx.insert("machines", MACHINE)
        activation = activate(store, key)
        tx.delete("scenario_activations", activation)
        tx.delete("machines", key)
        assert tx.insert("machines", MACHINE) == key + 1
    assert store.count("machines") == 3


def test_reading_does_not_write(store: Store) -> None:
    with store.reading() as tx:
        with pytest.raises(BadRequest, match="reading only"):
            tx.insert("machines", MACHINE)
        with pytest.raises(RuntimeError), store.writing():
            pass
    assert store.count("machines") == 2


def test_the_catalog_is_loaded_once(store: Store) -> None:
    catalog = load_catalog()
    before = {table: store.rows(table) for table in ("scenarios", "failure_modes", "technicians", "profiles")}
    with store.writing() as tx:
        tx.load_catalog(catalog, technicians=True)
    assert {table: store.rows(table) for table in before} == before
    assert store.names("scenarios") == list(catalog.scenarios)
    with store.reading() as tx:
        for row in tx.rows("scenarios"):
            assert tx.read_scenario(row) == catalog.scenarios[row["name"]]


def test_profiles_are_stored_once_and_come_back(store: Store) -> None:
    rng = np.random.default_rng(1)
    profile = Profile(
        name="p", t_s=tuple(range(5000)), load=tuple(rng.random(5000).tolist()), interpolation="linear", at_end="end"
    )
    scenario = Scenario(name="Recorded", profile=profile, effects=(Effect(parameter="ambient_c", value=10.0),))
    before = store.count("profiles")
    with store.writing() as tx:
        key = tx.add_scenario(scenario)
        assert tx.save_profile(profile) == profile.sha256
    assert store.count("profiles") == before + 1
    with store.reading() as tx:
        assert tx.load_profile(profile.sha256) == profile
        assert tx.read_scenario(tx.get("scenarios", key)) == scenario
        with pytest.raises(UnknownName):
            tx.load_profile("0" * 64)
    with pytest.raises(InUse, match="scenarios"):
        store.delete("profiles", profile.sha256)
    store.delete("scenarios", key)
    store.delete("profiles", profile.sha256)
    assert store.count("profile_points", {"profile_id": profile.sha256}) == 0


def test_what_acts_and_what_is_due(store: Store) -> None:
    activate(store, end_at=NOON + 1_000_000)
    store.insert(
        "failure_injections",
        {"failure_mode_id": 1, "machine_id": 2, "severity": "high", "level": 0.75, "start_at": NOON},
    )
    assert list(store.active_at(NOON)["kind"]) == ["scenario", "failure"]
    assert list(store.active_at(NOON + 1_000_000)["kind"]) == ["failure"]
    assert store.active_at(NOON, 1)["machine"].tolist() == ["M-001"]
    task = {
        "machine_id": 1,
        "task_type": "preventive",
        "action": "lubricate",
        "duration_min": 30.0,
        "created_at": NOON,
        "updated_at": NOON,
    }
    for hours, status in ((-1, "planned"), (1, "planned"), (2, "done"), (3, "in_progress"), (50, "planned")):
        store.insert("maintenance_tasks", task | {"scheduled_at": NOON + hours * 3_600_000_000, "status": status})
    due = store.upcoming(NOON, NOON + 24 * 3_600_000_000)
    assert due["status"].tolist() == ["overdue", "planned", "in_progress"]
    assert store.upcoming(NOON, NOON + 24 * 3_600_000_000, 2).empty


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_microseconds_are_exact(moment: datetime) -> None:
    whole = micros(moment)
    assert micros(moment.replace(tzinfo=UTC)) == whole
    assert np.datetime64(moment, "us") == np.datetime64(whole, "us")
