"""docs/cli.md names every command with all its options, and none that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from twin.cli import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
EVERYWHERE = {"--db", "--json", "--help"}
TOP, *PARTS = re.split(r"^#{2,3} (?=twin\b)", PAGE, flags=re.MULTILINE)
SECTIONS = {part.splitlines()[0].strip(): part for part in PARTS}


def commands(command: click.Command, path: str = "twin") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    context = click.Context(command)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(cli))
del COMMANDS["twin"]


def options(command: click.Command) -> set[str]:
    return {word for parameter in command.params if isinstance(parameter, click.Option) for word in parameter.opts}


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_a_command_is_documented_with_all_its_options(path: str) -> None:
    assert path in SECTIONS, f"{path} has no section in docs/cli.md"
    missing = {word for word in options(COMMANDS[path]) - EVERYWHERE if f"`{word}" not in SECTIONS[path]}
    assert missing == set(), f"options of {path} that docs/cli.md does not name"


@pytest.mark.parametrize("path", sorted(SECTIONS))
def test_nothing_is_documented_that_is_not_there(path: str) -> None:
    assert path in COMMANDS
    named = set(re.findall(r"^\| `(--[a-z-]+)", SECTIONS[path], re.MULTILINE))
    assert named <= options(COMMANDS[path])


def test_the_page_says_what_all_commands_share() -> None:
    assert all(word in TOP for word in EVERYWHERE)


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_option_has_help(path: str) -> None:
    bare = [p.name for p in COMMANDS[path].params if isinstance(p, click.Option) and not p.help]
    assert bare == []


def test_the_examples_use_words_that_exist() -> None:
    for line in re.findall(r"^\$ (twin .*)$", PAGE, re.MULTILINE):
        words = line.split()
        depth = 3 if " ".join(words[:3]) in COMMANDS else 2
        command = COMMANDS[" ".join(words[:depth])]
        used = {word for word in words if word.startswith("--")}
        assert used <= options(command), line
