"""Imitation of a teacher: zero where both agree, a gradient where they do not, and a refit that uses it."""

import copy

import pytest
import torch

from tests.engine.trained_digits import SPEC, trained
from winnow.engine.pruning import compact
from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import units
from winnow.engine.specs.tasks import TASKS
from winnow.engine.training.distillation import DISTANCES, Distillation, attention_distance, imitation
from winnow.engine.training.refit import Refit, RefitStep, Split, refit

SHAPES = {"classification": (4, 5), "multilabel": (4, 5), "regression": (4, 1), "vector": (4, 3)}


@pytest.mark.parametrize("kind", sorted(DISTANCES))
def test_imitation_is_zero_for_the_teacher_and_pulls_towards_it(kind: str):
    generator = torch.Generator().manual_seed(0)
    shape = SHAPES.get(kind, (2, {"normals": 3, "segmentation": 5}.get(kind, 1), 6, 6))
    teacher = torch.randn(shape, generator=generator, dtype=torch.float64)
    student = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    assert imitation(kind, teacher, teacher).abs() < 1e-12
    far = imitation(kind, student, teacher)
    (gradient,) = torch.autograd.grad(far, student)
    assert imitation(kind, student.detach() - 0.1 * gradient, teacher) < far


def test_every_kind_of_task_with_labels_can_be_imitated():
    assert set(TASKS) - set(DISTANCES) == {"unspecified"}


def test_imitation_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="`kind` must be one of segmentation"):
        imitation("taste", torch.zeros(1), torch.zeros(1))


def test_attention_distance_ignores_scale_and_number_of_channels():
    maps = torch.rand(3, 4, 5, 6, dtype=torch.float64)
    assert attention_distance(maps, 7 * maps.repeat(1, 2, 1, 1)) < 1e-12
    assert attention_distance(maps, maps.flip(3)) > 1e-3


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.5, float("nan")])
def test_distillation_needs_a_share(weight: float):
    with pytest.raises(ValueError, match="`distillation` must be above 0 and at most 1"):
        Distillation(torch.nn.Identity(), {}, weight)


def test_a_refit_that_only_imitates_comes_nearer_to_the_teacher():
    net, tasks, images, validation, _ = trained()
    found = units(net, images.example())
    masked = silence(net, found.chosen(choose(found, norm_scores(found), Budget(60)).gone))
    model = compact(masked, images.example()).model
    teacher = Distillation(net, tasks, 1.0)
    batch = next(iter(images.in_order()))

    def apart() -> float:
        with torch.no_grad():
            model.eval()
            return float(teacher.loss(teacher.pass_through(model, batch.images), batch.images, {}))

    kept, before = copy.deepcopy(net.state_dict()), apart()
    seen = teacher.pass_through(model, batch.images)[1]
    assert getattr(seen, "ndim", 0) == 4  # the compact network has its trunk
    settings = Refit(2, SPEC.optimiser, distillation=teacher)
    steps = [record for record in refit(model, tasks, Split(images, validation), settings) if type(record) is RefitStep]
    assert len(steps) == 2 * images.steps
    assert apart() < 0.5 * before
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())
