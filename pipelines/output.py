"""Where the folders of runs lie: any fsspec URL; every file appears whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.errors import BadRequest, StoreFault

COMPLETE, FAILED = "complete.json", "failed.json"
"""The marks that are written last into a run's folder; it is what they say, whatever else lies there."""


class Unwritable(StoreFault):
    """The output location refuses: no run can be kept there, whichever it is."""


class Output:
    """The output location of an experiment.

    Parameters
    ----------
    url : str
        A folder, or any URL that fsspec knows.

    Attributes
    ----------
    local : Path or None
        The folder, where it is one of this machine.
    """

    def __init__(self, url: str) -> None:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        self.url = url
        try:
            self._fs, self._root = fsspec.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise BadRequest(f"cannot use the output location {url!r}: {str(error).splitlines()[0]}") from None
        self.local = Path(self._root) if isinstance(self._fs, LocalFileSystem) else None
        if self.local is not None:
            self.url = self._root  # whole: others look from elsewhere

    def need_writable(self) -> None:
        """Make the location where it is missing; refuse one that cannot be written."""
        probe = f".probe-{secrets.token_hex(4)}"
        self.write(probe, b"")
        self.delete(probe)

    def write(self, name: str, data: bytes | Path) -> None:
        """Write a file below the location; it has its name only once it is whole.

        Parameters
        ----------
        name : str
            The file.
        data : bytes or Path
            What it holds, or a file of this machine that holds it.

        Raises
        ------
        Unwritable
            If the location refuses: full, read-only, gone.
        """
        draft = f"{name}.{secrets.token_hex(4)}.part"
        try:
            if self.local is not None:
                target, rough = self.local / name, self.local / draft
                try:
                    _fill(rough, data)
                except FileNotFoundError:
                    rough.parent.mkdir(parents=True, exist_ok=True)
                    _fill(rough, data)
                os.replace(rough, target)
                return
            self._fs.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
            if isinstance(data, Path):
                self._fs.put_file(str(data), self._at(draft))
            else:
                self._fs.pipe_file(self._at(draft), data)
            self._fs.mv(self._at(draft), self._at(name))
        except OSError as error:
            self._forget(draft)
            raise Unwritable(
                f"cannot write into {self.url}: {_reason(error)}; "
                "free or choose another place (--out), then run the same again"
            ) from None

    def _forget(self, name: str) -> None:
        try:
            self._fs.rm_file(self._at(name))
        except Exception:  # whatever else is wrong with the place, one error is enough
            return

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or None if it is not there.

        Raises
        ------
        StoreFault
            If the location does not answer, or refuses.
        """
        try:
            return bytes(self._fs.cat_file(self._at(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreFault(f"cannot read {name} in {self.url}: {_reason(error)}") from None

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return what a JSON file holds, or None if it is not there or is torn."""
        data = self.read(name)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def exists(self, name: str) -> bool:
        """Return whether a file is there."""
        return bool(self._fs.exists(self._at(name)))

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file from the location to this machine."""
        try:
            self._fs.get_file(self._at(name), str(target))
        except FileNotFoundError:
            raise StoreFault(f"{name} is missing in {self.url}; run the same sweep again, which makes it") from None

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.exists(name):
            self._fs.rm_file(self._at(name))

    def delete_all(self) -> None:
        """Remove the location with all that is in it."""
        if self._fs.exists(self._root):
            self._fs.rm(self._root, recursive=True)

    def free_bytes(self) -> int | None:
        """Return how much fits, or None where nobody can tell."""
        place = self.local
        while place is not None and not place.exists():
            place = place.parent if place.parent != place else None
        return None if place is None else shutil.disk_usage(place).free

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def _fill(target: Path, data: bytes | Path) -> None:
    if isinstance(data, Path):
        shutil.copyfile(data, target)
    else:
        target.write_bytes(data)


def _reason(error: OSError) -> str:
    return error.strerror or (str(error).splitlines() or [type(error).__name__])[0]


@lru_cache(maxsize=8)
def opened(url: str) -> Output:
    """Return the output location of a URL; in a worker the same for all its runs."""
    return Output(url)


def folder(run_id: str) -> str:
    """Return where the files of a run lie below the output location."""
    return f"runs/{run_id}"
