"""The code of docs/live.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "live.md").read_text(encoding="utf-8")


def test_the_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "docs/live.md", "exec"), names)
    assert names["fault"].status == "done"  # type: ignore[attr-defined]
    assert names["run"].verify()  # type: ignore[attr-defined]
    assert (tmp_path / "seen.parquet").stat().st_size > 0


def test_every_verb_of_a_session_is_on_the_page() -> None:
    from twin.live.asking import Asking

    verbs = {name for name in vars(Asking) if not name.startswith("_")} - {"log"}
    assert {verb for verb in verbs if f"`{verb}" not in PAGE} == set()
