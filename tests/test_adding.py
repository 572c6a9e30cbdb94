"""docs/adding.md is applied to a copy of the source as it is written, and what it adds trains and is right."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text()
MOST = 15  # lines of a block, blank ones not counted
SMALL = """--threads 1 --epochs 2 --size 16 --train-length 64 --val-length 32 --batch-size 16 --json"""
KINDS = """--name tiny --dataset stripes --network plain --widths 8,8 --penalty elastic --strength 0.01"""

PAGE_OPENED = """
import json
from streamlit.testing.v1 import AppTest
from winnow.dashboard.navigation import ENTRIES
script = "from importlib import import_module; import_module('winnow.dashboard.pages.alive.page').page()"
page = AppTest.from_string(script, default_timeout=60).run()
(figure,) = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
exceptions, layers = [error.message for error in page.exception], [line["name"] for line in figure["data"]]
print(json.dumps([exceptions, layers, ENTRIES["alive"].title == "Alive"]))
"""


@dataclass(frozen=True)
class Block:
    """A block of the page: a new file, or an edit of one that is there."""

    file: str
    edit: bool
    lines: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    found = re.findall(r'```(python|diff) title="([^"]+)"\n(.*?)```', page, re.S)
    return [Block(file, kind == "diff", tuple(code.rstrip("\n").split("\n"))) for kind, file, code in found]


def edited(text: str, block: Block) -> str:
    """Return the file with every run of added lines behind the line of context before it."""
    lines, place = text.split("\n"), 0
    for line in block.lines:
        sign, content = line[:1], line[1:]
        if sign == "+":
            lines.insert(place, content)
            place += 1
        else:
            place = lines.index(content) + 1
    return "\n".join(lines)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PYTHONPATH in which `winnow` is the source with the page applied."""
    root = tmp_path_factory.mktemp("copy")
    for package in ("data", "engine", "dashboard"):
        shutil.copytree(ROOT / package, root / "winnow" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks(PAGE):
        path = root / "winnow" / block.file
        assert path.exists() == block.edit, block.file
        path.parent.mkdir(exist_ok=True)
        path.write_text(edited(path.read_text(), block) if block.edit else "\n".join(block.lines) + "\n")
    return root


def python(copy: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=copy, timeout=240)


@pytest.fixture(scope="module")
def found(copy: Path) -> dict[str, Any]:
    done = python(copy, str(ROOT / "tests" / "adding.py"))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def winnow(copy: Path, runs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(copy, "-c", "from winnow.engine.cli.main import main; main()", *arguments, WINNOW_RUNS=str(runs))


@pytest.fixture(scope="module")
def trained(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    runs = tmp_path_factory.mktemp("runs")
    done = winnow(copy, runs, "train", *KINDS.split(), *SMALL.split())
    assert done.returncode == 0, done.stderr
    return runs, json.loads(done.stdout.splitlines()[-1])


def test_no_block_is_longer_than_fifteen_lines() -> None:
    assert len(blocks(PAGE)) >= 10
    written = {block.file: sum(bool(line.strip()) for line in block.lines) for block in blocks(PAGE)}
    assert {file: lines for file, lines in written.items() if lines > MOST} == {}


def test_each_thing_touches_two_existing_files_at_most() -> None:
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        assert len({block.file for block in blocks(section) if block.edit}) <= 2, section.splitlines()[0]


def test_the_data_set_draws_both_classes(found: dict[str, Any]) -> None:
    assert found["classes"] == [0, 1]


def test_the_network_answers_each_task(found: dict[str, Any]) -> None:
    assert found["outputs"] == [2, 2]


def test_the_proximal_step_of_the_penalty_is_optimal(found: dict[str, Any]) -> None:
    assert found["prox_error"] < 1e-5
    assert not found["any_metric"]


def test_the_metric_is_that_of_the_literature(found: dict[str, Any]) -> None:
    assert found["kappa"] == pytest.approx(0.4)  # the usual example: 35 of 50 agree, 25 by chance


def test_the_help_lists_the_new_kinds(found: dict[str, Any]) -> None:
    assert "stripes: " in found["help"]["dataset"]
    assert "plain: convolutions one after the other" in found["help"]["network"]
    assert "elastic: the norm of each group, and its square" in found["help"]["penalty"]
    assert "residual: channels of each stage; plain: channels of each layer" in found["help"]["widths"]
    assert "(residual only)" in found["help"]["blocks"]


def test_all_of_it_trains_together(trained: tuple[Path, dict[str, Any]]) -> None:
    runs, result = trained
    assert result["state"] == "done"
    assert result["metrics"]["course"][0] == "accuracy"
    events = next(runs.glob("*/events.jsonl")).read_text().splitlines()
    assert {"kappa", "balanced_accuracy"} <= {json.loads(line)["quantity"] for line in events}


def test_the_job_counts_the_parameters_of_the_run(copy: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    done = winnow(copy, trained[0], "count", "tiny", "--rows", "1", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])["parameters"]
    assert (row["name"], row["entries"]) == ("trunk.0.0.weight", 8 * 9)


def test_the_page_draws_the_groups_of_the_run(copy: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    done = python(copy, "-c", PAGE_OPENED, WINNOW_RUNS=str(trained[0]))
    assert done.returncode == 0, done.stderr
    exceptions, layers, linked = json.loads(done.stdout.splitlines()[-1])
    assert exceptions == []
    assert "trunk.2.0" in layers
    assert linked


def test_a_kind_of_another_is_refused_in_the_copy_too(copy: Path, tmp_path: Path) -> None:
    done = winnow(copy, tmp_path, "train", "--network", "plain", "--blocks", "1,1")
    assert done.returncode == 2
    assert "`blocks` is not an option of network plain" in done.stderr
