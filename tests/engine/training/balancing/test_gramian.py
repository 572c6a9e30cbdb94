"""The Gramian family on small problems, and features against parameters."""

import pytest
import torch
from torch import nn

from winnow.engine.specs.balancing import METHODS
from winnow.engine.training.balancing.gramian import GramianBalancer

FAMILY = ("pcgrad", "cagrad", "mgda", "imtl_g", "nash_mtl", "aligned_mtl", "upgrad")


def update(balancer: GramianBalancer, rows: torch.Tensor) -> torch.Tensor:
    """Return the gradient that reaches features whose task gradients are `rows`."""
    features = torch.zeros(rows.shape[1], requires_grad=True)
    cut = balancer.cut(features * 1.0)
    balancer.backward({task: 1 + rows[i] @ cut.views[task] for i, task in enumerate(balancer.tasks)}, cut)
    return features.grad


CONFLICT = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])


def by_hand(method: str) -> torch.Tensor:
    """Return the update for the two rows g, h of CONFLICT."""
    g, h = CONFLICT
    if method == "mgda":  # K times the shortest point γg + (1 − γ)h of the segment, γ = (‖h‖² − gᵀh)/‖g − h‖² = 3/5
        return 2 * (0.6 * g + 0.4 * h)
    return (g - (g @ h) / (h @ h) * h) + (h - (g @ h) / (g @ g) * g)  # each projected on the other's normal


@pytest.mark.parametrize("method", ["pcgrad", "upgrad", "mgda"])
def test_two_conflicting_gradients_by_hand(make, method: str):
    torch.testing.assert_close(update(make(method, ("a", "b")), CONFLICT), by_hand(method), rtol=1e-4, atol=1e-4)


def test_imtl_g_projects_equally_on_every_direction(make):
    combined = update(make("imtl_g", ("a", "b")), CONFLICT)
    projections = CONFLICT @ combined / CONFLICT.norm(dim=1)
    torch.testing.assert_close(projections[0], projections[1])


def test_nash_gains_are_inverse_weights(make):
    torch.manual_seed(0)
    rows = torch.randn(3, 6) * torch.tensor([[1.0], [0.01], [3.0]])
    balancer = make("nash_mtl", ("a", "b", "c"))
    features = torch.zeros(6, requires_grad=True)
    cut = balancer.cut(features * 1.0)
    balance = balancer.backward({t: 1 + rows[i] @ cut.views[t] for i, t in enumerate(balancer.tasks)}, cut)
    scaled = balance.gramian / balance.gramian.diagonal().mean()
    torch.testing.assert_close(scaled @ balance.weights, 1 / balance.weights, rtol=1e-4, atol=0)


def test_aligned_mtl_evens_the_principal_components(make):
    rows = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(update(make("aligned_mtl", ("a", "b")), rows), torch.tensor([1.0, 1.0]))


@pytest.mark.parametrize("method", ["upgrad", "mgda", "nash_mtl", "cagrad"])
def test_the_update_harms_no_task(make, method: str):
    generator = torch.Generator().manual_seed(0)
    options = {"radius": 0.999} if method == "cagrad" else {}
    for _ in range(20):
        rows = torch.randn(3, 4, generator=generator) * torch.tensor([[1.0], [30.0], [0.1]])
        combined = update(make(method, ("a", "b", "c"), **options), rows)
        gains = rows @ combined / rows.norm(dim=1) / combined.norm()
        assert gains.min() > -2e-3


def test_upgrad_solves_its_quadratic_program():
    from winnow.engine.training.balancing.weightings import NonNegativeProjector

    generator = torch.Generator().manual_seed(1)
    for scale in (1.0, 1e-3):
        rows = torch.randn(4, 9, generator=generator, dtype=torch.float64)
        rows[2:] = -rows[:2] + scale * rows[2:]
        G, U = rows @ rows.T, torch.eye(4, dtype=torch.float64)
        V = NonNegativeProjector()(U, G)
        slack, multiplier = V - U, V @ G
        assert slack.min() >= 0
        assert multiplier.min() > -1e-8
        assert (slack * multiplier).abs().max() < 1e-7


@pytest.mark.parametrize("method", FAMILY)
def test_a_task_with_a_very_short_gradient_still_counts(make, method: str):
    """Of orthogonal gradients, whatever the lengths, none may be dropped and nothing may stop."""
    combined = update(make(method, ("a", "b")), torch.tensor([[1.0, 0.0], [0.0, 2e-5]]))
    assert combined[1] > 0


@pytest.mark.parametrize("method", FAMILY)
def test_heads_get_their_own_unweighted_gradient(net, images, step, make, gradients, method: str):
    step(net, make("equal"))
    expected = gradients(net)
    step(net, make(method))
    found = gradients(net)
    for name in (name for name in found if name.startswith("heads.")):
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("method", METHODS)
def test_features_and_parameters_agree_for_a_trunk_of_one_parameter_per_feature(make, method: str):
    """With z = θ the Jacobian of the trunk is the identity, so both scopes see the same gradients."""
    torch.manual_seed(0)
    targets = torch.randn(3, 8)

    def gradient(scope: str) -> torch.Tensor:
        torch.manual_seed(5)
        theta = nn.Parameter(torch.linspace(-1, 1, 8))
        balancer = make(method, ("a", "b", "c"), gradients=scope)
        cut = balancer.cut(theta * 1.0)
        losses = {t: (i + 1) * (cut.views[t] - targets[i]).square().sum() for i, t in enumerate(balancer.tasks)}
        balancer.backward(losses, cut, [theta])
        return theta.grad

    torch.testing.assert_close(gradient("features"), gradient("parameters"))


def test_parameter_scope_weighs_what_it_says(net, images, step, make, gradients):
    """Σ w_t J_t with each J_t from a separate backward, and the Gramian of the J_t."""
    rows = []
    for task in net.heads:
        net.zero_grad()
        cut = make("equal").cut(net.trunk(images))
        net.losses(cut)[task].backward()
        rows.append(torch.cat([parameter.grad.flatten() for parameter in net.trunk.parameters()]))
    rows = torch.stack(rows)
    balance = step(net, make("upgrad", gradients="parameters"))
    found = torch.cat([parameter.grad.flatten() for parameter in net.trunk.parameters()])
    torch.testing.assert_close(found, balance.weights.float() @ rows)
    torch.testing.assert_close(balance.gramian.float(), rows @ rows.T)


def test_gradients_add_to_what_is_there(net, step, make, gradients, images):
    for scope in ("features", "parameters"):
        balancer = make("mgda", gradients=scope)
        step(net, balancer)
        once = gradients(net)
        cut = balancer.cut(net.trunk(images))
        balancer.backward(net.losses(cut), cut, tuple(net.trunk.parameters()))
        for name, gradient in gradients(net).items():
            torch.testing.assert_close(gradient, 2 * once[name])


def test_pcgrads_order_is_torchs(net, step, make, gradients):
    found = []
    for seed in (0, 0, 1, 2, 3, 4):
        torch.manual_seed(seed)
        rows = torch.tensor([[1.0, 0.0], [-1.0, 0.2], [-0.2, -1.0]])
        found.append(update(make("pcgrad", ("a", "b", "c")), rows))
    assert torch.equal(found[0], found[1])
    assert any(not torch.equal(found[0], other) for other in found[2:])
