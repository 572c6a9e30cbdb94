"""Code as researchers write it: what it may take for granted, and what is said where it fits nothing."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from winnow.data.sample import Field
from winnow.data.trust import confirm
from winnow.engine.cli.own import own_values, spec_of_data
from winnow.engine.networks.own import build_own
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import OwnSpec
from winnow.engine.tasks.build import build_tasks

FIELDS = {"light": Field(kind="regression")}
FILES = {
    "__init__.py": "",
    "sub/__init__.py": "",
    "sub/more.py": "from ..base import Net\nFACTOR = 2\n",
    "base.py": """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Conv2d(1, width, 3), nn.Flatten(), nn.Linear(36 * width, 1))
        self.width = width
    def forward(self, x):
        return {"light": super().forward(x)}
""",
    "config.json": '{"width": 3}',
    "nets.py": """
import argparse, json
from dataclasses import dataclass
from pathlib import Path
from .base import Net
from .sub.more import FACTOR
parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=2)
args = parser.parse_args()
READ = json.loads((Path(__file__).parent / "config.json").read_text())
@dataclass(frozen=True)
class Config:
    width: int = 1
net = Net(1)
def build(fields, width=None, rate=0.0, bias=True, weights=None):
    print("building")
    assert weights is None and rate == 0.5 and bias is False
    return Net(Config(READ["width"] * FACTOR).width + (width or args.width))
def with_a_note(fields):
    return net, {"note": 1}
def one_by_one(fields):
    yield net
""",
    "ends.py": "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\np.parse_args()\n",
    "data.py": """
import numpy as np
from winnow.data.sample import Field, Sample
class Mine:
    name, fields = "mine", {"light": Field(kind="regression")}
    def __init__(self, size=8, root=None):
        self.size = size
        assert root is None
    def __len__(self):
        return self.size
    def sample(self, index):
        return Sample(np.ones((8, 8, 1), np.float32), {"light": np.asarray(0.5, np.float32)})
class Pairs(Mine):
    def sample(self, index):
        return np.ones((8, 8, 1), np.float32), {"light": 0.5}
def load(split, size=8, root="here"):
    return Mine(size, root)
def pairs(split):
    return Pairs()
def both(split):
    return Mine(), Mine()
def every(split):
    return {"train": Mine()}
def one_by_one(split):
    yield Mine()
""",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "strangers"
    (folder / "sub").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_TRUSTED", str(tmp_path / "trusted.json"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "strangers"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def network(code: str, *options: str) -> Any:
    given = {"network": code, "network_option": options, "trunk": None, "dataset": None, "dataset_option": None}
    spec = OwnSpec.model_validate(own_values(given)[0]["network"])
    confirm(spec.own_code().fingerprint())
    return build_own(spec, build_tasks(FIELDS, tuple(FIELDS)), 1)


def test_a_package_with_relative_imports_a_file_beside_it_options_and_a_parser_of_arguments(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["winnow", "train", "--width", "many"])
    net = network("strangers.nets:build", "rate=5e-1", "bias=False", "weights=None")
    assert net.width == 8
    assert network("strangers.nets:build", "rate=0.5", "bias=false", "width=3", "weights=null").width == 9
    assert sys.argv == ["winnow", "train", "--width", "many"]
    assert "building" not in capsys.readouterr().out  # which holds our JSON
    assert set(net(torch.ones(1, 1, 8, 8))) == {"light"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("strangers.nets:with_a_note", "got tuple from strangers.nets:with_a_note. Return the module itself"),
        ("strangers.nets:one_by_one", "got generator from"),
        ("strangers.nets:net", "must name a function that returns a torch module, got a module itself"),
        ("strangers.ends:build", r"got sys.exit\(2\) .* It may ask for arguments of a command line, and gets none"),
        ("strangers/nets.py:build", r"must be written as package.module:function, got 'strangers/nets.py:build'"),
    ],
)
def test_what_is_no_network_is_said(project: Path, code: str, said: str) -> None:
    with pytest.raises((ValueError, SpecError), match=f"`network` .*{said}"):
        network(code)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("both", "got tuple without name"),
        ("every", "got dict without name"),
        ("one_by_one", "got generator without name"),
    ],
)
def test_what_is_no_data_set_is_said(project: Path, code: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec_of_data(f"strangers.data:{code}", ())


def test_a_sample_that_is_none_is_said_and_an_option_may_be_none(project: Path) -> None:
    assert spec_of_data("strangers.data:load", ("size=4", "root=None")).load("val").sample(0).image.shape == (8, 8, 1)
    with pytest.raises(ValueError, match="(?s)`sample` must return a winnow.data.sample.Sample.*got tuple .*from mine"):
        spec_of_data("strangers.data:pairs", ()).load("val")
