"""docs/benchmark.md: its tables are those of what is frozen, its code runs, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from twin.benchmark.document import filled
from twin.benchmark.frozen import frozen, frozen_digest
from twin.benchmark.tasks import tasks
from twin.cli import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_what_is_frozen() -> None:
    assert filled(PAGE) == PAGE, "run: python -m twin.benchmark.document docs/benchmark.md"
    rows = sum(len(found["baselines"]) for found in frozen()["tasks"].values())
    assert len(re.findall(r"^\| `\w+-\w+` \| \*?[a-z-]+\*? \|", PAGE, re.MULTILINE)) == rows
    for row in frozen()["tasks"]["detection-hard"]["baselines"]:
        assert f"{row['score']:.3f}" in PAGE


def test_the_code_of_the_page_regenerates_a_task_to_its_frozen_digest() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, Any] = {}
    exec(compile(blocks[0], "docs/benchmark.md", "exec"), names)
    assert names["data"].digest == frozen_digest("survival-easy")
    assert len(names["data"].y) == frozen()["tasks"]["survival-easy"]["sizes"]["rows"]
    cox = next(r for r in frozen()["tasks"]["survival-easy"]["baselines"] if r["baseline"] == "cox")
    assert abs(names["score"](names["data"], names["answer"]).score - cox["score"]) < 0.03


def test_the_commands_of_the_page_exist() -> None:
    commands = re.findall(r"^\$ (twin .*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 3
    for line in commands:
        _, group, command, *words = line.split()
        shown = CliRunner().invoke(cli, [group, command, "--help"])
        assert shown.exit_code == 0
        for word in words:
            assert not word.startswith("--") or word in shown.output
        if command in ("run", "score"):
            assert words[0] in tasks()
