"""Weights of torchvision and timm go into trunks of ours by their names, all of them, or are refused with counts."""

from typing import Any

import pytest
import torch

from tests.engine.networks import foreign_states as states
from winnow.data.sample import Field
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.network import parse_network
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.weights_file import put_trunk

TASKS = build_tasks({"side": Field(kind="classification", classes=("a", "b"))}, ["side"])
FILES: dict[str, tuple[dict[str, Any], states.Shapes]] = {
    **{name: ({"network": name}, states.resnet(name)) for name in states.BLOCKS},
    "resnet18d": ({"network": "resnet18", "variant": "d"}, states.resnet("resnet18", deep=True)),
    "resnet50d dilated": (
        {"network": "resnet50", "variant": "d", "output_stride": 8},
        states.resnet("resnet50", deep=True),
    ),
    "vit_small timm": ({"network": "vit-s"}, states.timm_vit(384)),
    "vit_base timm": ({"network": "vit-b"}, states.timm_vit(768)),
    "vit_b_16 torchvision": ({"network": "vit-b"}, states.torchvision_vit()),
    "vit_b_16 torchvision, older": ({"network": "vit-b"}, states.torchvision_vit(older=True)),
    "swin_t torchvision": ({"network": "swin-t"}, states.torchvision_swin()),
    "swin_tiny timm": ({"network": "swin-t"}, states.timm_swin()),
    "swin_tiny timm, older": ({"network": "swin-t"}, states.timm_swin(older=True)),
}
COUNTS = {"resnet18": 11_176_512, "resnet50": 23_508_032, "resnet101": 42_500_160, "swin_t torchvision": 27_519_354}
"""Parameters of the trunks, those of the libraries' models less the classifier."""


def put(asked: dict[str, Any], found: dict[str, torch.Tensor]) -> torch.nn.Module:
    spec = parse_network(asked)
    net = build_network(spec, TASKS, 3)
    put_trunk(net, spec, found, "net.pth")
    return net


@pytest.mark.parametrize("name", FILES)
def test_every_tensor_of_a_library_has_its_place(name: str) -> None:
    asked, shapes = FILES[name]
    spec = parse_network(asked)
    assert spec.foreign_names is not None
    theirs = spec.foreign_names.load()(shapes)
    with torch.device("meta"):
        trunk = build_network(spec, TASKS, 3).get_submodule("trunk")
    wanted = {name: tuple(own.shape) for name, own in trunk.state_dict().items()}
    assert {ours: shapes[one] for one, ours in theirs.items()} == wanted
    left = {one.partition(".")[0] if "." in one else one for one in shapes if one not in theirs}
    assert left <= {"fc", "head", "heads", "features", "layers"}
    if name in COUNTS:
        assert sum(own.numel() for own in trunk.parameters()) == COUNTS[name]


@pytest.mark.parametrize("name", ["resnet18d", "swin_tiny timm, older"])
def test_the_tensors_arrive(name: str) -> None:
    asked, shapes = FILES[name]
    found = states.filled(shapes)
    names = parse_network(asked).foreign_names.load()(shapes)  # type: ignore[union-attr]
    trunk = put(asked, found).get_submodule("trunk").state_dict()
    assert all(torch.equal(trunk[ours], found[one]) for one, ours in names.items())


def test_a_file_that_does_not_fit_is_refused_with_counts() -> None:
    found = states.filled(states.resnet("resnet34"))
    with pytest.raises(ValueError, match=r"0 missing \(none\), 96 unexpected \(layer1.2.conv1.weight"):
        put({"network": "resnet18"}, found)
    del found["bn1.bias"]
    found["layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    with pytest.raises(ValueError, match=r"1 missing \(stem.0.1.bias\), 0 unexpected \(none\) and 1 of another shape"):
        put({"network": "resnet34"}, found)
    with pytest.raises(ValueError, match="missing"):
        put({"network": "vit-s"}, states.filled(states.resnet("resnet18")))


def test_a_file_without_counts_of_batches_is_taken_and_heads_stay_fresh() -> None:
    found = {k: v for k, v in states.filled(states.resnet("resnet18")).items() if "num_batches" not in k}
    torch.manual_seed(3)
    net = put({"network": "resnet18"}, found)
    torch.manual_seed(3)
    fresh = build_network(parse_network({"network": "resnet18"}), TASKS, 3)
    assert torch.equal(net.get_parameter("heads.side.out.weight"), fresh.get_parameter("heads.side.out.weight"))


def test_every_tower_of_a_cross_stitch_network_gets_the_weights() -> None:
    fields = {name: Field(kind="regression") for name in ("a", "b")}
    spec = parse_network({"network": "resnet18", "coupling": "cross-stitch"})
    net, found = build_network(spec, build_tasks(fields, list(fields)), 3), states.filled(states.resnet("resnet18"))
    put_trunk(net, spec, found, "net.pth")
    for task in fields:
        assert torch.equal(
            net.get_parameter(f"towers.{task}.stages.3.1.conv2.0.weight"), found["layer4.1.conv2.weight"]
        )
