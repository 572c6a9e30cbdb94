"""The examples in the docstrings of what users import from `winnow.engine`: each is run and gives what it says."""

import doctest
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import winnow.engine

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GIVEN = {"torch": torch, "nn": nn, "Path": Path}


def shown() -> list[str]:
    """Return the names that the pages import from `winnow.engine`."""
    lines = [
        line for page in PAGES for line in re.findall(r"^from winnow\.engine import (.*)$", page.read_text(), re.M)
    ]
    return sorted({name.strip() for line in lines for name in line.partition("#")[0].split(",")})


def surface() -> dict[str, Any]:
    return {name: getattr(winnow.engine, name) for name in winnow.engine.__all__}


def examples(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder().find(surface()[name], name, globs={**GIVEN, **surface()})
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", winnow.engine.__all__)
def test_examples_give_what_they_say(name: str):
    torch.manual_seed(0)
    for test in examples(name):
        said: list[str] = []
        failed = doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed
        assert failed == 0, "".join(said)


@pytest.mark.parametrize("name", shown())
def test_what_the_pages_import_shows_an_example(name: str):
    assert examples(name)
