"""Networks of a user's own, written to a folder of theirs, and the command given there."""

import os
from pathlib import Path
from typing import Any

import pytest

NETS = """
import torch
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


class Odd(Net):
    def forward(self, x):
        return super().forward(torch.special.bessel_j0(x))  # which no architecture holds


def odd(fields):
    return Odd({name: field.outputs for name, field in fields.items()}, 4)


def wrong_shape(fields):
    return build({name: type("F", (), {"outputs": 3}) for name in fields})


def missing(fields):
    return build({name: field for name, field in fields.items() if name != "ink"})


def plain(fields, width=6):
    return build(fields, width)


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


def double(fields):
    return build(fields).double()


class Trainer(Net):
    def forward(self, x):
        return tuple(super().forward(x).values()) if self.training else super().forward(x)


def trainer(fields):
    return Trainer({name: field.outputs for name, field in fields.items()}, 4)


class Detached(Net):
    def forward(self, x):
        return {task: output.detach() for task, output in super().forward(x).items()}


def detached(fields):
    return Detached({name: field.outputs for name, field in fields.items()}, 4)


def no_module(fields):
    return dict(fields)
"""
DATA = """
import numpy as np
from winnow.data.sample import Field, Sample

FIELDS = {"side": Field(kind="classification", classes=("left", "right"), weights=(1.0, 2.0))}
FIELDS["light"] = Field(kind="regression")


class Halves:
    name, fields = "halves", FIELDS

    def __init__(self, split, length, size):
        self.seed, self.length, self.size = ("train", "val", "test").index(split), length, size

    def __len__(self):
        return self.length

    def sample(self, index):
        chance = np.random.default_rng([self.seed, index])
        image, side = chance.random((self.size, self.size, 1), np.float32) / 2, int(chance.integers(2))
        image[:, side * self.size // 2 : (side + 1) * self.size // 2] += 0.4
        return Sample(image, {"side": np.asarray(side), "light": np.asarray(image.mean(), np.float32)})

    def fingerprint(self):
        return f"{self.length} of {self.size}"


def load(split, length=64, size=8):
    return Halves(split, length, size)


def listed(split):
    return [1, 2, 3]


def unnamed(split):
    found = Halves(split, 8, 8)
    found.fields = {"side": "classification"}
    return found
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
    for name, text in {"__init__": "", "nets": NETS, "blocks": BLOCKS, "halves": DATA}.items():
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
