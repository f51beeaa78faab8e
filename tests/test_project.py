"""The project's own papers agree with each other: dependencies, lock, notebooks, README, sizes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]
CONDA_NAMES = {"duckdb": "python-duckdb", "playwright": "playwright-python"}
SOURCE_FOLDERS = ("twin", "pipelines", "tests", "docs", "notebooks", ".ci")
SOURCE_KINDS = {".py", ".sql", ".toml", ".js", ".css", ".md", ".yml", ".yaml"}
MAX_LINES = 500


def source_files() -> list[Path]:
    """Return the text files that people write, wherever they stand in the project."""
    found = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in SOURCE_KINDS]
    for folder in SOURCE_FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.suffix in SOURCE_KINDS]
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def notebooks() -> list[Path]:
    """Return the project's notebooks."""
    found = [path for folder in ("notebooks", "pipelines") for path in (ROOT / folder).rglob("*.ipynb")]
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def locked_versions() -> dict[str, list[tuple[Version, str]]]:
    """Return what the lock pins: by name, each version and its environment marker."""
    pins: dict[str, list[tuple[Version, str]]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+))?", line):
            pins.setdefault(canonicalize_name(match[1]), []).append((Version(match[2]), (match[3] or "").strip()))
    return pins


def test_conda_environment_states_the_same_bounds() -> None:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {name: SpecifierSet(bounds) for name, _, bounds in (line.partition(" ") for line in listed)}
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    conda.pop("pip")
    assert conda == {CONDA_NAMES.get(need.name, need.name): need.specifier for need in REQUIREMENTS}


@pytest.mark.parametrize("need", REQUIREMENTS, ids=lambda need: need.name)
def test_lock_pins_every_dependency_within_its_bounds(need: Requirement) -> None:
    pins = locked_versions().get(canonicalize_name(need.name), [])
    assert pins, f"{need.name} is not in requirements.lock: make lock"
    for version, _ in pins:
        assert need.specifier.contains(version, prereleases=True), f"{need.name} {version} is locked: make lock"


def test_lock_is_hashed_and_knows_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > len(REQUIREMENTS)
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", text, re.MULTILINE)


def test_version_stands_in_one_value() -> None:
    import twin

    assert twin.__version__ == PROJECT["version"]
    assert f"[{twin.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_notebooks_are_kept_without_outputs() -> None:
    dirty = []
    for path in notebooks():
        for number, cell in enumerate(json.loads(path.read_text())["cells"], start=1):
            if cell.get("outputs") or cell.get("execution_count"):
                dirty.append(f"{path.relative_to(ROOT)} cell {number}")
    assert dirty == [], "clear the outputs before committing (jupyter nbconvert --clear-output --inplace ...)"


def test_files_stay_short_enough_to_read() -> None:
    files = [path for path in source_files() if path.parent.name != "docs"]  # a reference is as long as its subject
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {name: n for name, n in lengths.items() if n >= MAX_LINES} == {}


def test_prose_holds_no_place_of_one_machine() -> None:
    private = re.compile(r"(?<![\w.])/(?:home|Users|root|work|opt)/\w|\blocalhost:\d|file:/{3}")
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}" for path in source_files() for hit in private.finditer(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "command",
    [
        "make demo",
        "make test",
        "make lab",
        "make bench",
        "conda env create -f environment.yml",
        "twin.open(",
        "twin simulate",
    ],
)
def test_readme_names_what_people_type(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


def test_readme_is_kept_by_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    said = {word for page in pages for word in re.findall(r"`make ([a-z][a-z-]*)", page.read_text())}
    assert said <= targets


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in (path for path in source_files() if path.suffix == ".md"):
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
        broken += [f"{page.relative_to(ROOT)} -> {name}" for name in local if not (page.parent / name).exists()]
    assert broken == []


def test_licence_is_the_one_declared() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_places_that_the_docs_name_exist() -> None:
    pages = [path for path in source_files() if path.suffix == ".md" and path.name != "CHANGELOG.md"]
    named = {
        (page.name, hit)
        for page in pages
        for hit in re.findall(r"`((?:twin|tests|notebooks)/[\w./]+)`(?! \()", page.read_text())
    }
    assert sorted(f"{page}: {place}" for page, place in named if not (ROOT / place).exists()) == []
