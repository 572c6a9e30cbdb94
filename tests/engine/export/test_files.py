"""ONNX and torch.export files: the same outputs at any batch, or none at all."""

import logging
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.graph.zoo import Program, conv
from tests.engine.pruning.test_compact import silenced
from winnow.engine.export import (
    MissingPackages,
    NotDescribable,
    NotSame,
    export_onnx,
    export_program,
    load_model,
    save_model,
)
from winnow.engine.export import onnx_file as module
from winnow.engine.export.graphs import names_of
from winnow.engine.export.onnx_file import Session
from winnow.engine.pruning import compact

IMAGE = torch.randn(1, 3, 8, 8)


def small(name: str, **options) -> tuple[torch.nn.Module, Tensor]:
    net, x = silenced(name, "input", 0.5)
    return compact(net.float(), x.float(), gather="always", **options).model, x.float()


def test_a_tailored_network_runs_in_onnx(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    net, x = small("ours bottleneck, D-stem, ASPP", tasks=["depth", "kind"])
    net.train()
    before = list(warnings.filters)
    found = export_onnx(net, x, tmp_path / "net.onnx")
    assert warnings.filters == before
    assert not logging.getLogger("torch.onnx._internal.exporter._registration").filters
    assert net.training
    assert found.relative_error <= 1e-4
    assert [words.rpartition("; ")[2] for words in found.compared] == ["2 images", "1 image", "3 images"] * 2
    assert found.path.stat().st_size == found.bytes
    assert list(tmp_path.iterdir()) == [found.path]
    assert __file__.encode() not in found.path.read_bytes()
    session = Session(found.path, threads=1)
    assert [output.name for output in session.session.get_outputs()] == ["depth", "kind"]
    assert session.names == ["images"]
    images = torch.randn(5, 3, 16, 16)
    for one, other in zip(session({"images": images}), net.eval()(images).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_rebuilt_program_runs_in_onnx_and_as_an_exported_program(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    net, x = small("splits")
    save_model(tmp_path, net, x)
    again = load_model(tmp_path)
    assert export_onnx(again, x, tmp_path / "net.onnx").relative_error <= 1e-4
    assert export_program(again, x, tmp_path / "net.pt2").relative_error == 0.0


@pytest.mark.parametrize("name", ["ours basic", "u-net"])
def test_an_exported_program(name: str, tmp_path: Path):
    net, x = small(name)
    found = export_program(net, x[:1], tmp_path / "net.pt2")
    assert found.relative_error <= 1e-6
    assert [words.rpartition("; ")[2] for words in found.compared] == ["1 image", "3 images"] * 2
    content = found.path.read_bytes()
    assert (len(content), content[:2]) == (found.bytes, b"PK")
    assert str(Path(sys.modules["winnow.engine"].__path__[0])).encode() not in content
    with pytest.raises(ValueError, match=r"`path` must end in \.pt2"):
        export_program(net, x, tmp_path / "net.onnx")


def test_no_image_of_the_user_is_in_the_file(tmp_path: Path):
    net, x = small("mlp")
    content = export_program(net, x, tmp_path / "net.pt2").path.read_bytes()
    assert x.numpy().tobytes() not in content
    assert (
        net.layers[0].weight.detach().numpy().tobytes() in content
    )  # uncompressed, so that the search means something


def test_what_gives_other_outputs_is_not_handed_out(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    net = Program(lambda m, x: m.a(x) + torch.rand_like(x[:, :1]), a=conv(3, 2)).eval()
    with pytest.raises(NotSame, match="`model` must give the same outputs when exported"):
        export_onnx(net, IMAGE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


FIXED = {
    "by the model": lambda m, x: m.a(x).reshape(2, 2, 8, 8),
    "by Python": lambda m, x: m.a(x) / int(x.shape[0]),
}


@pytest.mark.parametrize(("program", "export"), [("by Python", export_onnx), ("by the model", export_program)])
def test_a_batch_that_cannot_vary_is_refused(program: str, export, tmp_path: Path):
    pytest.importorskip("onnxruntime")
    net = Program(FIXED[program], a=conv(3, 2)).eval()
    with pytest.raises((NotDescribable, NotSame), match="`model` must"):
        export(net, IMAGE.expand(2, -1, -1, -1), tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_python_counts_may_vary_in_an_exported_program(tmp_path: Path):
    net = Program(lambda m, x: m.a(x) + x.new_ones(len(x), 2, 1, 1) / int(x.shape[0]), a=conv(3, 2)).eval()
    found = export_program(net, IMAGE.expand(2, -1, -1, -1), tmp_path / "net.pt2")
    assert found.relative_error <= 1e-6
    assert [words.rpartition("; ")[2] for words in found.compared] == ["2 images", "1 image", "3 images"] * 2


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda m, x: m.a(x).reshape(2, 2, 8, 8), "a program for 2 images only"),
        (
            lambda m, x: m.a(x) / (2 if x.shape[0] < 30 else 3),
            "a program for which 2 <= the number of images and the number",
        ),
    ],
)
def test_why_a_batch_cannot_vary_is_said_in_words(program, words: str, tmp_path: Path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("torch"), "propagate", True)  # else nothing of torch's is heard
    net = Program(program, a=conv(3, 2)).eval()
    with pytest.raises(NotDescribable, match=f"`model` must take any number of images to be exported, got {words}"):
        export_program(net, IMAGE.expand(2, -1, -1, -1), tmp_path / "net.pt2")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class Writing(torch.nn.Module):
    """Rescales its table as it is read, and counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = torch.nn.Parameter(torch.randn(9, 5)), torch.nn.Linear(5, 2)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.passes.add_(1)
        return self.out(torch.nn.functional.embedding(x, self.table, max_norm=0.1))


def test_an_export_writes_nothing_into_the_model_nor_its_passes_into_the_file(tmp_path: Path):
    net, x = Writing().eval(), torch.arange(6).reshape(3, 2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    export_program(net, x, tmp_path / "net.pt2")
    written = torch.export.load(tmp_path / "net.pt2").state_dict
    for name, tensor in before.items():
        assert torch.equal(net.state_dict()[name], tensor)
        assert torch.equal(written[name], tensor)


def test_onnx_is_for_float32(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(NotDescribable, match=r"model\.float\(\)"):
        export_onnx(Program(lambda m, x: m.a(x), a=conv(3, 2)).double(), IMAGE.double(), tmp_path / "net.onnx")


def test_missing_packages_are_named_with_the_way_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PACKAGES", ("onnx", "onnxscript", "no_such_runtime"))
    with pytest.raises(MissingPackages, match=r"no_such_runtime.*pip install 'winnow-mtl\[export\]'") as caught:
        export_onnx(Program(lambda m, x: m.a(x), a=conv(3, 2)), IMAGE, tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_outputs_are_named_after_the_tasks():
    assert names_of(["depth", "both.0", "1", ""]) == ["depth", "both_0", "output_1", "output_0"]
