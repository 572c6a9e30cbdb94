"""One bad run among good ones: every page stays up, says which file is damaged, and shows the others."""

import random
import shutil
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making import write_checkpoint, write_run, write_tables
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.pruning_making import write_pruning
from winnow.dashboard import navigation
from winnow.engine.runs.digests import note_digests
from winnow.engine.runs.run import Run

DAMAGES = {
    "emptied": lambda file: file.write_bytes(b""),
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "null": lambda file: file.write_bytes(b"null\n"),
    "list": lambda file: file.write_bytes(b"[1, {}]\n"),
    "object": lambda file: file.write_bytes(b'{"a": {"b": [null]}}\n'),
    "gone": lambda file: file.unlink(),
    "folder": lambda file: (file.unlink(), file.mkdir()),
    "flipped": lambda file: file.write_bytes(bytes(b ^ (n % 97 == 0) for n, b in enumerate(file.read_bytes()))),
}


@pytest.fixture
def bad(runs_root: Path) -> Run:
    """A run with all parts, whose work has ended, beside a good one."""
    runs_root.mkdir()
    good, run = (write_checkpoint(write_tables(write_run(runs_root, name=name), nearly=(0,))) for name in ("a", "b"))
    for folder in (good.path, run.path, write_explanation(run).path, write_pruning(run).path):
        note_digests(folder)
    return run


def exceptions(run: Run, url: str) -> list[str]:
    """Return the exceptions of a page that shows a run."""

    def script(url: str) -> None:
        from importlib import import_module

        from winnow.dashboard.shared.damage import guarded_page

        guarded_page(import_module(f"winnow.dashboard.pages.{url}.page").page)

    page = AppTest.from_function(script, default_timeout=60, kwargs={"url": url})
    page.query_params["run"] = run.id
    return [found.message for found in page.run().exception]


def trials(count: int, run: Run, seed: int) -> dict[str, list[str]]:
    """Damage one file after the other; return the exceptions of pages by what was done."""
    draw, found = random.Random(seed), {}
    files = sorted(str(file.relative_to(run.path)) for file in run.path.rglob("*") if file.is_file())
    kept = run.path.parent.parent / "kept"
    shutil.copytree(run.path, kept)
    for _ in range(count):
        name, damage = draw.choice(files), draw.choice(sorted(DAMAGES))
        DAMAGES[damage](run.path / name)
        url = draw.choice(sorted(navigation.ENTRIES))
        if said := exceptions(run, url):
            found[f"{damage} {name} on {url}"] = said
        shutil.rmtree(run.path)
        shutil.copytree(kept, run.path)
    return found


def test_no_page_dies_of_a_damaged_file(bad: Run):
    assert trials(12, bad, 0) == {}


@pytest.mark.study
def test_no_page_dies_of_any_damaged_file(bad: Run):
    found = trials(60, bad, 1)
    sys.stdout.write(f"60 damages: {len(found)} pages with exceptions\n")
    assert found == {}
