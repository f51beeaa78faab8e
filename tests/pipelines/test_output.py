"""The output location: files appear whole, wherever fsspec can write."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.output import Output, Unwritable
from twin.errors import StoreFault


@pytest.mark.parametrize("kind", ["path", "file", "memory"])
def test_files_are_written_read_and_removed(kind: str, tmp_path: Path) -> None:
    url = {"path": str(tmp_path / "out"), "file": f"file://{tmp_path}/out", "memory": f"memory://{tmp_path.name}"}[kind]
    output = Output(url)
    output.need_writable()
    assert output.read("a/b.json") is None
    assert not output.exists("a/b.json")
    for data in (b'{"x": 1}', b'{"x": 2}'):
        output.write("a/b.json", data)
        assert output.read("a/b.json") == data
    assert output.read_json("a/b.json") == {"x": 2}
    (tmp_path / "given").write_bytes(b"from a file")
    output.write("c/d", tmp_path / "given")
    assert output.read("c/d") == b"from a file"
    output.write("a/torn.json", b'{"x"')
    assert output.read_json("a/torn.json") is None
    output.fetch("a/b.json", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b'{"x": 2}'
    with pytest.raises(StoreFault, match="missing"):
        output.fetch("a/c.json", tmp_path / "fetched")
    output.delete("a/b.json")
    output.delete("a/b.json")
    assert not output.exists("a/b.json")
    output.delete_all()
    assert not output.exists("a/torn.json")
    assert (output.free_bytes() is None) == (kind == "memory")


def test_a_location_that_cannot_be_read_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreFault, match=r"^cannot read a in .*: Is a directory$"):
        Output(str(tmp_path)).read("a")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output(str(tmp_path))
    output.write("x", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(Unwritable, match="No space left on device"):
        output.write("x", b"new")
    assert output.read("x") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
