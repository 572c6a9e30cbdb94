"""No process of ours imports from the working folder: every Python that we start gets `-P`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAID = ("Diagnosis",)  # what is called so holds text for the user, and starts nothing
FILES = [file for package in ("data", "engine", "dashboard") for file in sorted((ROOT / package).rglob("*.py"))]


def unsafe(source: str) -> list[int]:
    """Return the lines that name this Python and do not hand it `-P` at once; a finding that only says it is safe."""
    tree = ast.parse(source)
    safe = {
        id(first)
        for node in ast.walk(tree)
        if isinstance(node, ast.List)
        for first, second in zip(node.elts, node.elts[1:], strict=False)
        if isinstance(second, ast.Constant) and second.value == "-P"
    }
    safe |= {
        id(named)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and str(getattr(node.values[-1], "value", "")).startswith(" -P")
        for named in ast.walk(node)
    }
    safe |= {
        id(named)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SAID
        for named in ast.walk(node)
    }
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return [node.lineno for node in named if ast.unparse(node) == "sys.executable" and id(node) not in safe]


def test_every_python_that_is_started_has_a_safe_path():
    found = {str(file.relative_to(ROOT)): lines for file in FILES if (lines := unsafe(file.read_text()))}
    assert found == {}
    assert sum("sys.executable" in file.read_text() for file in FILES) >= 3  # the search finds what there is


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('run([sys.executable, "-P", "-m", "x"])', []),
        ('run([sys.executable, "-m", "x"])', [1]),
        ('run([sys.executable, "-m", "x", "-P"])', [1]),
        ('a = 1\npython = f"{quote(sys.executable)} -P"', []),
        ('a = 1\npython = f"{sys.executable} -m x"', [2]),
        ("python = sys.executable", [1]),
        ('Diagnosis("python", f"3.11 at {sys.executable}")', []),
        ('start("python", f"3.11 at {sys.executable}")', [1]),
    ],
)
def test_what_counts_as_safe(source: str, lines: list[int]):
    assert unsafe(source) == lines
