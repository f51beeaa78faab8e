"""Running tasks and scoring submissions by command: the same records, kept work, files, exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_tasks import small

from twin.benchmark import frozen as frozen_module
from twin.benchmark import runs
from twin.benchmark.baselines import BASELINES
from twin.benchmark.files import check_places
from twin.benchmark.runs import run_tasks, score_submission
from twin.cli import run_command
from twin.errors import BadRequest

NAME = "detection-easy"
Tell = pytest.CaptureFixture[str]


@pytest.fixture
def one_task(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the name stand for a small task, frozen with a digest."""
    monkeypatch.setattr(runs, "task", lambda name: small(name.split("-")[0]))

    def freeze(digest: str) -> None:
        monkeypatch.setattr(runs, "frozen_digest", lambda name: digest)

    freeze("nothing")
    return freeze


def test_a_task_is_run_kept_written_and_scored(one_task: Any, tmp_path: Path, capsys: Tell) -> None:
    out, keep = tmp_path / "out", tmp_path / "keep"
    (record,) = run_tasks([NAME], out=out, keep=keep, workers=1)
    assert [row["baseline"] for row in record["baselines"]] == [*BASELINES["detection"], "ceiling"]
    assert [row["bound"] for row in record["baselines"]] == [False] * 4 + [True]
    assert record["match"] is False
    one_task(record["digest"])
    again = run_tasks([NAME], out=out, keep=keep, workers=1)[0]
    assert again == record | {"match": True, "frozen": record["digest"]}  # nothing is done twice
    # the folder has what a participant needs, and no answers
    folder = out / NAME
    assert json.loads((folder / "task.json").read_text())["digest"] == record["digest"]
    asked, taught = (pd.read_parquet(folder / f"features_{part}.parquet") for part in ("test", "train"))
    assert len(asked) == record["sizes"]["test_rows"]
    assert pd.read_parquet(folder / "labels_train.parquet").index.equals(taught.index)
    machines = {
        part: set(pd.read_parquet(folder / f"telemetry_{part}.parquet")["machine_id"]) for part in ("test", "train")
    }
    assert machines == {"train": set(range(1, 15)), "test": set(range(15, 25))}
    assert [path.name for path in out.iterdir()] == [NAME]
    # the sample is worth what its baseline is
    sample = folder / "sample_submission.csv"
    found = score_submission(NAME, sample)
    assert found["score"] == record["baselines"][0]["score"]
    assert run_command(["benchmark", "score", NAME, str(sample), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] == found["score"]
    assert run_command(["benchmark", "score", NAME, str(sample)]) == 0
    assert f"average precision {found['score']:.3f}" in capsys.readouterr().out
    assert run_command(["benchmark", "run", NAME, "--keep", str(keep), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["baselines"] == record["baselines"]


def test_an_interruption_says_what_is_finished(
    one_task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Tell
) -> None:
    def pressed(t: Any, out: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_job", pressed)
    assert run_command(["benchmark", "run", "rul-easy", "--workers", "1", "--keep", str(tmp_path)]) == 130
    assert (
        f"interrupted with 0 of 1 tasks finished; the same command goes on from {tmp_path}" in capsys.readouterr().err
    )


def test_another_digest_is_an_error(one_task: Any, tmp_path: Path, capsys: Tell) -> None:
    words = ["benchmark", "run", "rul-easy", "--keep", str(tmp_path), "--workers", "1"]
    assert run_command(words) == 1
    told = capsys.readouterr()
    assert "frozen was nothing" in told.out
    assert told.err.count("\n") >= 1
    assert "another version of pdm-twin made another task" in told.err


def test_what_cannot_be_run_is_refused(tmp_path: Path, capsys: Tell) -> None:
    assert run_command(["benchmark", "run"]) == 2
    assert run_command(["benchmark", "run", "detection-easy", "--all"]) == 2
    assert run_command(["benchmark", "run", "detection-esay"]) == 2
    assert "did you mean 'detection-easy'" in capsys.readouterr().err
    with pytest.raises(BadRequest, match="named twice"):
        run_tasks(["rul-easy", "rul-easy"])
    with pytest.raises(BadRequest, match="workers"):
        run_tasks(["rul-easy"], workers=1000)
    (tmp_path / "rul-easy").mkdir()
    (tmp_path / "rul-easy" / "diary.txt").write_text("mine")
    with pytest.raises(BadRequest, match="is no benchmark task"):
        check_places([small("rul")], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRequest, match="is no folder"):
        check_places([small("rul")], tmp_path / "file")
    assert (tmp_path / "rul-easy" / "diary.txt").read_text() == "mine"
    with pytest.raises(BadRequest, match="there is no file"):
        score_submission("detection-easy", tmp_path / "no.csv")


def test_the_list_names_all_tasks_with_their_best_baseline(capsys: Tell) -> None:
    assert run_command(["benchmark", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 15
    assert all(row["best_baseline"] and 0.0 < row["score"] < 1.0 and len(row["digest"]) == 32 for row in rows)
    assert run_command(["benchmark", "list"]) == 0
    assert "policy-hard" in capsys.readouterr().out


def test_scores_that_have_drifted_are_told() -> None:
    before = frozen_module.frozen()["tasks"]["detection-easy"]["baselines"]
    same = {"task": "detection-easy", "baselines": before}
    assert frozen_module.drifted(same) == []
    moved = {"task": "detection-easy", "baselines": [row | {"score": row["score"] - 0.1} for row in before]}
    assert len(frozen_module.drifted(moved)) == len(before)
    lost = {"task": "detection-easy", "baselines": [before[0] | {"score": float("nan")}]}
    assert len(frozen_module.drifted(lost)) == 1


def test_freezing_keeps_what_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "frozen.json"
    path.write_text(frozen_module.PATH.read_text())
    monkeypatch.setattr(frozen_module, "PATH", path)
    row = {"baseline": "x", "score": 0.123456, "bound": False}
    frozen_module.frozen.cache_clear()
    try:
        before = frozen_module.frozen()
        frozen_module.freeze([{"task": "rul-hard", "digest": "d", "sizes": {"rows": 1}, "baselines": [row]}])
        after = frozen_module.frozen()
    finally:
        frozen_module.frozen.cache_clear()
    assert after["tasks"]["rul-hard"]["baselines"] == [row | {"score": 0.1235}]
    assert {n: t for n, t in after["tasks"].items() if n != "rul-hard"} == {
        n: t for n, t in before["tasks"].items() if n != "rul-hard"
    }
    assert after["policies"] == before["policies"]
