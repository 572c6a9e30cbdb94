"""A batch in micro-batches: the same step as at once where nothing normalises over the batch, in less memory."""

from itertools import islice

import pytest
import torch
from torch import nn

from tests.engine.training.distributed.cases import SCENES, images
from winnow.data.catalog import DATASETS
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.distillation import Distillation, imitation
from winnow.engine.training.forward import forward
from winnow.engine.training.loop import StepDone, Training, begin, train


def without_norms(net: MultiTaskNet) -> MultiTaskNet:
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return net


def setting(accumulate: int, norms: bool, **changes: object) -> tuple[Training, Batches]:
    spec = parse({"threads": 1, **SCENES, "epochs": 1, "batch_size": 8, "accumulate": accumulate, **changes})
    tasks = build_tasks(DATASETS["scenes"]().fields, spec.tasks)
    batches = Batches(images("scenes")["train"], tasks, spec.batch_size, torch.device("cpu"))
    torch.manual_seed(0)
    net = build_network(spec.network, tasks, 3)
    return begin(spec, net if norms else without_norms(net), tasks, batches), batches


def steps(accumulate: int, **changes: object) -> list[StepDone]:
    training, batches = setting(accumulate, False, **changes)
    return [record for record in islice(train(training, batches, batches), 4) if isinstance(record, StepDone)]


METHODS = ["equal", "famo", "gradnorm", "nash_mtl"]


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_are_the_batch_where_nothing_normalises_over_it(method: str):
    scope = "parameters" if method == "nash_mtl" else "features"
    balancing = {"balancing": method, "gradients": scope, "record_every": 3}
    whole, parts = (steps(accumulate, balancing=balancing) for accumulate in (1, 3))  # of 3, 3 and 2 images
    assert len(whole) == 4
    for one, other in zip(whole, parts, strict=True):
        assert list(one.losses.values()) == pytest.approx(list(other.losses.values()), rel=1e-4)
        torch.testing.assert_close(one.balance.weights, other.balance.weights, rtol=1e-2, atol=1e-4)
        if one.balance.gramian is not None:
            scale = float(one.balance.gramian.abs().max())
            torch.testing.assert_close(one.balance.gramian, other.balance.gramian, rtol=1e-2, atol=1e-4 * scale)


def test_a_teacher_is_imitated_over_the_whole_batch():
    found = []
    for accumulate in (1, 3):
        training, batches = setting(accumulate, False)
        torch.manual_seed(1)
        teacher = without_norms(build_network(training.spec.network, training.tasks, 3))
        training.teacher = Distillation(teacher, training.tasks, 0.25)
        batch = next(batches.shuffled(0, 0, True))
        losses = forward(training, batch)[1]
        with torch.no_grad():
            student, wanted = training.net(batch.images), teacher(batch.images)
        for name, task in training.tasks.items():
            alone = task.loss(student[name], batch.targets[name])
            distance = imitation(task.field.kind, student[name], wanted[name])
            assert losses[name].item() == pytest.approx(float(0.75 * alone + 0.25 * distance), rel=1e-5)
        found.append({name: loss.item() for name, loss in losses.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_batch_norms_move_once_for_each_micro_batch():
    training, batches = setting(4, True)
    records = train(training, batches, batches)
    for _ in range(3):
        next(records)
    norms = [module for module in training.net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked) for norm in norms} == {12}


def test_a_micro_batch_keeps_nothing_between_trunk_and_heads():
    kept = []
    for accumulate in (1, 8):
        training, batches = setting(accumulate, True)
        sizes: list[int] = []
        stored = torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t)
        with stored:
            forward(training, next(batches.shuffled(0, 0, True)))
        kept.append(sum(sizes))
    assert kept[1] < 0.2 * kept[0]


def test_an_image_is_needed_for_each_device_and_micro_batch():
    with pytest.raises(ValueError, match="`batch_size` must be at least 12"):
        parse({**SCENES, "batch_size": 11, "devices": 3, "accumulate": 4})
