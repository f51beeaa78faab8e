"""The commands: what they print and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from twin import __version__
from twin.cli import cli, run_command
from twin.cli_output import plain, table
from twin.plant import Plant

Twin = Callable[..., Any]
ASKED = ("--start", "2026-01-05", "--end", "2026-01-05T01:00", "--interval", "1min", "--seed", "7")


def shell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twin.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environment)


def test_init_says_what_it_made_and_touches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "p.duckdb")
    assert run_command(["init", "--db", path, "--machines", "9", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["machines"], made["maintenance_tasks"], made["db"]) == (9, 10, path)
    assert run_command(["init", "--db", path]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run_command(["init", "--db", str(tmp_path / "e.duckdb"), "--empty"]) == 0
    assert "0 machines" in capsys.readouterr().out


def test_what_only_looks_does_not_create_a_plant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "absent.duckdb"
    for words in (["machine", "list"], ["digest", "1"], ["upcoming"]):
        assert run_command([*words, "--db", str(path)]) == 2
        assert f"twin init --db {path}" in capsys.readouterr().err
    assert not path.exists()


def test_simulate_creates_the_sample_plant_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "absent.duckdb"
    assert run_command(["simulate", *ASKED, "--db", str(path), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"] == 720
    assert printed.err == f"created the sample plant {path}\n"


def test_simulate_digest_replay_export(twin: Twin, tmp_path: Path) -> None:
    made = twin("simulate", *ASKED)
    assert made.keys() >= {"run_id", "rows", "seconds", "rows_per_s", "digest"}
    assert (made["run_id"], made["rows"], made["status"]) == (1, 720, "complete")
    assert (made["resumed"], made["reused"]) == (False, False)
    assert twin("simulate", *ASKED)["reused"]
    assert twin("simulate", *ASKED, "--new")["run_id"] == 2
    assert twin("digest", "1") == {"run_id": 1, "digest": made["digest"], "stored": made["digest"], "match": True}
    assert twin("replay", "latest", "--verify")["match"]
    files = twin("export", "--run", "1", "--format", "csv", "--out", str(tmp_path / "out"))
    telemetry = next(file for file in files if file["file"].endswith("telemetry.csv"))
    assert len(Path(telemetry["file"]).read_text().splitlines()) == 721
    twin("export", "--format", "json", "--layout", "five_tables", "--out", str(tmp_path / "five"))
    assert [run["digest"] for run in twin("runs", "list")] == [made["digest"]] * 2
    assert twin("runs", "show", "1")["interval"] == "60s"
    assert twin("runs", "rename", "1", "mine")["name"] == "mine"
    assert twin("runs", "delete", "latest") == {"deleted": 2}


def test_a_changed_row_is_noticed(twin: Twin, db: Path) -> None:
    from twin.store import Store

    twin("simulate", *ASKED)
    with Store.open(db).writing() as tx:
        tx.execute("UPDATE telemetry SET power_w = power_w + 0.1 WHERE machine_id = 1 AND ts = '2026-01-05 00:30:00'")
    status, line = _fails("digest", "1", db=db)
    assert status == 1
    assert "its rows now give" in line


def _fails(*words: str, db: Path) -> tuple[int, str]:
    done = shell(*words, "--db", str(db))
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_scenarios(twin: Twin) -> None:
    assert len(twin("scenario", "list")) == 8
    created = twin(
        "scenario", "create", "Night shift", "--set", "load=0.4", "--set", "ambient_c=15", "--priority", "20"
    )
    assert twin("scenario", "show", "Night shift") == created
    updated = twin("scenario", "update", "Night shift", "--rename", "Late", "--set", "load=0.5")
    assert [effect["value"] for effect in updated["effects"]] == [0.5]
    ids = twin("scenario", "activate", "Late", "--machines", "M-001,2", "--at", "2026-01-05T08:00")["activation_ids"]
    assert twin("scenario", "deactivate", "Late", "--machines", "2", "--at", "2026-01-06")["activation_ids"] == ids[1:]
    rows = twin("scenario", "activations", "--scenario", "Late", "--machine", "M-002")
    assert [row["end_at"] for row in rows] == ["2026-01-06T00:00:00Z"]
    assert twin("scenario", "delete", "Late")[0] == 2
    for number in ids:
        twin("scenario", "delete-activation", str(number))
    twin("scenario", "delete", "Late")


def test_failures(twin: Twin) -> None:
    twin("failure", "create", "belt_wear", "--category", "mechanical", "--channel", "power_w",
         "--effect", "friction=0.8", "--effect", "looseness=2,exponent=2",
         "--effect", "impulsiveness=3,peak=0.3")  # fmt: skip
    shown = twin("failure", "show", "belt_wear")
    assert [(e["shape"], e["exponent"], e["peak"]) for e in shown["effects"]] == [
        ("power", 1.0, 0.5),
        ("power", 2.0, 0.5),
        ("hump", 1.0, 0.3),
    ]
    assert twin("failure", "update", "belt_wear", "--title", "Belt")["title"] == "Belt"
    number = twin("failure", "inject", "belt_wear", "--machine", "M-003", "--severity", "high", "--at", "2026-01-05")
    assert number == {"injection_id": 1}
    twin("failure", "clear", "1", "--at", "2026-01-06")
    assert twin("failure", "injections", "--machine", "M-003")[0]["end_at"] == "2026-01-06T00:00:00Z"
    twin("failure", "inject", "sensor_drift", "--machine", "1", "--level", "0.4", "--at", "2026-01-05")
    twin("failure", "delete-injection", "1")
    twin("failure", "delete", "belt_wear")
    assert "belt_wear" not in [mode["name"] for mode in twin("failure", "list")]


def test_maintenance(twin: Twin) -> None:
    made = twin("maintenance", "schedule", "--machine", "M-012", "--action", "inspect", "--at", "2026-01-05T09:00",
                "--duration", "2h", "--priority", "critical", "--technician", "T-01", "--cost", "12.5")  # fmt: skip
    number = str(made["task_id"])
    assert twin("maintenance", "show", number)["duration_min"] == 120
    assert twin("maintenance", "update", number, "--notes", "soon", "--at", "2026-01-05T10:00")["notes"] == "soon"
    assert twin("maintenance", "assign", number, "T-02")["technician_id"] == "T-02"
    listed = twin("maintenance", "upcoming", "--within", "7d", "--now", "2026-01-05")
    assert str(listed[0]["task_id"]) == number
    assert twin("upcoming", "--within", "7d", "--now", "2026-01-05") == listed
    assert twin("maintenance", "start", number)["status"] == "in_progress"
    assert twin("maintenance", "complete", number)["status"] == "done"
    assert twin("maintenance", "cancel", "1")["status"] == "cancelled"
    assert [task["task_id"] for task in twin("maintenance", "list", "--status", "cancelled")] == [1]
    twin("maintenance", "delete", number)
    assert "lubricate" in [action["name"] for action in twin("maintenance", "actions")]


def test_machines_and_technicians(twin: Twin) -> None:
    assert twin("machine", "create", "M-100", "--type", "fan", "--location", "Roof")["machine_id"] == 13
    assert twin("machine", "update", "M-100", "--rename", "F-1", "--unit-seed", "3")["unit_seed"] == 3
    assert twin("machine", "show", "13")["name"] == "F-1"
    twin("machine", "delete", "F-1")
    assert len(twin("machine", "list")) == 12
    assert "spindle" in [kind["name"] for kind in twin("machine", "types")]
    made = twin("technician", "create", "T-09", "--name", "Eva Lind", "--skill", "electrical", "--hourly-cost", "50")
    assert twin("technician", "show", "T-09") == made
    assert twin("technician", "update", "T-09", "--name", "Eva Berg")["skills"] == ["electrical"]
    twin("technician", "delete", "T-09")
    assert len(twin("technician", "list")) == 4


def test_sql(twin: Twin) -> None:
    rows = twin("sql", "select name, scheduled_at from maintenance_tasks join machines using (machine_id) limit 1")
    assert rows == [{"name": "M-001", "scheduled_at": "2026-01-06T08:00:00Z"}]
    assert twin("sql", "drop table machines")[0] == 2
    assert twin("sql", "select 1 as a, 2 as a") == [{"a": 1, "a_1": 2}]
    assert twin("sql", "select map {'wear': 0.75} as damage") == [{"damage": {"wear": 0.75}}]
    assert twin("sql", "select sum(x) as n, 0.5 as part from (values (1), (2)) as t(x)") == [{"n": 3, "part": 0.5}]


@pytest.mark.parametrize("words", [[], ["scenario"]])
def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run_command(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "\nCommands:\n" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["simulate"], "Missing option '--start'"),
        (["simulate", "--start", "2026-01-06", "--end", "2026-01-05"], "end must be later"),
        (["simulate", *ASKED, "--machines", "M-001,,M-002"], "empty name"),
        (["simulate", *ASKED, "--machines", "M-999"], "unknown machine 'M-999'"),
        (["simulate", *ASKED, "--seed", "-1"], "seed must be"),
        (["simulate", *ASKED, "--profile", "nowhere.csv"], "nowhere.csv"),
        (["scenario", "create", "X", "--set", "load"], "NAME=NUMBER"),
        (["scenario", "create", "X", "--set", "load=nan"], "NAME=NUMBER"),
        (["scenario", "create", "X", "--set", "load=1", "--set", "load=1"], "twice"),
        (["scenario", "activate", "X", "--machines", "all", "--at", "2026-01-05"], "unknown scenario"),
        (["failure", "create", "x", "--category", "sensor", "--effect", "friction=1,colour=2"], "one of exponent=E"),
        (["failure", "inject", "sensor_drift", "--machine", "1", "--severity", "bad", "--at", "2026-01-05"],
         "unknown severity"),
        (["failure", "inject", "sensor_drift", "--machine", "1", "--severity", "low", "--at", "2026-01-05",
          "--progression", "progressive"], "needs a time_to_failure"),
        (["maintenance", "show", "99"], "unknown maintenance task"),
        (["maintenance", "schedule", "--machine", "1", "--action", "zz", "--at", "2026-01-05"], r"'zz'\. Known: align"),
        (["maintenance", "show", "x"], "not a valid integer"),
        (["digest", "99"], "no runs yet|unknown run"),
        (["replay", "latest", "--verify"], "no runs yet"),
        (["export", "--run", "5", "--out", "x"], "unknown run"),
    ],
)  # fmt: skip
def test_bad_requests_end_with_one_line_and_status_2(
    untouched: Plant, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    known = words[0] != "bogus"
    for extra in ([], ["--json"]) if known else ([],):
        assert run_command([*words, *(["--db", str(untouched.path)] if known else []), *extra]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert re.search(message, err)


def test_tables_are_printed_for_people(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = {"machine": "M-012", "scenario": "Idle standby", "failure": "sensor_stuck", "technician": "T-01"}
    for group, expected in groups.items():
        assert run_command([group, "list", "--db", str(db)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert any(expected in line for line in lines)
        assert max(map(len, lines)) < 200
    assert run_command(["machine", "show", "M-001", "--db", str(db)]) == 0
    assert "machine_type" in capsys.readouterr().out
    assert run_command(["runs", "list", "--db", str(db)]) == 0
    assert capsys.readouterr().out == "(none)\n"


def test_an_internal_error_is_one_line_too(
    db: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.delenv("TWIN_DEBUG", raising=False)
    monkeypatch.setattr("twin.plant_machines.MachineCollection.rows", broken)
    assert run_command(["machine", "list", "--db", str(db)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("TWIN_DEBUG", "1")
    with pytest.raises(RuntimeError):
        run_command(["machine", "list", "--db", str(db)])


def test_the_program_itself(tmp_path: Path) -> None:
    assert shell("--version").stdout == f"twin, version {__version__}\n"
    done = shell("machine", "list", TWIN_DB=str(tmp_path / "none.duckdb"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert shell("scenario").returncode == 2


def test_help_and_simulate_load_neither_bokeh_nor_the_notebook(db: Path) -> None:
    code = (
        "import sys; from twin.cli import run_command; s = run_command({words!r});"
        "print(s, sorted({{n.split('.')[0] for n in sys.modules}} & set({heavy!r})), file=sys.stderr)"
    )
    heavy = ["bokeh", "IPython", "ipywidgets", "papermill"]
    for words, banned in ((["--help"], [*heavy, "pandas", "numpy", "duckdb", "numba", "pydantic"]),
                          (["simulate", *ASKED, "--db", str(db)], heavy)):  # fmt: skip
        line = code.format(words=words, heavy=banned)
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == "0 []"


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_the_same_command_resumes_it(db: Path) -> None:
    asked = ["simulate", "--db", str(db), "--start", "2026-01-01", "--end", "2026-01-21", "--seed", "3", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "twin.cli", *asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    plant = Plant.open(db)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        rows = plant.runs.rows()
        if rows and rows[0]["committed_rows"]:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert "same command" in err
    assert plant.runs.row(1)["status"] == "interrupted"
    done = shell(*asked)
    assert done.returncode == 0
    record = json.loads(done.stdout)
    assert (record["run_id"], record["resumed"], record["status"]) == (1, True, "complete")
    assert plant.runs.get(1).recomputed_digest() == record["digest"]


def test_every_command_has_help() -> None:
    def walk(command: click.Command, path: list[str]) -> list[list[str]]:
        context = click.Context(command)
        names = command.list_commands(context) if isinstance(command, click.Group) else []
        children = [(name, command.get_command(context, name)) for name in names]
        return [path] + [found for name, child in children for found in walk(child, [*path, name])]

    for path in walk(cli, []):
        result = CliRunner().invoke(cli, [*path, "--help"])
        assert result.exit_code == 0
        assert len(result.output.splitlines()) > 4


def test_values_and_tables() -> None:
    import numpy as np

    assert plain({"a": float("nan"), "b": np.float32(1.5), "c": (1, None)}) == {"a": None, "b": 1.5, "c": [1, None]}
    assert table([]) == "(none)"
    assert table([{"a": 1, "b": "x"}, {"a": 10, "b": None}]) == " a  b\n 1  x\n10  -"


@pytest.mark.parametrize("words", [["init"], ["machine", "list"], ["simulate", *ASKED]])
def test_a_path_that_no_file_can_have_is_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run_command([*words, "--db", "x" * 5000]) == 2
    err = capsys.readouterr().err
    assert "File name too long; choose another place" in err
    assert len(err) < 200


def test_an_export_goes_nowhere_without_a_directory_and_says_when_the_run_is_incomplete(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert run_command(["export", "--db", str(db), "--out", ""]) == 2
    assert set(tmp_path.iterdir()) == before
    plant = Plant.open(db)
    run = plant.simulate(*ASKED[1:4:2], interval="1min", progress=False)
    assert run_command(["export", "--db", str(db), "--out", str(tmp_path / "whole")]) == 0
    assert "note" not in capsys.readouterr().err
    plant.store.update("runs", run.id, {"status": "interrupted"})
    for words in ([], ["--run", "latest"]):
        assert run_command(["export", "--db", str(db), "--out", str(tmp_path / "part"), *words]) == 0
        assert f"note: run {run.id} is interrupted: 720 of 720 rows" in capsys.readouterr().err
