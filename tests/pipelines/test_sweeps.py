"""Sweeps of functions: each run once, whatever goes wrong, and the same results whoever does them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import runner, sweep
from pipelines.executors import LocalPool, executor_of
from pipelines.output import Output, Unwritable
from pipelines.reading import tidy
from pipelines.runner import Summary, prepare
from pipelines.worker import found
from twin.cli import run_command
from twin.errors import BadRequest, InUse, StoreFault, TwinError
from twin.plant import Plant
from twin.store.experiments import ExperimentWriter, Finished, definitions_text, is_alive, write_snapshot

Digests = Callable[[Path], dict[str, str]]


def quiet(experiment: Any, db: Path, **options: Any) -> Summary:
    return sweep(experiment, db, progress=False, **options)


def errors(db: Path) -> dict[str, str]:
    rows = Plant.open(db).sql_rows("select parameters->>'what' as what, status, error from experiment_runs")
    return {row["what"]: row["error"] for row in rows if row["status"] == "failed"}


@pytest.mark.slow
def test_results_do_not_depend_on_who_does_the_runs_or_in_which_order(
    db: Path, spin: dict[str, Any], tmp_path: Path, in_order: Callable[..., Any], digests: Digests
) -> None:
    seen = []
    for name, options in {
        "in order": {"executor": in_order()},
        "shuffled": {"executor": in_order(shuffle=1)},
        "one": {"workers": 1},
        "two": {"workers": 2},
        "url": {"executor": in_order(), "out": f"file://{tmp_path}/somewhere else"},
        "no shared files": {"executor": in_order(), "out": f"memory://{tmp_path.name}"},
    }.items():
        own = Path(shutil.copy(db, tmp_path / f"{name}.duckdb"))
        summary = quiet(spin, own, **options)
        assert (summary.complete, summary.failed, summary.done_now) == (12, 0, 12), name
        seen.append(digests(own))
    assert len(seen[0]) == 12 * 5
    assert all(other == seen[0] for other in seen)


def test_each_run_has_a_folder_that_says_what_it_did(db: Path, spin: dict[str, Any], in_order: Any) -> None:
    quiet(spin, db, executor=in_order())
    home = db.with_suffix(".sweeps") / "spin"
    prepared = prepare(spin, db)
    assert {p.name for p in (home / "runs").iterdir()} == set(prepared.run_ids)
    assert not list(home.rglob("*.part"))
    for name, parameters in zip(prepared.run_ids, prepared.parameters, strict=True):
        folder = home / "runs" / name
        results = json.loads((folder / "results.json").read_text())
        mark = json.loads((folder / "complete.json").read_text())
        assert results["parameters"] == mark["parameters"] == parameters
        assert results["results"]["x2"] == parameters["x"] ** 2
        assert set(mark["files"]) == {"results.json", "tables/curve.parquet"}
        outcome = found(Output(str(home)), name)
        assert outcome is not None
        assert outcome.digest == mark["digest"]
    torn = home / "runs" / prepared.run_ids[0] / "results.json"
    torn.write_bytes(torn.read_bytes()[:-1])
    assert found(Output(str(home)), prepared.run_ids[0]) is None


def test_only_what_is_not_done_is_done(db: Path, spin: dict[str, Any], in_order: Any) -> None:
    first, second = in_order(), in_order()
    assert quiet(spin, db, executor=first).done_now == 12
    assert quiet(spin, db, executor=second).done_now == 0
    more = spin | {"seeds": {"count": 4}}
    summary = quiet(more, db, executor=second)
    assert (summary.runs, summary.complete, summary.done_now) == (16, 16, 4)
    assert {task.parameters["seed"] for task in second.tasks} == {4}


def test_a_changed_parameter_makes_new_runs_and_keeps_the_old_ones(
    db: Path, spin: dict[str, Any], in_order: Any
) -> None:
    quiet(spin, db, executor=in_order())
    folders = {p: p.stat().st_mtime_ns for p in (db.with_suffix(".sweeps") / "spin" / "runs").rglob("*.json")}
    quiet(spin | {"fixed": {"rounds": 10}}, db, executor=in_order())
    assert {p: p.stat().st_mtime_ns for p in folders} == folders
    plant = Plant.open(db)
    row = plant.store.rows("experiment_progress")[0]
    assert (row["runs"], row["complete"], row["earlier"]) == (12, 12, 12)
    assert len(tidy(plant.store, "spin")) == 12
    assert plant.store.count("experiment_values") == 12 * 5


def test_values_of_every_kind_arrive_as_they_are(db: Path, in_order: Any, twin: Any) -> None:
    values = [None, True, 0, -1, 2**60, 0.1, 1e300, "", "Grüße, 世界 '\"\\\n", [1, [None, "a"]], {"a": {"b": [1.5]}}]
    quiet({"name": "echo", "function": "sweep_jobs:echo", "grid": {"value": values}}, db, executor=in_order())
    plant = Plant.open(db)
    told = tidy(plant.store, "echo")
    assert [json.loads(text) for text in told["text"]] == values
    assert list(told["value"]) == values
    del twin


@pytest.mark.slow
def test_runs_that_go_wrong_stop_nobody_and_say_why(db: Path, tmp_path: Path) -> None:
    flag = str(tmp_path / "flag")
    experiment = {
        "name": "moods",
        "function": "sweep_jobs:moody",
        "runs": [
            {"what": "raise"}, {"what": "exit"}, {"what": "hang"}, {"what": "keep silent"}, {"what": "fine"},
            {"what": "die", "flag": flag},
        ],
        "returns": ["number"],
        "timeout_s": 3,
    }  # fmt: skip
    summary = quiet(experiment, db, workers=2)
    assert (summary.complete, summary.failed) == (2, 4)  # the one that died once was tried again
    assert errors(db) == {
        "raise": "ValueError: no such luck",
        "exit": "the worker died (exit status 3); so it did 3 times",
        "hang": "took longer than 3 s and was ended",
        "keep silent": "the run did not return number; it returned nothing",
    }
    home = db.with_suffix(".sweeps") / "moods" / "runs"
    assert [p.read_text().splitlines()[-2:] for p in home.glob("*/traceback.txt")] == [
        ["ValueError: no such luck", "second line"]
    ]
    assert {p.read_text() for p in home.glob("*/log.txt")} >= {"in the mood to raise\n", "in the mood to fine\n"}
    assert "no such luck" in (home.parent / "index.html").read_text()


def test_failed_runs_are_tried_again_when_asked(db: Path, tmp_path: Path, in_order: Any) -> None:
    runs = [{"what": "raise", "flag": str(tmp_path / f"flag{i}"), "number": i} for i in range(3)]
    experiment = {"name": "moods", "function": "sweep_jobs:moody", "runs": runs}
    assert quiet(experiment, db, executor=in_order()).failed == 3
    assert quiet(experiment, db, executor=in_order()).done_now == 0
    summary = quiet(experiment, db, executor=in_order(), retry_failed=True)
    assert (summary.complete, summary.failed, summary.done_now) == (3, 0, 3)
    attempts = Plant.open(db).sql_rows("select attempts, error from experiment_runs")
    assert attempts == [{"attempts": 2, "error": None}] * 3
    home = db.with_suffix(".sweeps") / "moods"
    assert len(list(home.rglob("traceback.txt"))) == 3  # of the first try
    assert "traceback" not in (home / "index.html").read_text()


def test_what_was_published_but_never_merged_is_only_merged(
    db: Path, spin: dict[str, Any], tmp_path: Path, in_order: Any, digests: Digests
) -> None:
    other = Path(shutil.copy(db, tmp_path / "other.duckdb"))
    quiet(spin, db, executor=in_order(), out=str(tmp_path / "out"))
    summary = quiet(spin, other, executor=in_order(), out=str(tmp_path / "out"))
    assert (summary.complete, summary.done_now) == (12, 0)
    assert digests(other) == digests(db)


def test_merging_twice_changes_nothing(db: Path, spin: dict[str, Any], in_order: Any, digests: Digests) -> None:
    quiet(spin, db, executor=in_order())
    before = digests(db)
    store = Plant.open(db).store
    run = store.rows("experiment_runs")[0]
    writer = ExperimentWriter(store)
    again = Finished(run["run_id"], "complete", {"x2": -1.0}, None, "other", 1.0, 1, 1, 2, {})
    assert writer.merge([again, again]) == []
    assert writer.merge([Finished("unknown", "complete", {}, None, None, 0.0, 0, 0, 0, {})]) == []
    writer.close()
    assert digests(db) == before


def test_a_run_goes_in_whole_or_not_at_all(db: Path, spin: dict[str, Any], in_order: Any) -> None:
    crew = in_order()
    quiet(spin, db, executor=crew)
    store = Plant.open(db).store
    with store.writing() as tx:
        tx.execute("UPDATE experiment_runs SET status = 'pending'")
        tx.execute("DELETE FROM experiment_results")
    writer = ExperimentWriter(store)
    names = [run["run_id"] for run in store.rows("experiment_runs")]
    whole = [Finished(name, "complete", {"x2": 1.0}, None, "d", 1.0, 1, 1, 2, {}) for name in names]
    with pytest.raises(Exception, match="."):
        writer.merge([*whole[:3], Finished(names[3], "no such status", {}, None, None, 0, 0, 0, 0, {})])
    assert store.count("experiment_results") == 0
    assert store.count("experiment_runs", {"status": "complete"}) == 0
    assert len(writer.merge(whole)) == 12
    writer.close()


def test_claims_of_the_dead_are_free_and_those_of_the_living_are_not(
    db: Path, spin: dict[str, Any], in_order: Any
) -> None:
    quiet(spin, db, executor=in_order())
    store = Plant.open(db).store
    with store.writing() as tx:
        tx.execute("UPDATE experiment_runs SET status = 'pending'")
    living, dead, other = (ExperimentWriter(store) for _ in range(3))
    same = prepare(spin, db).hashes
    assert other.claim(1, 100, same | {"template_sha256": "another"}) == []
    assert len(living.claim(1, 5, same)) == 5
    assert len(dead.claim(1, 5, same)) == 5
    dead.close()
    assert is_alive(living.runner)
    assert not is_alive(dead.runner)
    assert len(other.claim(1, 100, same)) == 7
    assert other.claim(1, 100, same) == []
    with pytest.raises(InUse, match="is being carried out"):
        other.remove("spin")
    living.give_back()
    assert len(other.claim(1, 100, same)) == 5
    other.close()
    living.close()
    host, pid, started, mark = living.runner.rsplit(" ", 3)
    assert not is_alive(f"{host} {pid} {float(started) - 100:.2f} {mark}")
    assert not is_alive(f"elsewhere {pid} {started} {mark}")


def test_a_sweep_does_no_runs_of_another_template(
    db: Path, spin: dict[str, Any], in_order: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes the template and asks again while a sweep is under way: its process knows only the old one."""
    (tmp_path / "jobs_a.py").write_text("def f(x=0):\n    return {'who': 'a', 'x': x}\n")
    (tmp_path / "jobs_b.py").write_text("def f(x=0):\n    return {'who': 'b', 'x': x}\n")
    monkeypatch.syspath_prepend(tmp_path)
    asked = {"name": "spin", "grid": {"x": list(range(20))}}
    second = in_order()

    def change(number: int) -> None:
        if number == 3:
            changed = prepare(asked | {"function": "jobs_b:f"}, db)
            writer = ExperimentWriter(changed.store)
            writer.register(*runner._rows(changed))
            writer.close()

    first = quiet(asked | {"function": "jobs_a:f"}, db, executor=in_order(before=change))
    assert (first.complete, first.failed) == (20, 0)  # all were claimed before
    after = quiet(asked | {"function": "jobs_b:f"}, db, executor=second)
    assert (after.complete, after.done_now) == (20, 20)
    table = tidy(Plant.open(db).store, "spin")
    assert set(table["who"]) == {"b"}


def test_runs_that_are_under_way_are_not_asked_for_again(db: Path, spin: dict[str, Any], in_order: Any) -> None:
    quiet(spin, db, executor=in_order())
    prepared = prepare(spin, db)
    one, two, *_ = prepared.run_ids
    with pytest.raises(BadRequest, match="has no run '../../inputs'"):
        quiet(spin, db, executor=in_order(), again=[one, "../../inputs"])
    assert found(prepared.output, one) is not None  # nothing was taken away
    other = ExperimentWriter(prepared.store)
    other.ask_again(1, [two])
    assert [run["run_id"] for run in other.claim(1, 1, prepared.hashes)] == [two]
    with pytest.raises(InUse, match=f"run {two} is being carried out"):
        quiet(spin, db, executor=in_order(), again=[two])
    other.close()
    assert quiet(spin, db, executor=in_order(), again=[one, two]).done_now == 2


def test_an_output_folder_is_found_from_elsewhere(
    db: Path, spin: dict[str, Any], in_order: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quiet(spin, db, executor=in_order(), out="somewhere")
    assert Plant.open(db).store.rows("experiments")[0]["output_url"] == str(tmp_path / "somewhere")


def test_an_unknown_executor_is_refused_before_anything_starts(db: Path, spin: dict[str, Any]) -> None:
    for name in ("ray", "dask://", ""):
        with pytest.raises(BadRequest, match="unknown executor"):
            quiet(spin, db, executor=name)
    assert Plant.open(db).store.count("experiments") == 0
    assert not db.with_suffix(".sweeps").exists()


def test_the_index_lists_what_varies_and_all_runs_though_it_reads_them_in_pages(
    db: Path, spin: dict[str, Any], in_order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.reading._PAGE", 5)
    quiet(spin, db, executor=in_order())
    page = (db.with_suffix(".sweeps") / "spin" / "index.html").read_text()
    assert re.findall(r"<h2>(\d+)\. (\d), ([\d.]+)</h2>", page) == [
        (str(3 * i + seed), str(seed), str(x)) for i, x in enumerate((0.5, 1.5, 2.5, 3.5)) for seed in (1, 2, 3)
    ]
    assert re.findall(r'<select name="(\w+)">', page) == ["seed", "x"]
    assert page.count("<option") == 2 + 4 + 3
    assert "12 runs of sweep_jobs:spin: 12 complete" in page
    assert page.count("<dt>x2</dt>") == 12


def test_workers_have_a_copy_of_the_plant_without_runs(db: Path, tmp_path: Path, in_order: Any) -> None:
    plant = Plant.open(db)
    plant.simulate("2026-01-05", "2026-01-06", "1h", progress=False)
    write_snapshot(plant.store, tmp_path / "copy.duckdb")
    copy = Plant.open(tmp_path / "copy.duckdb")
    assert copy.counts() == plant.counts()
    assert len(copy.runs) == 0
    assert definitions_text(copy.store) == definitions_text(plant.store)
    quiet({"name": "rows", "function": "sweep_jobs:count_rows"}, db, executor=in_order())
    assert dict(tidy(plant.store, "rows").iloc[0][list(plant.counts())]) == plant.counts()


def test_an_output_location_that_refuses_stops_the_sweep_in_one_line(
    db: Path, spin: dict[str, Any], tmp_path: Path, in_order: Any
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFault, match=r"^cannot write into .*file/below: Not a directory; .*--out"):
        quiet(spin, db, executor=in_order(), out=str(tmp_path / "file" / "below"))
    with pytest.raises(BadRequest, match="cannot use the output location"):
        quiet(spin, db, executor=in_order(), out="nosuchprotocol://x")
    assert Plant.open(db).store.count("experiments") == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_stops_the_sweep_and_it_resumes(
    db: Path, spin: dict[str, Any], small_disk: Path, in_order: Any, digests: Digests, tmp_path: Path
) -> None:
    ballast = small_disk / "ballast"

    def fill(number: int) -> None:
        if number == 3:
            ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free))

    once = spin | {"expect_run_mb": 0.01}
    with pytest.raises(Unwritable, match="No space left on device") as error:
        quiet(once, db, executor=in_order(before=fill), out=str(small_disk / "out"))
    assert "\n" not in str(error.value)
    done = Plant.open(db).store.rows("experiment_progress")[0]
    assert (done["complete"], done["failed"], done["running"]) == (3, 0, 0)
    ballast.unlink()
    assert quiet(once, db, executor=in_order(), out=str(small_disk / "out")).complete == 12
    other = Path(shutil.copy(tmp_path / "plant.duckdb", tmp_path / "other.duckdb"))
    with pytest.raises(StoreFault, match=r"need about 12\.000 GB, but .* free"):
        quiet(once | {"expect_run_mb": 1000, "name": "big"}, other, executor=in_order(), out=str(small_disk / "big"))


@pytest.mark.slow
def test_memory_of_a_worker_stays_flat(db: Path) -> None:
    quiet({"name": "memory", "function": "sweep_jobs:memory", "grid": {"i": list(range(400))}}, db, workers=1)
    table = tidy(Plant.open(db).store, "memory")
    assert table["pid"].nunique() == 1
    assert table["rss"][380:].mean() - table["rss"][40:60].mean() < 8e6


def test_executors_have_names() -> None:
    with pytest.raises(BadRequest, match="unknown executor 'ray'; known: local, dask, dask://HOST:PORT"):
        executor_of("ray", 1)
    pool = executor_of("local", 1)
    assert isinstance(pool, LocalPool)
    pool.close()


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_a_fault_of_one_line(
    db: Path, spin: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.executors.CONNECT_S", 1.0)
    with pytest.raises(TwinError, match=r"^there is no Dask scheduler at tcp://127\.0\.0\.1:9") as error:
        quiet(spin, db, executor="dask://127.0.0.1:9")
    assert "\n" not in str(error.value)
    assert Plant.open(db).store.rows("experiment_progress")[0]["running"] == 0


@pytest.mark.slow
def test_the_command_line_from_dry_run_to_removal(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_DB", str(db))
    path = tmp_path / "moods.toml"
    flag = tmp_path / "flag"
    path.write_text(
        'name = "moods"\nfunction = "sweep_jobs:moody"\nreturns = ["number"]\n'
        f'[[runs]]\nnumber = 1\n[[runs]]\nnumber = 2\n[[runs]]\nnumber = 3\nwhat = "raise"\nflag = "{flag}"\n'
    )

    def run(*words: str, status: int = 0) -> list[Any]:
        assert run_command([*words, "--json"]) == status
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    (dry,) = run("sweep", str(path), "--dry-run")
    assert dry["estimate"]["left"] == 3
    assert dry["estimate"]["by"] == "what the experiment expects of a run"
    assert not (tmp_path / "plant.sweeps").exists()
    assert run("experiments", "list") == [[]]

    lines = run("sweep", str(path), "--workers", "1", status=1)
    assert [line["event"] for line in lines] == ["start", "run", "run", "run", "end"]
    assert [line["done"] for line in lines[:4]] == [0, 1, 2, 2]
    assert lines[3]["error"] == "ValueError: no such luck"
    assert (lines[4]["complete"], lines[4]["failed"]) == (2, 1)

    (shown,) = run("experiments", "show", "moods")
    assert shown["failures"][0]["error"] == "ValueError: no such luck"
    assert run("experiments", "rerun", "moods", "--workers", "1")[-1]["complete"] == 3
    first = run("experiments", "table", "moods")[0][0]["run_id"]
    assert run("experiments", "rerun", "moods", "--workers", "1", "--run", first)[-1]["done_now"] == 1
    assert run("experiments", "rerun", "moods", "--run", "0000", status=2) == []
    assert run("sweep", str(path), "--dry-run")[0]["estimate"]["by"] == "the mean of 3 runs"
    (rows,) = run("experiments", "table", "moods", "--columns", "number,status")
    assert rows[0] == {"number": 1, "status": "complete"}
    assert run("experiments", "table", "moods", "--columns", "nope", status=2) == []
    assert run("experiments", "table", "nothing", status=2) == []

    assert run_command(["experiments", "table", "moods"]) == 0
    assert "number" in capsys.readouterr().out
    assert run("experiments", "remove", "moods", "--files", "delete")[0]["removed"] == "moods"
    assert not (tmp_path / "plant.sweeps" / "moods").exists()
    assert run("experiments", "list") == [[]]
    assert os.listdir(tmp_path / "plant.sweeps") == []


def test_the_kernel_is_compiled_once_for_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from pipelines import worker

    compiled: list[Path] = []
    monkeypatch.setattr("twin.cache.folder", lambda: str(tmp_path))
    monkeypatch.setattr(worker, "_compile", compiled.append)
    with ThreadPoolExecutor(4) as crew:
        list(crew.map(worker.warm_up.__wrapped__, [tmp_path / "plant.duckdb"] * 8))
    assert compiled == [tmp_path / "plant.duckdb"]
