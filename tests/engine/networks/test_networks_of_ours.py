"""Trunks, heads and couplings of ours: shapes at any size, exact removal, seams, refusals, frozen norms."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from winnow.data.sample import Field
from winnow.engine import GroupLasso, Proximal, compact, coupled_groups
from winnow.engine.graph.sharing import parts_of
from winnow.engine.graph.trace import trace
from winnow.engine.networks import swin, vit
from winnow.engine.networks.coupling import on_trunk
from winnow.engine.networks.multitask import MultiTaskNet, Seam, build_network
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import NETWORKS, parse_network
from winnow.engine.specs.train import parse
from winnow.engine.specs.trunk import TrunkSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task

FIELDS = {
    "seg": Field(kind="segmentation", classes=("a", "b", "c")),
    "depth": Field(kind="depth"),
    "side": Field(kind="classification", classes=("left", "right")),
}
TASKS = build_tasks(FIELDS, list(FIELDS))
SMALL = {"network": "residual", "widths": (6, 8, 10), "blocks": (1, 1, 1), "head_width": 6}
Make = Callable[[], nn.Module]


def built(tasks: dict[str, Task] = TASKS, channels: int = 3, **asked: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network(parse_network({**SMALL, **asked}), tasks, channels).eval()


def narrow_vit(**asked: Any) -> nn.Module:
    torch.manual_seed(0)
    spec = parse_network({"network": "vit-s", "head_width": 6, **asked})
    assert isinstance(spec, TrunkSpec)
    return on_trunk(spec, TASKS, lambda every: vit.VitTrunk(vit.VitSize(24, 3), 3, 8, every)).eval()


def narrow_swin(**asked: Any) -> nn.Module:
    torch.manual_seed(0)
    spec = parse_network({"network": "swin-t", "head_width": 6, **asked})
    assert isinstance(spec, TrunkSpec)
    return on_trunk(spec, TASKS, lambda every: swin.SwinTrunk(3, every, 24)).eval()


NETS: dict[str, tuple[Make, tuple[int, int]]] = {
    "a head each": (lambda: built(head="aspp"), (17, 22)),
    "a decoder": (lambda: built(head="unet"), (17, 26)),
    "heads at stages": (lambda: built(head_stage={"depth": 1, "side": 2}), (32, 24)),
    "a decoder up to a stage": (lambda: built(head="unet", head_stage={"seg": 2}), (32, 24)),
    "masks": (lambda: built(coupling="mtan", dilated=False, head="unet"), (32, 40)),
    "stitches": (lambda: built(coupling="cross-stitch"), (32, 40)),
    "a transformer": (narrow_vit, (24, 40)),
    "windows": (narrow_swin, (29, 41)),
}


@pytest.mark.parametrize("name", NETS)
def test_outputs_have_the_size_of_the_image_and_removal_is_exact(name: str) -> None:
    make, (height, width) = NETS[name]
    net, images = make(), torch.rand(2, 3, height, width)
    found = net(images)
    assert {task: tuple(own.shape) for task, own in found.items()} == {
        "seg": (2, 3, height, width),
        "depth": (2, 1, height, width),
        "side": (2, 2),
    }
    graph = trace(net, images[:1])
    groups = coupled_groups(net, images[:1], within=parts_of(graph).trunk, graph=graph)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), groups, GroupLasso(0.0))
    chance = torch.Generator().manual_seed(1)
    proximal.freeze([torch.rand(bank.channels, generator=chance) > 0.5 for bank in proximal.banks])
    small = compact(net, images[:1])
    assert small.certificate.max_error_float64 < 1e-12
    count, before = (sum(own.numel() for own in part.parameters()) for part in (small.model, net))
    assert count < 0.9 * before


@pytest.mark.parametrize("name", ["a head each", "a decoder", "heads at stages", "masks"])
def test_a_seam_holds_the_features_of_every_stage(name: str) -> None:
    make, size = NETS[name]
    net, images = make(), torch.rand(2, 3, *size)
    assert isinstance(net, MultiTaskNet)
    seam = Seam(net)
    features = seam.features(images)
    assert features.shape[0] == 2
    read, whole = seam.read(dict.fromkeys(FIELDS, features), images.shape[-2:]), net(images)
    assert all(torch.equal(read[task], whole[task]) for task in FIELDS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_ours_is_built_by_its_name(name: str) -> None:
    assert parse({"network": {"network": name}}).network.network == name
    vectors = {"side": FIELDS["side"], "level": Field(kind="regression")}
    with torch.device("meta"):
        net = build_network(NETWORKS[name](), build_tasks(vectors, list(vectors)), 3)
        size = (1, 5) if name == "mmoe" else (64, 64)
        assert {task: tuple(own.shape) for task, own in net.eval()(torch.rand(2, 3, *size)).items()} == {
            "side": (2, 2),
            "level": (2, 1),
        }


def test_mmoe_weighs_experts_by_a_gate_of_each_task() -> None:
    fields = {"a": Field(kind="regression"), "b": Field(kind="regression")}
    spec = parse_network({"network": "mmoe", "experts": 3, "expert_width": 8, "view": 3})
    net, inputs = build_network(spec, build_tasks(fields, list(fields)), 4).eval(), torch.rand(5, 4, 1, 7)
    with torch.no_grad():
        net.get_submodule("gates.a").bias.copy_(torch.tensor([50.0, 0.0, 0.0]))  # type: ignore[union-attr, operator]
        expert = net.get_submodule("experts.0")(inputs.squeeze(2)).mean(2)
        alone = net.get_submodule("heads.a")(expert[:, :, None, None])
    assert torch.allclose(net(inputs)["a"], alone, atol=1e-6)
    assert compact(net, inputs[:1]).certificate.max_error_float64 < 1e-12
    with pytest.raises(ValueError, match=r"`inputs` must be vectors or sequences, \(B, C, 1, T\), for mmoe, got"):
        net(torch.rand(1, 4, 2, 7))
    with pytest.raises(ValueError, match="`network` must not be mmoe for dense tasks, got seg, depth"):
        build_network(spec, TASKS, 3)


def test_frozen_norms_neither_learn_nor_move() -> None:
    net = built(frozen_norms=True).train()
    norms = {name: own for name, own in net.named_modules() if isinstance(own, nn.BatchNorm2d)}
    assert {name.startswith("heads.") for name, own in norms.items() if own.training} == {True}
    before = {name: own.running_mean.clone() for name, own in norms.items() if own.running_mean is not None}
    loss = sum(own.square().mean() for own in net(torch.rand(4, 3, 32, 32)).values())
    loss.backward()
    moved = {
        name.startswith("heads.") for name, own in norms.items() if not torch.equal(before[name], own.running_mean)
    }
    assert moved == {True}
    assert all(own.weight.grad is None for name, own in norms.items() if not name.startswith("heads."))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"head_stage": {"sky": 1}}, "`head_stage` must name tasks of the run, seg, depth, side, got sky"),
        ({"head_stage": {"seg": 4}}, "`head_stage` must be at most 3 in residual, got seg=4"),
        ({"head_stage": {"seg": 0}}, "`head_stage` must be at least 1, got seg=0"),
        ({"network": "resnet18", "output_stride": 24}, "`output_stride` must be 8, 16 or 32, got 24"),
        ({"network": "mmoe", "view": 2}, "`view` must be odd, got 2"),
    ],
)
def test_what_a_network_cannot_be_is_refused_by_name(asked: dict[str, Any], says: str) -> None:
    values = asked if "network" in asked else {**SMALL, **asked}
    with pytest.raises((ValueError, SpecError), match=says):
        build_network(parse_network(values), TASKS, 3)


def test_a_size_that_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="`patch` must divide both sides of the images, got 8 for 33 × 40"):
        narrow_vit()(torch.rand(1, 3, 33, 40))


def test_one_task_has_nothing_to_stitch() -> None:
    alone = build_tasks(FIELDS, ["depth"])
    with pytest.raises(ValueError, match="`coupling` must be shared or mtan for one task, depth, got cross-stitch"):
        built(alone, coupling="cross-stitch")


def test_a_network_without_a_seam_compares_gradients_at_the_parameters() -> None:
    spec = parse({"network": {**SMALL, "coupling": "cross-stitch"}})
    assert spec.balancing.gradients == "parameters"
    assert parse({"network": SMALL}).balancing.gradients == "features"
    with pytest.raises(SpecError, match="`balancing` must be one of equal, .* for network residual, got mgda"):
        parse({"network": {**SMALL, "coupling": "cross-stitch"}, "balancing": {"balancing": "mgda"}})
