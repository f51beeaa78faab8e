"""From DuckDB's errors to those of `twin.errors`: one line each, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from twin.errors import BadRequest, NotAPlant, StoreFault, TwinError, shown

_FULL = ("No space left", "File too large", "Disk quota", "not enough disk space", "max_temp_directory_size")
_BARRED = ("Permission denied", "Read-only file system", "Operation not permitted")
_LOCKED = (
    "Could not set lock on file",  # another process has it open
    "different configuration than existing connections",  # this process has it open in the other mode
    "is already attached by",  # this process is about to close it
)
_DUPLICATE = re.compile(r'Duplicate key "(?P<key>[^"]*)"')
_CHECK = re.compile(r"CHECK constraint failed on table \W?(?P<table>\w+)\W? with expression CHECK\((?P<rule>.*)\)")
_NULL = re.compile(r"NOT NULL constraint failed: (?P<column>\S+)")

REQUEST_ERRORS = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    duckdb.OutOfRangeException,
    duckdb.SyntaxException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
)
"""What DuckDB raises when a statement or its values are at fault, not the file."""


def first_line(error: BaseException) -> str:
    """Return an error's message as one printable line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "".join(c if c.isprintable() else "?" for c in (lines[0] if lines else type(error).__name__))
    return text if len(text) <= 300 else f"{text[:300]}..."


def is_locked(error: BaseException) -> bool:
    """Whether an attempt to open failed only because someone else has the file open."""
    return any(sign in str(error) for sign in _LOCKED)


def translate(error: duckdb.Error, path: Path) -> TwinError:
    """Return the error to raise in place of one of DuckDB's.

    Parameters
    ----------
    error : duckdb.Error
        What DuckDB raised while it worked on the plant's file.
    path : Path
        The plant's file.
    """
    text, line = str(error), first_line(error)
    if any(sign in text for sign in _FULL):
        return StoreFault(f"no space left for the plant {path}: free some, then repeat; what was committed is kept")
    if any(sign in text for sign in _BARRED):
        return StoreFault(
            f"cannot write the plant {path}: permission denied; choose another place or open it read-only"
        )
    # DuckDB takes a SQLite file for one to be opened with its extension
    if "not a valid DuckDB database file" in text or 'Extension "sqlite"' in text:
        return NotAPlant(
            f"{path} is not a plant (nor any DuckDB file); name another file or create one with `twin init`"
        )
    if "version number" in text or isinstance(error, duckdb.SerializationException):
        return NotAPlant(f"{path} was written by another version of DuckDB ({line}); upgrade pdm-twin")
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreFault(f"not enough memory: {line}; ask for fewer rows, machines or columns at a time")
    if isinstance(error, duckdb.ConstraintException):
        return BadRequest(_constraint(line))
    if isinstance(error, REQUEST_ERRORS):
        return BadRequest(line)
    return StoreFault(f"the plant {path} could not be read or written: {line}")


def translate_os(error: OSError, path: Path) -> StoreFault:
    """Return the fault for an operating-system error at a file or directory."""
    reason = error.strerror or type(error).__name__
    if any(sign.lower() in reason.lower() for sign in _FULL):
        return StoreFault(f"no space left at {path}: free some, then repeat; nothing was written")
    return StoreFault(f"cannot write {path}: {reason}; choose another place")


def _constraint(line: str) -> str:
    if match := _DUPLICATE.search(line):
        return f"already taken: {match['key']}; choose another"
    if match := _NULL.search(line):
        return f"{match['column']} is missing; give a value"
    if match := _CHECK.search(line):
        return f"value of {match['table']} is out of range: it must satisfy {match['rule']}"
    return line


def sql_error(error: duckdb.Error, sql: str, path: Path) -> TwinError:
    """Return the error for a user's statement; quotes the statement."""
    if isinstance(error, REQUEST_ERRORS):
        return BadRequest(f"{first_line(error)}; in the SQL {shown(sql, 300)}")
    fault = translate(error, path)
    return type(fault)(f"{fault}; in the SQL {shown(sql, 300)}")
