"""Networks of a user's own, written to a folder of theirs, and the command given there."""

import os
from pathlib import Path
from typing import Any

import pytest

NETS = """
from torch import nn
from torch.nn import functional as F
from mypkg.blocks import block


class Net(nn.Module):
    def __init__(self, outputs, width):
        super().__init__()
        self.first = block(1, width)
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.out = nn.ModuleDict({name: nn.Linear(2 * width, count) for name, count in outputs.items()})

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.second(F.relu(self.first(x)))), 2).mean((2, 3))
        return {name: head(x) for name, head in self.out.items()}


def build(fields, width=6):
    return Net({name: field.outputs for name, field in fields.items()}, width)


class Odd(Net):  # torch.export cannot draw it: the way through depends on the numbers of the channels
    def forward(self, x):
        return {name: value * (1 if x.shape[1] == 1 else 2) for name, value in super().forward(x).items()}


def wrong_shape(fields):
    return build({name: type("F", (), {"outputs": 3}) for name in fields})


def missing(fields):
    return build({name: field for name, field in fields.items() if name != "ink"})


class Extra(Net):
    def forward(self, x):
        return {**super().forward(x), "aux": x.mean((1, 2, 3))}


def extra(fields):
    return Extra({name: field.outputs for name, field in fields.items()}, 4)


class Nothing(Net):
    def forward(self, x):
        return {**super().forward(x), "ink": None}


def nothing(fields):
    return Nothing({name: field.outputs for name, field in fields.items()}, 4)


def no_module(fields):
    return dict(fields)
"""
BLOCKS = """
from torch import nn


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
"""
QUICK = ["--dataset", "digits", "--threads", "1", "--epochs", "1", "--batch-size", "256"]


def project(folder: Path) -> Path:
    """Write the package, and beside it modules of the names that Python and torch have; return its folder."""
    package = folder / "project" / "mypkg"
    package.mkdir(parents=True)
    for name, text in {"__init__": "", "nets": NETS, "blocks": BLOCKS}.items():
        (package / f"{name}.py").write_text(text)
    for trap in ("torch", "data", "json", "numpy"):
        (package.parent / f"{trap}.py").write_text("raise RuntimeError('the user has a file of this name')\n")
    return package.parent


def at_home(patch: pytest.MonkeyPatch, folder: Path, cwd: Path) -> None:
    """Give the command in a folder, with runs and settings of the test's own."""
    patch.setenv("WINNOW_RUNS", str(folder / "runs"))
    patch.setenv("WINNOW_TRUSTED", str(folder / "trusted.json"))
    patch.chdir(cwd)


def environment(folder: Path, **more: str) -> dict[str, Any]:
    return {**os.environ, "WINNOW_RUNS": str(folder / "runs"), "WINNOW_TRUSTED": str(folder / "trusted.json"), **more}
