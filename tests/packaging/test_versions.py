"""What is imported is declared, what is declared is pinned, and what users read names the right distribution."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "engine", "dashboard")
NAME = "winnow-mtl"
LATER = (ast.FunctionDef, ast.AsyncFunctionDef)  # an import inside of these is made when it is needed


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@cache
def pins() -> dict[str, str]:
    """Return the version of each distribution in constraints.txt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(requirement).name) for requirement in requirements}


def extras() -> list[str]:
    """Return the extras that `make test` installs."""
    found = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert found
    return found[1].split(",")


def imported(tree: ast.AST, later: bool) -> Iterator[str]:
    """Yield the first names of what a module imports, inside functions too if `later`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and later:
            yield from (str(name.value).split(".")[0] for name in node.args[:1] if isinstance(name, ast.Constant))
        if later or not isinstance(node, LATER):
            yield from imported(node, later)


def third_party(folders: tuple[str, ...], later: bool) -> set[str]:
    """Return the distributions that the modules below some folders import."""
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    found = {name for file in files for name in imported(ast.parse(file.read_text()), later)}
    known = packages_distributions()
    foreign = found - sys.stdlib_module_names - {"winnow", "tests"}
    return {canonicalize_name(known.get(name, [name])[0]) for name in foreign}


def test_what_a_module_imports_at_once_is_a_dependency():
    assert third_party(PACKAGES, later=False) <= names(project()["dependencies"])


def test_what_is_imported_when_needed_is_declared_in_an_extra():
    declared = names([*project()["dependencies"], *chain(*project()["optional-dependencies"].values())])
    assert third_party(PACKAGES, later=True) <= declared
    assert third_party(("tests",), later=True) <= declared


def test_torch_has_no_upper_bound():
    (torch,) = [Requirement(text) for text in project()["dependencies"] if text.startswith("torch>")]
    assert {part.operator for part in torch.specifier} == {">="}


def test_the_tests_commands_install_every_extra_but_the_benchmarks_and_other_trainers():
    apart = {"bench", "fuzz", "huggingface", "lightning", "trackers"}  # large, or not for every Python
    assert set(extras()) == set(project()["optional-dependencies"]) - apart
    assert "-c constraints.txt" in (ROOT / "Makefile").read_text()


def test_the_pins_are_within_the_ranges():
    wrong = [
        text for text in installed() if not Requirement(text).specifier.contains(pins()[key(text)], prereleases=True)
    ]
    assert wrong == []


def test_the_pins_are_complete():
    assert needed(installed()) - pins().keys() == set(), "run `make constraints`"


def installed() -> list[str]:
    """Return what `make test` asks pip for."""
    return [*project()["dependencies"], *chain(*(project()["optional-dependencies"][extra] for extra in extras()))]


def key(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def needed(requirements: list[str]) -> set[str]:
    """Return all distributions that some requirements come to, by what is installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [(key(text), extra) for text in requirements for extra in ("", *Requirement(text).extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        asked = [Requirement(text) for text in distribution(name).requires or []]
        kept = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": extra})]
        waiting += [(canonicalize_name(one.name), more) for one in kept for more in ("", *one.extras)]
    return {name for name, _ in found}


def test_users_are_told_the_right_distribution():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = [ROOT / file for file in tracked if file.endswith((".py", ".md", ".toml", ".yml"))]
    stranger = re.compile(r"pip install [^\n]*\bwinnow(?!-)(?=[\\\[\"']|$)", re.M)
    wrong = [str(file) for file in texts if file.exists() and stranger.search(file.read_text())]
    assert wrong == []
