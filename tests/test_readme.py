"""What the README and the pages of docs/ show works as shown: every piece of Python, every command line, every link."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.engine.commanding import winnow_here
from winnow.engine import compact, coupled_groups
from winnow.engine.cli import main as command_line
from winnow.engine.graph.trace import trace
from winnow.engine.measure.bench import BenchSettings
from winnow.engine.sparsity.counts import living

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN_TESTS = {"adding.md", "networks.md", "own-network.md"}  # pages whose code other tests run
TRAINED = ["--dataset", "digits", "--widths", "8,8", "--blocks", "1,1", "--head-width", "8", "--threads", "1"]


class Own(nn.Module):
    """A user's network: two tasks, a residual sum, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.side = nn.Conv2d(32, 16, 1)
        self.heads = nn.ModuleDict({"brightness": nn.Linear(48, 1), "contrast": nn.Linear(48, 1)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.first(x)
        features = features + self.block(features)
        pooled = torch.cat([features, self.side(features).relu()], 1).mean((2, 3))
        return {task: head(pooled) for task, head in self.heads.items()}


def blocks() -> Iterator[str]:
    """Yield the Python of all pages but those that have tests of their own."""
    for page in PAGES:
        if page.name not in OWN_TESTS:
            yield from re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


OF_A_NETWORK = ("coupled_groups(net, example)", 'tasks=["depth"]', "save_model(", "relevance(net, batches)")
OF_A_REPAIR = ("from winnow.engine import repair",)
OF_A_BENCH = ("from winnow.engine import bench, folded",)
OF_A_RUN = ("list_snapshots(Path(", "events.jsonl")


def block(marker: str) -> str:
    (found,) = [code for code in blocks() if marker in code]
    return found


def test_every_piece_of_python_is_run():
    run = [block(marker) for marker in (*OF_A_NETWORK, *OF_A_REPAIR, *OF_A_BENCH, *OF_A_RUN)]
    assert sorted(run) == sorted(blocks())


def test_the_loop_of_your_own_removes_what_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    net, generator = Own(), torch.Generator().manual_seed(0)

    def batch(_: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.rand(16, 1, 8, 8, generator=generator) * torch.rand(16, 1, 1, 1, generator=generator)
        return images, {"brightness": images.mean((1, 2, 3)), "contrast": images.std((1, 2, 3))}

    def loss(predictions: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        return sum(functional.mse_loss(predictions[task][:, 0], value) for task, value in targets.items())

    names = {"net": net, "example": torch.rand(1, 1, 8, 8), "batch": batch, "loss": loss}
    in_the_loop, pruned, saved, explained = OF_A_NETWORK
    exec(block(in_the_loop), names)
    zero = names["counts"].percent("mac", living(names["optimizer"].norms))
    assert zero == pytest.approx(70, abs=3)  # one channel of this small network is 3 % of its MACs
    savings = trace(net, names["example"]).savings().iloc[-1]
    assert savings["removable_macs"] > 0.6 * savings["macs"]
    exec(block(pruned), names)
    small = names["small"]
    assert small.certificate.max_error_float64 < 1e-10
    assert sum(p.numel() for p in small.model.parameters()) < 0.6 * sum(p.numel() for p in net.parameters())
    monkeypatch.chdir(tmp_path)
    exec(block(saved), names)
    faster = names["figures"].query("quantity == 'macs'").set_index("model")["value"]
    assert faster["lean"] < faster["dense"]
    with torch.no_grad():
        torch.testing.assert_close(names["lean"](names["example"]), small.model(names["example"]), rtol=0, atol=0)
    names["batches"] = [batch(step) for step in range(2)]
    exec(block(explained), names)
    dead = names["found"].query("not alive")
    assert set(names["used"]["label"]) <= {"shared", "brightness", "contrast", "idle", "dead"}
    assert len(dead) > 0
    assert (dead["relevance"] == 0).all()


def test_a_network_is_repaired_as_shown():
    torch.manual_seed(0)
    net, images = Own().eval(), torch.rand(64, 1, 8, 8)
    groups = coupled_groups(net, images[:1])[:6]
    names = {"net": net, "groups": groups, "images": images, "example": images[:1], "compact": compact}
    exec(block(*OF_A_REPAIR), names)
    assert (names["rows"]["after"] <= names["rows"]["before"]).any()
    assert names["small"].certificate.max_error_float64 < 1e-10


def test_a_network_is_timed_as_shown(capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    net, example = Own().eval(), torch.rand(1, 1, 8, 8)
    quick = BenchSettings(forms=("eager",), batches=(1,), threads=(1,), rounds=3)
    names = {"net": net, "small": compact(net, example), "example": example, "quick": quick}
    exec(block(*OF_A_BENCH).replace("}, example)", "}, example, quick)"), names)
    torch.testing.assert_close(names["fast"](example), net(example), rtol=1e-4, atol=1e-5)
    assert {"dense", "compact"} <= set(names["tables"]["speeds"]["model"])
    assert "cause" in capsys.readouterr().out


def test_a_run_folder_is_read_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works_here: None):
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path / "runs"))
    done = winnow_here("train", *TRAINED, "--epochs", "2", "--target", "60", "--snapshots", "5")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    level = max(int(path.name) for path in (run / "snapshots").iterdir())
    monkeypatch.chdir(tmp_path)
    snapshot, format_ = (block(marker).replace("<id>", run.name) for marker in OF_A_RUN)
    names = {}
    exec(snapshot.replace("/snapshots/35", f"/snapshots/{level}"), names)
    points = names["list_snapshots"](run)
    assert [point.level for point in points][-1] == level
    assert sum(p.numel() for p in names["net"].parameters()) == points[-1].parameters
    newest = sorted((run / "weights").glob("0*.safetensors"))[-1]
    exec(format_.replace("00000740", newest.stem), names)
    assert {"time", "epoch", "step", "task", "split", "quantity", "value"} <= set(names["events"])
    assert len(names["weights"]) > 10


def command_lines() -> list[str]:
    """Return the lines of all pages that call `winnow`, in blocks and within sentences, as one would type them."""
    found = set()
    for page in PAGES:
        text = page.read_text() if page.name not in OWN_TESTS else ""
        for shown in [*re.findall(r"^(winnow .*)$", text, re.M), *re.findall(r"`(winnow [^`]*)`", text)]:
            found.add(shown.split("  #")[0].strip())
    return sorted(found)


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_is_understood(line: str, monkeypatch: pytest.MonkeyPatch):
    """Parse it as `winnow` does, without doing it; files that it names need not be there."""
    command, context = command_line.winnow, None
    arguments = shlex.split(line)[1:]
    while isinstance(command, click.Group) and arguments:
        context = command.make_context("winnow", [], parent=context, resilient_parsing=True)
        _, command, arguments = command.resolve_command(context, arguments)
        assert command is not None, line
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter, "type", click.STRING)
    with suppress(click.exceptions.Exit):  # of --help
        command.make_context(command.name, arguments, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), target
        assert not heading or heading in headings(other), target


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs write them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_rooms_of_the_readme_are_those_on_the_disk():
    text = (ROOT / "README.md").read_text()
    shown = set(re.findall(r"^[├└]── (\w+)/", text, re.M))
    assert shown == {path.parent.name for path in (ROOT / "engine").glob("*/__init__.py")}


def where() -> list[tuple[str, str, str]]:
    """Return the rows of docs/where.md."""
    page = (ROOT / "docs" / "where.md").read_text()
    return re.findall(r"^\| (?!question|---)(.+?) \| (.*?) \| (.*?) ?\|$", page, re.M)


@pytest.mark.parametrize(("question", "files", "names"), where(), ids=lambda value: value[:40])
def test_what_is_asked_for_is_where_the_page_says(question: str, files: str, names: str):
    found = [ROOT / path for path in re.findall(r"`([\w/.]+)`", files)]
    assert found or "](run-folder.md)" in files, question
    assert all(path.exists() for path in found), question
    modules = [module for path in found for module in (path.rglob("*.py") if path.is_dir() else [path])]
    text = "\n".join(module.read_text() for module in modules)
    for name in re.findall(r"`(\w+)`", names):
        assert re.search(rf"^(?:(?:def|class) {name}\b|{name}\b.*=)", text, re.M), (question, name)


@pytest.mark.study  # half a minute; CI builds the site in a job of its own
def test_the_site_is_built(tmp_path: Path):
    """Every link and every name in the docstrings' references is right; docs/site/mkdocs.yml is strict about it."""
    command = ["-P", "-m", "mkdocs", "build", "--strict", "-q", "-f", "docs/site/mkdocs.yml", "-d", str(tmp_path)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compact" in (tmp_path / "api" / "engine-pruning.html").read_text()
