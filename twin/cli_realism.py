"""The command that compares simulated machines with real ones."""

from __future__ import annotations

import sys

import click

from twin.cli_output import emit_rows
from twin.errors import TwinError


@click.command()
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Address of all noise, and of what distinguishes the machines.",
)
@click.option(
    "--machines", type=click.IntRange(20, 32767), default=100, show_default=True, help="Machines of the fleet."
)
@click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
def realism(seed: int, machines: int, as_json: bool) -> None:
    """Hold a fresh fleet against what was measured on real machines.

    Needs no plant and leaves no file. Exit status 1 when a band does not hold.
    """
    from twin.realism import bands

    rows = bands(seed, machines, progress=sys.stderr.isatty())
    emit_rows(rows, as_json)
    broken = [row["metric"] for row in rows if not row["holds"]]
    if broken:
        rest = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise TwinError(f"seed {seed}: {broken[0]!r}{rest} of {len(rows)} metrics do not hold")
