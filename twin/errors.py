"""What can go wrong, in words a user understands.

Every message is one line that names what was wrong, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TwinError(Exception):
    """A fault that is not the request's: exit status 1 on the command line."""

    exit_status = 1


class BadRequest(TwinError, ValueError):
    """A request that cannot be carried out as it stands: exit status 2."""

    exit_status = 2


class UnknownName(BadRequest, KeyError):
    """A name that is not in the catalog or the plant."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InUse(BadRequest):
    """A deletion refused because others refer to the row."""


class PlantBusy(TwinError):
    """Another process holds the plant's file, or writes the same run."""


class NotAPlant(BadRequest):
    """A file that is not a plant, or one of a newer schema."""


class StoreFault(TwinError):
    """The disk or the database refused: full, unwritable, damaged."""


class PolicyFault(BadRequest):
    """A policy's function raised, or returned what is no list of tasks; the run keeps what it had committed."""


class LeakFound(BadRequest):
    """Training rows know something of the test, or features of the future."""


class RunInterrupted(TwinError):
    """A run was stopped before its end; what was committed is kept."""

    exit_status = 130


def unknown(kind: str, name: object, allowed: Iterable[str]) -> UnknownName:
    """Return the error for a name that is not among the allowed ones.

    Parameters
    ----------
    kind : str
        What the name should be, for example ``"machine"``.
    name : object
        What was given.
    allowed : iterable of str
        The names there are.

    Returns
    -------
    UnknownName
        To be raised by the caller; names the nearest match where there is one.
    """
    names = [str(n) for n in allowed]
    near = [] if str(name).isdigit() else difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    listing = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    return UnknownName(f"unknown {kind} {shown(name)}{hint} Known: {listing or 'none yet'}")


def shown(value: object, limit: int = 60) -> str:
    """Return a value as one short printable line, safe to put into a message."""
    text = repr(value)
    text = " ".join(text.split()) if "\n" in text else text  # of frames and arrays
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def one_line(fault: BaseException, limit: int = 100) -> str:
    """Return a fault as one short line."""
    text = " ".join(str(fault).split()) or type(fault).__name__
    return text if len(text) <= limit else f"{text[:limit]}..."
