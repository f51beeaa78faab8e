"""Scores agree with scikit-learn and with arithmetic; what is wrong with a submission is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score
from small_tasks import small

from twin.benchmark import scoring
from twin.benchmark.data import Data
from twin.benchmark.scoring import behind, read_submission, score
from twin.benchmark.tasks import COLUMNS
from twin.errors import BadRequest


def of_kind(data: Data, kind: str) -> Data:
    y = data.y.assign(mode=["a", "c", "b"] * 4, censored=False) if kind in ("diagnosis", "rul") else data.y
    return replace(data, y=y, task=replace(small(kind), teach=2))


def right(data: Data) -> pd.DataFrame:
    y = data.asked[1]
    values = {
        "probability": y["fails"].astype(float),
        "mode": y["mode"],
        "rul_h": y["rul_h"],
        "low_h": y["rul_h"] - 0.5,
        "high_h": y["rul_h"] + 0.5,
        "risk": -y["rul_h"],
    }
    return pd.DataFrame({name: values[name] for name in COLUMNS[data.task.kind]}, index=y.index)


@pytest.mark.parametrize("kind", list(COLUMNS))
def test_a_right_answer_has_the_best_score(kind: str, made_up: Data) -> None:
    data = of_kind(made_up, kind)
    found = score(data, right(data))
    assert found.score == pytest.approx(1.0)
    assert found.row("x", data.task.best)["room"] == pytest.approx(0.0)


def test_scores_are_those_of_the_field(made_up: Data) -> None:
    said = pd.DataFrame({"probability": [0.9, 0.2, 0.4, 0.1, 0.3, 0.8]}, index=made_up.asked[1].index)
    expected = average_precision_score(made_up.asked[1]["fails"], said["probability"])
    assert score(made_up, said).score == pytest.approx(expected)
    rng = np.random.default_rng(1)
    y, tied, drawn = rng.random(300) < 0.2, rng.integers(0, 40, 300) / 40.0, rng.integers(0, 300, 500)
    ours = scoring._average_precision(*scoring._thresholds(y, tied), drawn)
    assert ours == pytest.approx(average_precision_score(y[drawn], tied[drawn]))
    data = of_kind(made_up, "diagnosis")
    modes = pd.DataFrame({"mode": ["a", "b", "b", "c", "c", "a"]}, index=said.index)
    expected = f1_score(data.asked[1]["mode"], modes["mode"], average="macro")
    assert score(data, modes).score == pytest.approx(expected)
    assert score(data, modes).figures["accuracy"] == pytest.approx(0.5)
    data = of_kind(made_up, "rul")
    said = pd.DataFrame({"rul_h": 12.0, "low_h": 8.0, "high_h": 10.0}, index=said.index)
    found = score(data, said)  # the truth is 7 to 12, the constant of the training 3.5
    assert found.score == pytest.approx(1.0 - np.mean([5, 4, 3, 2, 1, 0]) / np.mean([3.5, 4.5, 5.5, 6.5, 7.5, 8.5]))
    assert (found.figures["coverage"], found.figures["width_h"]) == (0.5, 2.0)
    constant = pd.DataFrame({"rul_h": 3.5}, index=said.index)
    assert score(data, constant).score == 0.0
    data = of_kind(made_up, "survival")
    assert score(data, pd.DataFrame({"risk": 0.0}, index=said.index)).score == 0.5


def test_paired_differences_are_of_the_same_draws(made_up: Data) -> None:
    best, flat = right(made_up), right(made_up).assign(probability=0.5)
    gap = behind(made_up, flat, best)
    assert gap["behind"] == pytest.approx(score(made_up, best).score - score(made_up, flat).score)
    assert gap["behind_low"] <= gap["behind"] <= gap["behind_high"]
    assert behind(made_up, best, best) == {"behind": 0.0, "behind_low": 0.0, "behind_high": 0.0}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", list(COLUMNS))
def test_a_submission_is_read_in_any_order(kind: str, suffix: str, made_up: Data, tmp_path: Path) -> None:
    data = of_kind(made_up, kind)
    frame, path = right(data).reset_index().iloc[::-1], tmp_path / f"mine{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    found = read_submission(path, data)
    assert found.index.equals(data.asked[1].index)
    assert score(data, found) == score(data, right(data))


def test_a_parquet_file_with_the_index_of_its_frame_is_read(made_up: Data, tmp_path: Path) -> None:
    right(made_up).to_parquet(tmp_path / "mine.parquet")
    assert score(made_up, read_submission(tmp_path / "mine.parquet", made_up)).score == 1.0


def broken(frame: pd.DataFrame, column: str, value: Any) -> pd.DataFrame:
    frame = frame.astype({column: object})
    frame.iloc[2, frame.columns.get_loc(column)] = value
    return frame


CASES = {
    "a column too few": ("detection", lambda f: f.drop(columns="probability"), "wants machine_id, ts, probability"),
    "a column too many": ("detection", lambda f: f.assign(fails=1), "has the columns"),
    "another kind's columns": ("survival", lambda f: f.rename(columns={"risk": "probability"}), "wants .*risk"),
    "one bound": ("rul", lambda f: f.drop(columns="low_h"), "both of low_h and high_h"),
    "a row too few": ("detection", lambda f: f.iloc[1:], "1 of 6 test rows are missing.*machine 3 at 2026-02-01T00"),
    "a row twice": ("detection", lambda f: pd.concat([f, f.iloc[:1]]), "machine 3 at 2026-02-01.*stands twice"),
    "a training row": ("detection", lambda f: f.assign(machine_id=f["machine_id"] - 1), "is it a submission for"),
    "no rows": ("detection", lambda f: f.iloc[:0], "6 of 6 test rows are missing"),
    "no time": ("detection", lambda f: broken(f, "ts", "soon"), "1 rows have no whole machine_id or no ISO"),
    "half a machine": ("detection", lambda f: f.assign(machine_id=f["machine_id"] + 0.5), "6 rows have no whole"),
    "a gap": ("detection", lambda f: broken(f, "probability", np.nan), "1 values of probability are no finite"),
    "infinity": ("survival", lambda f: broken(f, "risk", np.inf), "1 values of risk are no finite"),
    "text": ("detection", lambda f: broken(f, "probability", "high"), "1 values of probability are no finite"),
    "beyond 1": ("detection", lambda f: broken(f, "probability", 1.01), "give probabilities from 0 to 1"),
    "below 0": ("detection", lambda f: broken(f, "probability", -0.1), "give probabilities from 0 to 1"),
    "truth values": ("detection", lambda f: f.assign(probability=True), "no finite numbers"),
    "negative hours": ("rul", lambda f: broken(f, "rul_h", -1.0), "1 values of rul_h are out of range"),
    "bounds crossed": ("rul", lambda f: f.rename(columns={"low_h": "high_h", "high_h": "low_h"}), "low_h above high_h"),
    "no such mode": (
        "diagnosis",
        lambda f: broken(f, "mode", "gremlins"),
        "1 rows have no mode.*'gremlins'.*: a, b, c",
    ),
    "no mode": ("diagnosis", lambda f: broken(f, "mode", None), "1 rows have no mode of the task"),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_wrong_is_refused(case: str, made_up: Data, tmp_path: Path) -> None:
    kind, change, message = CASES[case]
    data = of_kind(made_up, kind)
    change(right(data).reset_index()).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(BadRequest, match=message) as refusal:
        read_submission(tmp_path / "mine.csv", data)
    assert "\n" not in str(refusal.value)


def test_files_that_are_none_are_refused(made_up: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match="there is no file"):
        read_submission(tmp_path / "mine.csv", made_up)
    for name in ("mine.csv", "mine.parquet"):
        (tmp_path / name).write_bytes(b"\x00\xff\xfe" * 50)
        with pytest.raises(BadRequest, match="no readable|has the columns"):
            read_submission(tmp_path / name, made_up)
    (tmp_path / "mine.csv").write_text("")
    with pytest.raises(BadRequest, match="no readable csv"):
        read_submission(tmp_path / "mine.csv", made_up)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BadRequest, match="there is no file"):
        read_submission(tmp_path / "folder.csv", made_up)
    (tmp_path / "mine.xlsx").write_text("x")
    with pytest.raises(BadRequest, match=r"a \.csv or \.parquet file"):
        read_submission(tmp_path / "mine.xlsx", made_up)
    monkeypatch.setattr(scoring, "MOST_BYTES", 100)
    right(made_up).reset_index().to_csv(tmp_path / "large.csv", index=False)
    with pytest.raises(BadRequest, match="at most 0 MB"):
        read_submission(tmp_path / "large.csv", made_up)
    monkeypatch.setattr(scoring, "MOST_BYTES", 10_000_000)
    monkeypatch.setattr(scoring, "MOST_ROWS", 3)
    right(made_up).to_parquet(tmp_path / "large.parquet")
    with pytest.raises(BadRequest, match="6 rows; at most 3"):
        read_submission(tmp_path / "large.parquet", made_up)
