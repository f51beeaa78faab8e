"""What the README tells people to type does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def block(heading: str, language: str) -> str:
    """Return the first code block below a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def run(command: list[str], folder: Path) -> str:
    """Run a command in a folder; its standard output."""
    environment = {**os.environ, "TWIN_DEBUG": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_python_example_runs(tmp_path: Path) -> None:
    code = block("In Python", "python").rstrip()
    body, last = code.rsplit("\n", 1)
    code = f"{body}\nframe = {last}\nprint(len(frame), *frame.columns)"
    assert run([sys.executable, "-c", code], tmp_path).split() == [
        "86400",
        "ts",
        "temperature_c",
        "vibration_g",
        "power_w",
    ]


@pytest.mark.slow
def test_the_example_of_decisions_runs(tmp_path: Path) -> None:
    code = block("From telemetry to decisions", "python").rstrip()
    body, last = code.rsplit("\n", 1)
    opened = 'import twin\nplant = twin.open("data/plant.duckdb")\n'
    shown = f"table = {last}\nprint(*table.index)\nassert table.oracle_share['oracle'] == 1.0\nassert len(X) == len(y)"
    policies = run([sys.executable, "-c", f"{opened}{body}\n{shown}"], tmp_path).split()
    assert policies == ["run-to-failure", "periodic", "condition", "oracle"]


@pytest.mark.slow
def test_the_command_line_example_runs(tmp_path: Path) -> None:
    for line in block("On the command line", "sh").strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "twin"
        run([sys.executable, "-m", "twin.cli", *words[1:]], tmp_path)
    assert list((tmp_path / "out").rglob("*.parquet"))


def test_the_channels_are_those_of_the_catalog() -> None:
    from twin.catalog.parameters import CHANNELS

    sentence = README.split("eight channels:", 1)[1].split(".", 1)[0]
    assert tuple(re.findall(r"`(\w+)`", sentence)) == CHANNELS
