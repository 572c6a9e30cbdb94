"""What holds for every method: one scale, one task, missing labels, bits, state, missing packages."""

import sys

import pytest
import torch
from pydantic import ValidationError

from winnow.engine.specs.balancing import METHODS, BalancingSpec, missing_packages
from winnow.engine.training.balancing.balancer import Cut
from winnow.engine.training.balancing.build import MissingPackageError
from winnow.engine.training.balancing.gramian import GramianBalancer

SCOPES = ("features", "parameters")


def equal_bits(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def plain_gradients(net, images, gradients) -> dict:
    net.zero_grad()
    features = net.trunk(images)
    torch.stack(list(net.losses(Cut(features, dict.fromkeys(net.heads, features))).values())).sum().backward()
    return gradients(net)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_plain_sum_keeps_its_bits_recorded_or_not(net, images, step, make, gradients, scope):
    expected = plain_gradients(net, images, gradients)
    for record in (False, True):
        balance = step(net, make("equal", gradients=scope), record=record)
        assert (balance.gramian is not None) == record
        assert equal_bits(gradients(net), expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_record_changes_no_gradient(net, fresh_net, step, make, gradients, method):
    def two_steps(record: bool) -> dict:
        torch.manual_seed(3)
        net, balancer = fresh_net(), make(method)
        step(net, balancer, record=record)
        return gradients(net) | {"gramian": step(net, balancer, record=True).gramian}

    assert equal_bits(two_steps(True), two_steps(False))


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("method", METHODS)
def test_one_task_alone_is_trained_plainly(fresh_net, images, step, make, gradients, method, scope):
    net = fresh_net(("depth",))
    expected = plain_gradients(net, images, gradients)
    assert step(net, make(method, ("depth",), gradients=scope)).weights.tolist() == pytest.approx([1.0])
    for name, gradient in gradients(net).items():
        torch.testing.assert_close(gradient, expected[name])


@pytest.mark.parametrize("method", METHODS)
def test_orthogonal_gradients_of_one_length_all_weigh_1(make, method):
    balancer = make(method, gradients="parameters")
    shared = torch.nn.Parameter(torch.zeros(3))
    features = shared * 1.0
    cut = balancer.cut(features)
    losses = {task: 1.0 + cut.views[task][i] for i, task in enumerate(balancer.tasks)}
    weights = balancer.backward(losses, cut, [shared]).weights
    torch.testing.assert_close(weights.double(), torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(shared.grad, torch.ones(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "uncertainty"])  # it learns the scale
def test_the_scale_of_all_losses_leaves_the_weights_alone(make, method):
    rows = torch.tensor([[1.0, 0.2, 0.0], [-0.5, 0.4, 0.1], [0.3, 0.1, 2.0]])
    found = []
    for scale in (1.0, 1e-4):
        torch.manual_seed(0)
        balancer = make(method)
        features = torch.zeros(3, requires_grad=True)
        for _ in range(3):
            cut = balancer.cut(features * 1.0)
            losses = {task: scale * (1.0 + i + rows[i] @ cut.views[task]) for i, task in enumerate(balancer.tasks)}
            weights = balancer.backward(losses, cut).weights
            balancer.after_step({task: 0.9 ** (i * i) * loss.detach() for i, (task, loss) in enumerate(losses.items())})
            balancer.end_epoch()
        found.append(weights.double())
    torch.testing.assert_close(found[1], found[0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("method", METHODS)
def test_a_task_without_labels_neither_pulls_nor_hinders(net, step, make, gradients, method, scope):
    balancer = make(method, gradients=scope)
    step(net, balancer)
    balancer.end_epoch()
    balance = step(net, balancer, unlabelled="edges")
    found = gradients(net)
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    assert (found["heads.edges.weight"] == 0).all()
    assert (found["trunk.0.weight"] != 0).any()
    assert torch.isfinite(balance.weights).all()
    if type(balancer) is GramianBalancer:
        assert balance.weights[1] == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_without_any_labels_moves_nothing(net, images, make, gradients, method):
    balancer = make(method)
    cut = balancer.cut(net.trunk(images))
    balancer.backward({task: 0 * loss for task, loss in net.losses(cut).items()}, cut)
    assert all((gradient == 0).all() for gradient in gradients(net).values())
    assert all((parameter.grad == 0).all() for parameter in balancer.parameters() if parameter.grad is not None)
    cut = balancer.cut(net.trunk(images))
    balancer.backward({task: torch.zeros(()) for task in balancer.tasks}, cut)  # not even a graph


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_state_goes_on_with_the_same_bits(fresh_net, step, make, gradients, method):
    def go(net, balancer, epochs: int) -> dict:
        for _ in range(epochs):
            for _ in range(2):
                step(net, balancer)
                with torch.no_grad():
                    for parameter in (*net.parameters(), *balancer.parameters()):
                        parameter -= 0.01 * parameter.grad
                if balancer.needs_losses_after_step:
                    balancer.after_step({task: torch.tensor(0.5 + i) for i, task in enumerate(balancer.tasks)})
            balancer.end_epoch()
        return net.state_dict() | gradients(net)

    torch.manual_seed(7)
    straight = fresh_net()
    torch.manual_seed(7)
    whole = go(straight, make(method), 5)
    first, before = fresh_net(), make(method)
    torch.manual_seed(7)
    go(first, before, 3)
    state = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    random = torch.get_rng_state()
    second, after = fresh_net(), make(method)
    second.load_state_dict(first.state_dict())
    after.load_state_dict(state)
    torch.set_rng_state(random)
    assert equal_bits(go(second, after, 2), whole)


@pytest.mark.parametrize("method", ["famo", "gradnorm", "dwa"])
def test_a_negative_loss_is_refused_where_it_has_no_sense(net, images, make, method):
    balancer = make(method)
    cut = balancer.cut(net.trunk(images))
    losses = {task: loss - 1000 for task, loss in net.losses(cut).items()}
    with pytest.raises(ValueError, match=rf"must be at least 0 with method {method}, got -999.9 \(task depth\)"):
        balancer.backward(losses, cut)


@pytest.mark.parametrize("method", ["upgrad", "nash_mtl", "gradnorm"])
def test_a_gradient_that_is_no_number_is_named(net, images, make, method):
    balancer = make(method)
    cut = balancer.cut(net.trunk(images))
    losses = net.losses(cut)
    losses["edges"] = (cut.views["edges"] * 0).sqrt().sum() + 1
    with pytest.raises(ArithmeticError, match=r"gradient became NaN or infinite \(task edges\)"):
        balancer.backward(losses, cut)


def test_other_tasks_are_refused(net, images, make):
    balancer = make("upgrad", ("depth", "edges"))
    cut = balancer.cut(net.trunk(images))
    with pytest.raises(ValueError, match="must name depth, edges, got depth"):
        balancer.backward({"depth": cut.views["depth"].sum()}, cut)


def test_parameter_scope_asks_for_parameters(net, images, make):
    balancer = make("upgrad", gradients="parameters")
    cut = balancer.cut(net.trunk(images))
    with pytest.raises(ValueError, match="must hold the trunk's parameters"):
        balancer.backward(net.losses(cut), cut)


def test_a_frozen_trunk_stays_out(net, step, make, gradients):
    net.trunk.requires_grad_(False)
    for method in ("equal", "upgrad"):
        assert step(net, make(method), record=True).gramian is not None
        assert all(name.startswith("heads.") for name in gradients(net))


def test_only_uncertainty_gives_parameters_to_the_optimiser(make):
    assert {method for method in METHODS if list(make(method).parameters())} == {"uncertainty"}


def test_static_weights_belong_to_static_and_name_each_task(make):
    with pytest.raises(ValidationError, match="must give each task a weight"):
        BalancingSpec(balancing="static")
    with pytest.raises(ValidationError, match="must be left out with dwa"):
        BalancingSpec(balancing="dwa", task_weights={"depth": 1.0})
    with pytest.raises(ValueError, match="must name depth, edges, normals, got depth"):
        make("static", task_weights={"depth": 1.0})


def test_missing_packages_are_named_with_the_cure(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)  # as if it were not installed
    monkeypatch.setattr("winnow.engine.specs.balancing.find_spec", lambda name: None if name == "torchjd" else True)
    assert missing_packages("upgrad") == ("torchjd",)
    assert missing_packages("nash_mtl") == ()
    with pytest.raises(MissingPackageError, match=r"installed: torchjd. Run pip install 'winnow-mtl\[balancing\]'"):
        make("upgrad")
