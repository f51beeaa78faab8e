"""Creating and opening: whole or not at all, and clear words for whatever is not a plant."""

from __future__ import annotations

import lzma
import os
from collections.abc import Callable
from pathlib import Path

import chunks
import duckdb
import pytest

from twin.errors import BadRequest, NotAPlant, StoreFault
from twin.store import SCHEMA_VERSION, Store, Transaction
from twin.store.schema import KEYS, RUN_TABLES, RUN_VIEWS

Processes = Callable[..., chunks.Child]
as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_plant_is_created_with_its_directories(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "plant.duckdb"
    assert not Store.exists(path)
    Store.create(path)
    assert Store.exists(path)
    assert os.listdir(path.parent) == ["plant.duckdb"]
    assert Store.open(path).names("plant_info", "key") == ["schema_version"]


def test_a_plant_is_not_created_over_something(plant: Path) -> None:
    before = plant.read_bytes()
    for path, words in ((plant, "already"), (plant.parent, "is a directory"), (plant / "below", "")):
        with pytest.raises((BadRequest, StoreFault)) as error:
            Store.create(path)
        assert words in one_line(error)
    assert plant.read_bytes() == before


@pytest.mark.parametrize("mishap", [ZeroDivisionError, KeyboardInterrupt, BadRequest])
def test_a_plant_that_cannot_be_filled_does_not_appear(tmp_path: Path, mishap: type[BaseException]) -> None:
    def fill(tx: Transaction) -> None:
        tx.insert("plant_info", {"key": "a", "value": "b"})
        raise mishap

    with pytest.raises(mishap):
        Store.create(tmp_path / "plant.duckdb", fill)
    assert os.listdir(tmp_path) == []


def test_the_log_of_a_lost_plant_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "plant.duckdb.wal").write_bytes(b"log")
    with pytest.raises(BadRequest, match=r"plant\.duckdb\.wal belongs to a plant"):
        Store.create(tmp_path / "plant.duckdb")


def test_one_of_several_creators_wins(tmp_path: Path, processes: Processes) -> None:
    path = tmp_path / "contested.duckdb"
    creators = [processes("create", path) for _ in range(2)]
    assert [creator.line() for creator in creators] == ["ready"] * 2
    for creator in creators:
        assert creator.process.stdin is not None
        creator.process.stdin.write("go\n")
        creator.process.stdin.flush()
    told = sorted(line.split()[0] for creator in creators for line in creator.rest())
    assert told == ["BadRequest", "created"]
    assert sorted(os.listdir(tmp_path)) == ["contested.duckdb", "plant.duckdb"]
    assert Store.open(path).count("machines") == 0


@pytest.mark.parametrize("content", [b"", b"hello\n", b"SQLite format 3\0" + bytes(5000), bytes(100_000)])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_not_a_plant_is_refused_and_kept(tmp_path: Path, content: bytes, read_only: bool) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(NotAPlant, match="not a plant"):
        Store.open(path, read_only)
    assert path.read_bytes() == content


@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_file_is_refused(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(NotAPlant, match="there is no plant at .* create one with `twin init"):
        Store.open(tmp_path / "missing.duckdb", read_only)
    with pytest.raises(NotAPlant, match="is a directory"):
        Store.open(tmp_path, read_only)
    assert os.listdir(tmp_path) == []


def test_another_database_is_not_a_plant(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(path) as con:
        con.execute("CREATE TABLE plant_info (key VARCHAR, worth VARCHAR)")
    with pytest.raises(NotAPlant, match="not a plant"):
        Store.open(path)


def test_a_newer_schema_is_refused(plant: Path) -> None:
    with duckdb.connect(plant) as con:
        con.execute("UPDATE plant_info SET value = '7' WHERE key = 'schema_version'")
    with pytest.raises(NotAPlant) as error:
        Store.open(plant)
    assert f"made by a newer pdm-twin (schema 7; this one reads up to {SCHEMA_VERSION}): upgrade" in one_line(error)


def test_a_damaged_plant_is_a_fault_of_one_line(plant: Path) -> None:
    whole = plant.read_bytes()
    plant.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((StoreFault, NotAPlant)) as error:
        Store.open(plant).rows("machines")
    one_line(error)


def test_a_read_only_plant_is_read_and_not_written(plant: Path) -> None:
    store = Store.open(plant, read_only=True)
    assert store.count("machines") == 2
    for change in (
        lambda: store.insert("machines", {"name": "x", "machine_type": "pump", "unit_seed": 1}),
        lambda: store.delete("machines", 1),
        lambda: store.run_writer(1),
        lambda: store.create_run("{}", "0" * 64, 1, 0, 10, 1, 1, 10),
    ):
        with pytest.raises(BadRequest, match="reading only"):
            change()


def test_plants_are_the_same_through_any_path(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = plant.with_name("link.duckdb")
    link.symlink_to(plant)
    monkeypatch.chdir(plant.parent)
    other = Store.open("plant.duckdb")
    with Store.open(link).writing() as tx:
        tx.update("machines", 1, {"location": "here"})
        assert other.get("machines", 1)["location"] == "here"  # the same thread, the same transaction


def test_an_unwritable_place_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(StoreFault) as error:
        Store.create("/proc/nowhere/plant.duckdb")
    assert "cannot write /proc/nowhere" in one_line(error)


@as_root
def test_another_user_reads_and_does_not_write(plant: Path, processes: Processes) -> None:
    for part in (plant.parent, *plant.parent.parents):
        if part.stat().st_uid == 0 and part != Path(part.anchor):
            part.chmod(part.stat().st_mode | 0o011)
    plant.chmod(0o644)
    before = set(os.listdir(plant.parent))
    assert processes("as_nobody", "read", plant).rest() == ["opened 2"]
    assert processes("as_nobody", "write", plant).rest()[0].startswith("StoreFault cannot write")
    told = processes("as_nobody", "create", plant.with_name("new.duckdb")).rest()
    assert len(told) == 1
    assert told[0].startswith("StoreFault cannot write")
    assert set(os.listdir(plant.parent)) == before


def test_a_plant_of_the_first_schema_is_brought_up_to_date_with_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "v1.duckdb"
    path.write_bytes(lzma.decompress(Path(__file__).with_name("plant_v1.duckdb.xz").read_bytes()))
    with pytest.raises(NotAPlant, match="open it once for writing"):
        Store.open(path, read_only=True)
    store = Store.open(path)
    assert store.get("plant_info", "schema_version")["value"] == str(SCHEMA_VERSION)
    assert store.count("machines") == 8
    assert store.count("telemetry") == 80
    modes = {row["name"]: row["definition"] for row in store.rows("failure_modes")}
    assert modes["belt_wear"].get("wear") is None  # a user's own row stays as it is
    assert modes["bearing_degradation"]["wear"]["life_h"] > 0.0
    assert store.get("technicians", "T-01")["shift_end_h"] == 24.0
    assert store.count("alarm_rules") > 0
    fresh = Store.create(tmp_path / "fresh.duckdb")
    with store.reading() as old, fresh.reading() as new:
        for table in (*KEYS, *RUN_TABLES, *RUN_VIEWS):
            assert {c.name: c.type for c in old.columns(table).values()} == {
                c.name: c.type for c in new.columns(table).values()
            }
    assert Store.open(path, read_only=True).count("runs") == 1
