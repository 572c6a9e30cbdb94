"""Weights from a file: exactly those of the network, or refused with the names; rates by names of parameters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from winnow.engine.specs.train import OptimiserSpec
from winnow.engine.training.optimisers import build_optimizer, set_rate
from winnow.engine.training.weights_file import COUNTED, put_weights, read_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


WAYS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "net.safetensors": lambda net, file: save_file(net.state_dict(), file),
    "net.pth": lambda net, file: torch.save(net.state_dict(), file),
    "checkpoint.pt": lambda net, file: torch.save({"model": {"state_dict": net.state_dict()}, "epoch": 3}, file),
    "called.pth": lambda net, file: save_file(net.state_dict(), file),
    "called.safetensors": lambda net, file: torch.save(net.state_dict(), file),
    "old.pt": lambda net, file: torch.save(net.state_dict(), file, _use_new_zipfile_serialization=False),
    "ddp.pt": lambda net, file: torch.save({f"module.{k}": v for k, v in net.state_dict().items()}, file),
}


@pytest.mark.parametrize("name", WAYS)
def test_weights_come_from_a_file_in_any_usual_form(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    saved, net = network(), network()
    WAYS[name](saved, tmp_path / name)
    put_weights(net, read_weights(tmp_path / name), name)
    for key, tensor in saved.state_dict().items():
        assert torch.equal(net.state_dict()[key], tensor)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: own.pop("2.bias"), r"1 missing \(2.bias\), 0 unexpected \(none\) and 0 of another shape \(none\)"),
        (
            lambda own: own.update(more=torch.zeros(1)),
            r"0 missing \(none\), 1 unexpected \(more\) and 0 of another shape \(none\)",
        ),
        (
            lambda own: own.update({"2.bias": torch.zeros(3)}),
            r"0 missing \(none\), 0 unexpected \(none\) and 1 of another shape \(2.bias \(3,\) for \(2,\)\)",
        ),
    ],
)
def test_other_tensors_are_refused_by_name_and_nothing_is_changed(change: Callable[[Any], Any], said: str) -> None:
    net, own = network(), dict(network().state_dict())
    change(own)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        put_weights(net, own, "f")
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "which is empty"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b'{"metadata": {}, "weight_map": {}}', "which is JSON. An index names"),
        (b"\x89HDF\r\n", "which is HDF5"),
        (b"12345678901", "which is another format"),
    ],
)
def test_a_file_is_read_as_what_its_first_bytes_say(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(ValueError, match=f"`weights` must be a file of safetensors or what torch.save writes.*{said}"):
        read_weights(tmp_path / "net.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch.jit is old, as files are
def test_a_torchscript_archive_is_named(tmp_path: Path) -> None:
    torch.jit.trace(nn.Linear(1, 1), torch.ones(1, 1)).save(str(tmp_path / "net.pt"))
    with pytest.raises(ValueError, match=r"a TorchScript archive. Save torch.jit.load\(file\).state_dict"):
        read_weights(tmp_path / "net.pt")


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "whole.pt")  # the module itself: reading it would run code
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    (tmp_path / "text.safetensors").write_text("no")
    for name, said in {
        "whole.pt": "must hold tensors alone",
        "list.pt": "must hold a state_dict, got list",
        "text.safetensors": "must be a file of safetensors",
        "gone.pt": "must be a file, got .*gone.pt",
    }.items():
        with pytest.raises(ValueError, match=f"`weights` {said}"):
            read_weights(tmp_path / name)
    with pytest.raises(ValueError, match="got other bytes"):
        read_weights(tmp_path / "list.pt", "0" * 64)


def test_a_pattern_gives_its_parameters_another_rate() -> None:
    net = network()
    spec = OptimiserSpec(learning_rate=0.01, rate={"0.*": 0.1, "*.bias": 0.0})
    optimizer = build_optimizer(spec, net.named_parameters(), [nn.Parameter(torch.zeros(1))])
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = [([names.get(id(p), "more") for p in group["params"]], group["lr"]) for group in optimizer.param_groups]
    assert found == [
        (["1.weight", "2.weight"], 0.01), (["0.weight", "0.bias"], pytest.approx(0.001)), (["1.bias", "2.bias"], 0.0),
        (["more"], 0.01),
    ]  # fmt: skip
    set_rate(optimizer, spec, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005, 0.0005, 0, 0.005])
    with pytest.raises(ValueError, match="`rate` must have patterns that fit names of parameters, such as 0.weight"):
        build_optimizer(OptimiserSpec(rate={"trunk.*": 0.1}), net.named_parameters())


class Tied(nn.Module):
    """A network that has one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.b.weight = self.a.weight


def averaged(net: nn.Module) -> dict[str, Tensor]:
    return AveragedModel(net).state_dict()


@pytest.mark.parametrize(
    "kept",
    [
        lambda net: {"epoch": 3, "state_dict": {f"net.{name}": own for name, own in net.state_dict().items()}},
        lambda net: {"ema": net.state_dict(), "optimizer": {"state": {}, "param_groups": []}},
        lambda net: averaged(net),
        lambda net: {
            name: own for name, own in net.state_dict().items() if name not in ("b.weight", f"norm.{COUNTED}")
        },
        lambda net: {name: own.double() if own.is_floating_point() else own for name, own in net.state_dict().items()},
    ],
    ids=["lightning", "one entry", "averaged", "shared and counters left out", "double"],
)
def test_checkpoints_in_the_wild_give_the_network_its_weights(tmp_path: Path, kept: Any) -> None:
    torch.manual_seed(0)
    net, other = Tied(), Tied()
    torch.save(kept(net), tmp_path / "net.pth")
    put_weights(other, read_weights(tmp_path / "net.pth"), "net.pth")
    assert all(torch.equal(own, other.state_dict()[name]) for name, own in net.state_dict().items())
    assert other.a.weight is other.b.weight


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: (own * 100).to(torch.int8), "plain float32 or half-precision numbers, got int8 for a.weight"),
        (lambda own: own.bool(), "got bool for a.weight"),
        (lambda own: own.to_sparse(), "got sparse_coo for a.weight"),
        (lambda own: own.to(torch.complex64), "got complex64 for a.weight"),
        (lambda own: own * torch.nan, "finite numbers, got NaN or infinity for a.weight"),
        (lambda own: own + 1, "one value for a.weight and b.weight, which the network shares, got two"),
    ],
)
def test_numbers_that_are_no_weights_are_refused(tmp_path: Path, change: Any, said: str) -> None:
    net = Tied()
    state = net.state_dict()
    torch.save({**state, "a.weight": change(state["a.weight"])}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=said):
        put_weights(net, read_weights(tmp_path / "net.pth"), "net.pth")


def test_several_state_dicts_are_refused(tmp_path: Path) -> None:
    state = Tied().state_dict()
    torch.save({"model": state, "model_ema": state}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"one state_dict, got model, model_ema .* Save the one that you mean"):
        read_weights(tmp_path / "net.pth")
