"""What an experiment may say, and what runs come of it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.experiment import SHIPPED, Experiment
from pipelines.grid import count, points, refuse_too_many
from pipelines.identity import code_sha256
from pipelines.runner import prepare
from twin.errors import BadRequest
from twin.plant import Plant

ECHO = {"name": "e", "function": "sweep_jobs:echo"}


def refused(source: Any, db: Path | None = None) -> str:
    with pytest.raises(BadRequest) as error:
        prepare(source, db) if db is not None else Experiment.of(source)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_experiments_of_the_project_are_sound(path: Path, small_plant: Path) -> None:
    prepared = prepare(path, Plant.open(small_plant, read_only=True), out="memory://nowhere")
    assert prepared.experiment.name == path.stem
    assert len(prepared.run_ids) == count(prepared.experiment) > 1
    assert prepare(path.stem, Plant.open(small_plant), out="memory://nowhere").run_ids == prepared.run_ids


def test_runs_are_all_combinations_and_the_seed_runs_fastest() -> None:
    asked = Experiment.of(
        ECHO
        | {"fixed": {"a": 1}, "grid": {"b": [1, 2], "c": ["x", "y"]}, "runs": [{"d": 1}, {"e": 2}], "seeds": [5, 7]}
    )
    made = list(points(asked))
    assert count(asked) == len(made) == 16
    assert made[0] == {"a": 1, "b": 1, "c": "x", "d": 1, "seed": 5}
    assert made[1] == {"a": 1, "b": 1, "c": "x", "d": 1, "seed": 7}
    assert made[-1] == {"a": 1, "b": 2, "c": "y", "e": 2, "seed": 7}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_samples_of_whole_numbers_reach_both_bounds_and_nothing_beyond(scale: str) -> None:
    span = {"low": 1, "high": 4, "integer": True, "scale": scale}
    made = list(points(Experiment.of(ECHO | {"sample": {"count": 1000, "ranges": {"value": span}}})))
    counted = [sum(point["value"] == number for point in made) for number in (1, 2, 3, 4)]
    assert sum(counted) == 1000
    assert counted[0] == pytest.approx(250 if scale == "linear" else 1000 * math.log(2) / math.log(5), abs=2)


def test_an_experiment_without_a_grid_is_one_run() -> None:
    assert list(points(Experiment.of(ECHO))) == [{}]
    assert list(points(Experiment.of(ECHO | {"grid": {}}))) == [{}]


def test_a_latin_hypercube_has_one_sample_in_each_slice_and_is_repeatable() -> None:
    ranges = {"u": {"low": 0, "high": 10}, "k": {"low": 1, "high": 3, "integer": True},
              "w": {"low": 0.01, "high": 100, "scale": "log"}, "m": ["p", "q"]}  # fmt: skip
    sample = {"method": "latin_hypercube", "count": 20, "seed": 3, "ranges": ranges}
    made = list(points(Experiment.of(ECHO | {"sample": sample})))
    assert sorted(int(p["u"] * 2) for p in made) == list(range(20))
    assert {p["k"] for p in made} == {1, 2, 3}
    assert sum(p["w"] < 1.0 for p in made) == 10
    assert sorted(p["m"] for p in made) == ["p"] * 10 + ["q"] * 10
    assert made == list(points(Experiment.of(ECHO | {"sample": sample})))
    other = list(points(Experiment.of(ECHO | {"sample": sample | {"seed": 4}})))
    free = list(points(Experiment.of(ECHO | {"sample": sample | {"method": "random"}})))
    assert made != other != free != made
    assert json.loads(json.dumps(free)) == free


def test_ten_thousand_and_one_runs_are_refused_unless_asked_for(db: Path) -> None:
    many = ECHO | {"grid": {"value": list(range(73))}, "seeds": {"count": 137}}
    asked = Experiment.of(many)
    assert count(asked) == 10_001
    with pytest.raises(BadRequest, match=r"asks for 10,001 runs, more than 10,000: .* --max-runs 10001$"):
        refuse_too_many(asked)
    assert refuse_too_many(asked, 10_001) == 10_001
    huge = ECHO | {"grid": {f"p{i}": list(range(100)) for i in range(12)}}
    assert "more than 10,000" in refused(huge, db)  # counted, not made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": {"value": []}}, "an empty list leaves no run"),
        ({"seeds": []}, "an empty list leaves no run"),
        ({"fixed": {"value": float("nan")}}, "nan is not a number that JSON can hold"),
        ({"fixed": {"value": {1, 2}}}, "is nothing that JSON can hold"),
        ({"fixed": {"value": 1}, "grid": {"value": [1]}}, "value is given twice"),
        ({"fixed": {"out": "x"}}, "out is set by the sweep itself"),
        ({"notebook": "x.ipynb"}, "either a notebook or a function"),
        ({"name": "Two words"}, "name"),
        ({"colour": "red"}, "colour"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"sample": {"count": 3, "ranges": {"value": {"low": 2, "high": 1}}}}, "high must be above low"),
        ({"sample": {"count": 3, "ranges": {"value": {"low": 0, "high": 1, "scale": "log"}}}}, "begin above 0"),
        ({"sample": {"count": 0, "ranges": {"value": [1]}}}, "count"),
        ({"sample": {"count": 2, "ranges": {"value": []}}}, "value: an empty list leaves nothing to choose from"),
        ({"sample": {"count": 2, "ranges": {"value": [float("inf")]}}}, "inf is not a number that JSON can hold"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(change: dict[str, Any], words: str) -> None:
    assert words in refused(ECHO | change)


def test_files_that_are_no_experiment_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = ")
    assert "is not TOML" in refused(tmp_path / "bad.toml")
    assert "those of the project are monte_carlo, policy_grid" in refused(tmp_path / "none.toml")


def test_dates_of_a_file_become_iso_texts(tmp_path: Path) -> None:
    text = (
        'name = "d"\nfunction = "sweep_jobs:echo"\n[[runs]]\nvalue = 2026-01-05\n[[runs]]\n'
        "value = 2026-01-05T08:00:00Z\n[[runs]]\nvalue = 07:30:00\n[[runs]]\nvalue = [2026-01-06, {a = 2026-01-07}]\n"
    )
    (tmp_path / "d.toml").write_text(text)
    assert [p["value"] for p in points(Experiment.of(tmp_path / "d.toml"))] == [
        "2026-01-05", "2026-01-05T08:00:00+00:00", "07:30:00", ["2026-01-06", {"a": "2026-01-07"}],
    ]  # fmt: skip
    text = text.partition("[[runs]]")[0] + "[sample]\ncount = 4\nranges = { value = [2026-01-05] }\n"
    (tmp_path / "d.toml").write_text(text.replace("count = 4", "count = 1"))
    assert list(points(Experiment.of(tmp_path / "d.toml"))) == [{"value": "2026-01-05"}]


def test_parameters_are_checked_against_the_template(db: Path, notebook: Callable[..., str]) -> None:
    path = notebook('out = ""\ncount = 3  # how many\nshare = 0.5\nwords = "a # b"\nflag = True\nany_of = None', "1")
    asked = {"name": "n", "notebook": path}
    prepare(asked | {"fixed": {"count": 4, "share": 1, "words": "ü", "flag": False, "any_of": [1]}}, db)
    assert "did you mean 'count'?" in refused(asked | {"fixed": {"coumt": 4}}, db)
    assert "a whole number there (default 3), got 4.5" in refused(asked | {"fixed": {"count": 4.5}}, db)
    assert "count" in refused(asked | {"fixed": {"count": True}}, db)
    assert "words" in refused(asked | {"fixed": {"words": 1}}, db)
    assert "flag" in refused(asked | {"grid": {"flag": [True, 1]}}, db)


def test_templates_that_cannot_be_swept_are_refused(
    db: Path, notebook: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"name": "n"}
    assert "there is no notebook at" in refused(asked | {"notebook": "missing.ipynb"}, db)
    assert "has no parameter out" in refused(asked | {"notebook": notebook("x = 1")}, db)
    (tmp_path / "text.ipynb").write_text("no notebook")
    assert "is not a notebook" in refused(asked | {"notebook": str(tmp_path / "text.ipynb")}, db)
    assert "named as module:name" in refused(asked | {"function": "nothing"}, db)
    assert "cannot import" in refused(asked | {"function": "nowhere_at_all:f"}, db)
    (tmp_path / "broken_jobs.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "cannot import broken_jobs: SyntaxError" in refused(asked | {"function": "broken_jobs:f"}, db)
    assert "math:sqrt has no Python source" in refused(asked | {"function": "math:sqrt"}, db)
    assert "no function nope" in refused(asked | {"function": "sweep_jobs:nope"}, db)
    assert "no default" in refused(asked | {"function": "pipelines.functions:severity_response"}, db)
    assert "keeps no rows" in refused(asked | {"function": "sweep_jobs:echo", "telemetry": True}, db)


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("scenario", "High lod manufacturing", "did you mean 'High load manufacturing'?"),
        ("failure_mode", "rust", "unknown failure mode 'rust'"),
        ("severity", "awful", "Known: low, medium, high, critical"),
        ("machine", "M-099", "unknown machine"),
        ("start", "yesterday", "parameter start"),
        ("span", "6 parsecs", "parameter span"),
        ("seed", -1, "a seed must be an integer"),
    ],
)
def test_parameters_are_checked_against_the_catalog(db: Path, parameter: str, value: Any, words: str) -> None:
    asked = {"name": "n", "notebook": "notebooks/experiments/severity_study.ipynb"}
    assert words in refused(asked | {"grid": {parameter: [value]}}, db)


def test_lists_of_names_are_lists(db: Path, notebook: Callable[..., str]) -> None:
    asked = {"name": "n", "notebook": notebook('out = ""\nmachines = None')}
    prepare(asked | {"grid": {"machines": ["all", ["M-001", "M-002"], "M-003", None]}}, db)
    assert "names are a list of texts, got 5" in refused(asked | {"fixed": {"machines": 5}}, db)
    assert "unknown machine" in refused(asked | {"fixed": {"machines": ["M-001", "M-099"]}}, db)
    assert "unknown machine" in refused(asked | {"fixed": {"machines": [["M-001"]]}}, db)


def test_policies_are_checked_too(db: Path) -> None:
    asked = {"name": "n", "notebook": "notebooks/experiments/policy_study.ipynb"}
    prepare(asked | {"grid": {"policy": ["no-repair", "periodic:30d"]}}, db)
    assert "parameter policy" in refused(asked | {"grid": {"policy": ["periodic:soon"]}}, db)


def test_what_decides_results_decides_the_run_id(db: Path, notebook: Callable[..., str]) -> None:
    def ids(cell: str, db: Path = db, **more: Any) -> list[str]:
        path = notebook('out = ""\nx = 1', cell)
        return prepare({"name": "n", "notebook": path, "grid": {"x": [1, 2]}} | more, db).run_ids

    first = ids("1 + 1")
    assert ids("1 + 1", description="other words") == first  # words decide nothing
    assert not set(ids("1 + 2")) & set(first)
    assert not set(ids("1 + 1", name="m")) & set(first)
    plant = Plant.open(db)
    plant.scenarios.create("Night shift", load=0.4)
    assert not set(ids("1 + 1")) & set(first)
    plant.scenarios.delete("Night shift")
    assert ids("1 + 1") == first
    plant.simulate("2026-01-05", "2026-01-06", "1h", progress=False)
    assert ids("1 + 1") == first  # runs of the plant decide nothing


def test_the_hash_of_the_package_follows_what_simulates_and_nothing_else(tmp_path: Path) -> None:
    import twin

    place = Path(shutil.copytree(Path(twin.__file__).parent, tmp_path / "twin"))
    first = code_sha256.__wrapped__(place)
    assert first == code_sha256()
    for name in ("cli.py", "cli_output.py", "bench_live.py", "demo.py", "live/__init__.py"):
        (place / name).write_text("# changed\n")
    assert code_sha256.__wrapped__(place) == first
    for name in ("lives.py", "kernel.py", "store/schema.sql"):
        before = code_sha256.__wrapped__(place)
        (place / name).write_text("# changed\n")
        assert code_sha256.__wrapped__(place) != before


def test_the_same_run_twice_is_refused(db: Path) -> None:
    assert "asks twice for the run" in refused(ECHO | {"grid": {"value": [1, 1]}}, db)
