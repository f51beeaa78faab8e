"""Recorded profiles: read from CSV, checked to the line, the same whatever they are called."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.catalog.checks import checked
from twin.catalog.profiles import Profile, read_profile_csv
from twin.errors import BadRequest

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "profiles"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "profile.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: object, **options: object) -> str:
    with pytest.raises(BadRequest) as caught:
        read_profile_csv(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def recording(name: str) -> Path:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"the recording {name} is not beside the project (../shared/data/profiles)")
    return path


def test_columns_that_drive_nothing_are_ignored(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufefft_s, note ,load,ambient_c\r\n0,a,0.5,20\r\n\r\n900,b,1e-1, 21.5 \r\n")
    profile = read_profile_csv(path)
    assert profile.columns == {"load": (0.5, 0.1), "ambient_c": (20.0, 21.5)}
    assert (profile.name, profile.t_s, profile.points, profile.period_s) == ("profile", (0.0, 900.0), 2, 1800.0)
    assert (profile.interpolation, profile.at_end) == ("hold", "repeat")


def test_how_a_profile_is_followed_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, "t_s,speed_rpm\n0,100\n10,200\n")
    profile = read_profile_csv(path, "linear", "end", name="Ramp", period_s=10.0)
    assert (profile.interpolation, profile.at_end, profile.name, profile.period_s) == ("linear", "end", "Ramp", 10.0)
    assert "interpolation should be 'hold' or 'linear'" in refusal(path, interpolation="cubic")
    assert "at_end should be 'repeat' or 'end'" in refusal(path, at_end="stop")
    assert "name must be" in refusal(path, name="x;y")
    for period in (math.nan, -1.0, 5.0, math.inf, 1e300):
        assert "period_s" in refusal(path, period_s=period)


def test_one_held_point_needs_a_period(tmp_path: Path) -> None:
    path = written(tmp_path, "t_s,load\n0,0.5\n")
    assert read_profile_csv(path, period_s=60.0).load == (0.5,)
    assert "period_s must be given" in refusal(path)
    assert "at least two points" in refusal(path, interpolation="linear", period_s=60.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("t_s,load\n", "a header but no points"),
        ("time,load\n0,1\n1,1\n", "line 1: the column t_s (seconds) is missing; found 'time, load'"),
        ("t_s;load\n0;1\n1;1\n", "separate by commas"),
        ("t_s,power\n0,1\n1,1\n", "line 1: none of the columns load, speed_rpm, speed_factor, ambient_c is there"),
        ("t_s,load,load\n0,1,1\n", "line 1: the column load stands there twice"),
        ("t_s,load\n0,1\n1\n", "line 3: 1 fields where the header has 2"),
        ("t_s,load\n0,1\n1,1,1\n", "line 3: 3 fields where the header has 2"),
        ("t_s,load\n0,1\n1,\n", "line 3: load must be a finite number, got ''"),
        ("t_s,load\n0,1\n\n1,nan\n", "line 4: load must be a finite number, got 'nan'"),
        ("t_s,load\n0,1\n1,inf\n", "line 3: load must be a finite number, got 'inf'"),
        ("t_s,load\nnan,1\n1,1\n", "line 2: t_s must be a finite number, got 'nan'"),
        ("t_s,load\n0,1\n1,NULL\n", "line 3: load must be a finite number, got 'NULL'"),
        ("t_s,load\n0,1\n1,1_0\n", "line 3: load must be a finite number, got '1_0'"),
        ("t_s,load\n0,1\n2,1\n1,1\n", "line 4: t_s must increase from line to line, got 1.0 after 2.0"),
        ("t_s,load\n0,1\n0,1\n", "line 3: t_s must increase from line to line"),
        ("t_s,load\n0,1\n1e-8,1\n", "line 3: t_s must increase from line to line"),
        ("t_s,load\n-1,1\n0,1\n", "line 2: t_s must be between 0 and"),
        ("t_s,load\n0,1\n1e300,1\n", "line 3: t_s must be between 0 and"),
        ("t_s,load\n0,1\n1,1.6\n", "line 3: load must be between 0 and 1.5, got 1.6"),
        ("t_s,load\n0,1\n1,-0.1\n", "line 3: load must be between 0 and 1.5, got -0.1"),
        ("t_s,ambient_c\n0,20\n1,1000\n", "line 3: ambient_c must be between -60 and 90, got 1000.0"),
        ("t_s,speed_rpm\n0,20\n1,1e9\n", "line 3: speed_rpm must be between 0 and 60000"),
        ('t_s,load\n0,"1\n1,1\n', "not a CSV file"),
        ("t_s,load\n0," + "1" * 200_000 + "\n", "not a CSV file"),
        (b"t_s,load\n0,\xff\xfe\n", "not UTF-8 text"),
        ("t_s,load\n0,1\n".encode("utf-16"), "not UTF-8 text"),
        (b"t_s,load\n0,\x001\n", "line 2"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    message = refusal(written(tmp_path, text))
    assert said in message
    assert "profile.csv" in message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.csv")
    assert "not a file" in refusal(tmp_path)
    for path in ("a\x00b", None, 5, "x" * 10_000):
        assert "cannot read the profile" in refusal(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "not a file" in refusal(tmp_path / "pipe")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_profile_or_refused(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), b"t_s,load\n0,1\n" + tail)
    try:
        profile = read_profile_csv(path)
    except BadRequest:
        refusal(path)
    else:
        assert profile.points >= 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"t_s": (), "load": ()}, "at least two points"),
        ({"t_s": (0.0, 1.0)}, "needs at least one of load"),
        ({"t_s": (0.0, 1.0), "load": (1.0,)}, "load has 1 values for 2 times"),
        ({"t_s": (0.0, 0.0), "load": (1.0, 1.0)}, "t_s must increase"),
        ({"t_s": (1.0, 0.0), "load": (1.0, 1.0)}, "t_s must increase"),
        ({"t_s": (-1.0, 0.0), "load": (1.0, 1.0)}, "t_s must start at 0"),
        ({"t_s": (0.0, 1e12), "load": (1.0, 1.0)}, "t_s must not exceed 200 years"),
        ({"t_s": (0.0, math.nan), "load": (1.0, 1.0)}, "t_s must be finite numbers, got nan at point 1"),
        ({"t_s": (0.0, 1.0), "load": (1.0, math.inf)}, "load must be finite numbers, got inf at point 1"),
        ({"t_s": (0.0, 1.0), "load": (1.0, None)}, "load must be finite numbers, got None at point 1"),
        ({"t_s": (0.0, 1.0), "load": ("1", "2")}, "load must be finite numbers, got '1' at point 0"),
        ({"t_s": (0.0, 1.0), "load": "12"}, "load must be a series of numbers"),
        ({"t_s": (0.0, 1.0), "load": np.ones((2, 2))}, "load must be finite numbers"),
        ({"t_s": (0.0, 1.0), "load": np.float64(1)}, "load must be a series of at most"),
        ({"t_s": (0.0, 1.0), "load": (1.0, 9.0)}, "load must be between 0 and 1.5, got 9.0 at point 1"),
        ({"t_s": (0.0, 1.0), "load": (1.0, 1.0), "t": (0.0, 1.0)}, "unknown field 't'"),
    ],
)
def test_bad_series_are_refused(fields: dict, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        checked(Profile, fields, "profile")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.lists(st.integers(0, 10**9), min_size=2, max_size=20, unique=True),
    st.sampled_from(["hold", "linear"]),
    st.sampled_from(["repeat", "end"]),
    st.data(),
)
def test_profiles_pass_through_json_and_arrays(
    ms: list[int], interpolation: str, at_end: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.floats(0.0, 1.5), min_size=len(ms), max_size=len(ms)))
    fields = {"interpolation": interpolation, "at_end": at_end, "t_s": sorted(t / 1000.0 for t in ms), "load": values}
    profile = checked(Profile, fields, "profile")
    again = Profile.model_validate_json(profile.model_dump_json())
    assert again == profile
    assert again.sha256 == profile.sha256
    arrays = {**fields, "t_s": np.array(fields["t_s"]), "load": pd.Series(values)}
    assert checked(Profile, arrays, "profile") == profile


def test_the_content_hash_is_of_the_content() -> None:
    profile = Profile(name="A", t_s=(0.0, 10.0), load=(0.1, 0.2))
    assert profile.model_copy(update={"name": "B"}).sha256 == Profile(name="B", t_s=(0.0, 10.0), load=(0.1, 0.2)).sha256
    assert Profile(name="B", t_s=(0.0, 10.0), load=(0.1, 0.2)).sha256 == profile.sha256
    others = [
        Profile(t_s=(0.0, 10.0), load=(0.1, 0.3)),
        Profile(t_s=(0.0, 11.0), load=(0.1, 0.2), period_s=20.0),
        Profile(t_s=(0.0, 10.0), speed_factor=(0.1, 0.2)),
        Profile(t_s=(0.0, 10.0), load=(0.1, 0.2), at_end="end"),
        Profile(t_s=(0.0, 10.0), load=(0.1, 0.2), interpolation="linear"),
        Profile(t_s=(0.0, 10.0), load=(0.1, 0.2), period_s=21.0),
    ]
    assert len({profile.sha256, *(other.sha256 for other in others)}) == len(others) + 1
    # stored plans refer to this value, so that it may never change
    assert profile.sha256 == "c9ffc318e26b89fd86c4aa1cfe4751f3fe051393ec3a50a31b96ab18592262b5"


def test_the_steel_plant_is_read_as_recorded() -> None:
    profile = read_profile_csv(recording("steel_plant_2018.csv"))
    assert profile.points == 35_040
    assert profile.period_s == 365 * 86_400.0
    assert list(profile.columns) == ["load"]
    assert max(profile.load or ()) == 1.2808


def test_gaps_of_a_recording_do_not_stretch_its_period() -> None:
    profile = read_profile_csv(recording("office_ambient_2013.csv"), interpolation="linear")
    assert list(profile.columns) == ["ambient_c"]
    assert profile.period_s == profile.t_s[-1] + 3600.0
