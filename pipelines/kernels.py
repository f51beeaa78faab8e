"""Kernels for notebooks: of this interpreter, on sockets that do not clash, shared by runs where allowed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from pipelines.experiment import ROOT
from pipelines.scratch import new_folder

START_TIMEOUT_S = 120
_NAME = "pdm-twin"


class _OurSpec(KernelSpecManager):
    """Knows one kernel: this very interpreter. One named ``python3`` may belong to another environment."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        del kernel_name
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3 (ipykernel)",
            language="python",
            env={"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        )


class SharedKernel:
    """A kernel that does one run after another, and is replaced when it has done enough of them.

    Between two runs all variables go; imported modules stay, which is what saves time.
    """

    def __init__(self) -> None:
        self.manager: Any = None
        self.folder = ""
        self._done = 0

    def take(self, most_runs: int) -> Any:
        """Return a kernel manager for one more run: of the living kernel, or of one that is yet to start."""
        if self.manager is not None and (self._done >= most_runs or not self.is_alive()):
            self.close()
        if self.manager is None:
            self.folder = str(new_folder())
            sockets = {"transport": "ipc", "ip": str(Path(self.folder) / uuid.uuid4().hex[:8])}
            self.manager = AsyncKernelManager(
                kernel_name=_NAME,
                kernel_spec_manager=_OurSpec(),
                connection_file=str(Path(self.folder) / "kernel.json"),
                **(sockets if os.name == "posix" else {}),
            )
            self._done = 0
        self._done += 1
        return self.manager

    def is_alive(self) -> bool:
        """Return whether the kernel's process lives."""
        return bool(self.manager is not None and self.manager.has_kernel and run_sync(self.manager.is_alive)())

    @property
    def pid(self) -> int | None:
        """The kernel's process."""
        provisioner = getattr(self.manager, "provisioner", None)
        process = getattr(provisioner, "process", None)
        return None if process is None else int(process.pid)

    def kill(self) -> None:
        """End the kernel at once, from whatever thread."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    def close(self) -> None:
        """End the kernel and remove its sockets."""
        manager, self.manager = self.manager, None
        if manager is not None and manager.has_kernel:
            with contextlib.suppress(Exception):  # of a kernel that is dead already
                run_sync(manager.shutdown_kernel)(now=True)
        shutil.rmtree(self.folder, ignore_errors=True)


_all: list[SharedKernel] = []


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.kernel = SharedKernel()
        _all.append(self.kernel)


_of_thread = _OfThread()


def own_kernel() -> SharedKernel:
    """Return this thread's kernel: a worker does one run at a time."""
    return _of_thread.kernel


def end_all() -> None:
    """End the kernels of all threads at once."""
    for kernel in _all:
        kernel.kill()
        shutil.rmtree(kernel.folder, ignore_errors=True)
