"""`Proximal` passes for an optimiser: schedulers, scalers, hooks, copies, checkpoints, compiled and other models."""

import copy
import io
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from winnow.engine.sparsity.groups import coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.penalties import GroupLasso, GroupMCP
from winnow.engine.sparsity.proximal import Proximal

KINDS = {
    "sgd": lambda p: SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: Adam(p, 1e-2),
    "adamw": lambda p: AdamW(p, 1e-2, foreach=True),
    "fused": lambda p: AdamW(p, 1e-2, fused=True),
    "amsgrad": lambda p: Adam(p, 1e-2, amsgrad=True),
}


def net_of(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


def images(step: int) -> Tensor:
    return torch.randn(9, 6, generator=torch.Generator().manual_seed(step))


def steps(net: nn.Module, optimizer: Optimizer, numbers: range) -> None:
    for number in numbers:
        optimizer.zero_grad()
        net(images(number)).square().mean().backward()
        optimizer.step()


def proximal_of(net: nn.Module, kind: str = "adamw", strength: float = 1e-2) -> Proximal:
    return Proximal(KINDS[kind](net.parameters()), input_groups(net), GroupLasso(strength))


def test_it_is_an_optimiser_with_the_groups_and_the_state_of_the_one_inside():
    net = net_of()
    proximal = proximal_of(net)
    assert isinstance(proximal, Optimizer)
    proximal.param_groups[0]["lr"] = 0.5
    assert proximal.optimizer.param_groups[0]["lr"] == 0.5
    steps(net, proximal, range(1))
    assert proximal.state is proximal.optimizer.state
    assert proximal.defaults["betas"] == (0.9, 0.999)
    proximal.add_param_group({"params": [nn.Parameter(torch.ones(3))], "lr": 0.1})
    assert [group["lr"] for group in proximal.param_groups] == [0.5, 0.1]
    assert "Proximal" in repr(proximal)


def test_a_step_past_it_is_refused():
    net = net_of()
    proximal = proximal_of(net)
    net(images(0)).sum().backward()
    before = net[0].weight.clone()
    with pytest.raises(RuntimeError, match="`step` must be that of Proximal, got that of the AdamW inside"):
        proximal.optimizer.step()
    assert torch.equal(net[0].weight, before)


@pytest.mark.parametrize("kind", KINDS)
def test_schedulers_set_the_rate_and_the_momentum(kind: str):
    net = net_of()
    proximal = proximal_of(net, kind)
    first = CosineAnnealingLR(proximal, 10)
    for _ in range(5):
        steps(net, proximal, range(1))
        first.step()
    assert proximal.param_groups[0]["lr"] == pytest.approx(proximal.defaults["lr"] / 2)
    cycle = OneCycleLR(proximal, 0.1, total_steps=20)
    steps(net, proximal, range(1))
    cycle.step()
    group = proximal.param_groups[0]
    assert (group["momentum"] if kind == "sgd" else group["betas"][0]) < 0.95
    plateau = ReduceLROnPlateau(proximal, patience=0)
    rate = group["lr"]
    for value in (1.0, 2.0, 3.0):
        plateau.step(value)
    assert group["lr"] < rate


def test_a_rate_set_through_it_moves_the_threshold():
    net = net_of()
    proximal = Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1, "none"))
    proximal.param_groups[0]["lr"] = 0.01
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = net[0].weight.norm(dim=0)
    proximal.step()
    torch.testing.assert_close(net[0].weight.norm(dim=0), before - 0.001)


def test_a_scaler_skips_the_prox_exactly_when_it_skips_the_step():
    net = net_of()
    proximal = proximal_of(net, strength=1e3)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = copy.deepcopy(net.state_dict())
    scaler.scale(net(images(0)).square().mean()).backward()
    net[2].bias.grad[0] = torch.inf
    scaler.step(proximal)
    scaler.update()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    proximal.zero_grad()
    scaler.scale(net(images(0)).square().mean()).backward()
    scaler.unscale_(proximal)
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(proximal)
    assert [int((norms == 0).sum()) for norms in proximal.norms] == [6, 8]


def test_a_closure_is_called_once_and_its_loss_returned():
    net, calls = net_of(), []
    proximal = proximal_of(net)

    def closure() -> Tensor:
        proximal.zero_grad()
        loss = net(images(0)).square().mean()
        loss.backward()
        calls.append(loss)
        return loss

    assert proximal.step(closure) is calls[0]
    assert len(calls) == 1


def test_hooks_run_before_and_after_the_whole_step():
    net, seen = net_of(), []
    proximal = proximal_of(net, strength=1e3)
    proximal.register_step_pre_hook(lambda *_: seen.append(int((net[0].weight == 0).sum())))
    proximal.register_step_post_hook(lambda *_: seen.append(int((net[0].weight == 0).sum())))
    proximal.register_state_dict_post_hook(lambda *_: seen.append("saved"))
    proximal.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
    steps(net, proximal, range(1))
    proximal.load_state_dict(proximal.state_dict())
    assert seen == [0, 48, "saved", "loaded"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_state_saved_and_loaded_goes_on_with_the_same_bits(kind: str, dtype: torch.dtype):
    def fresh() -> tuple[nn.Module, Proximal]:
        net = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False))
        torch.manual_seed(0)
        for parameter in net.parameters():
            nn.init.normal_(parameter)
        return net.to(dtype), proximal_of(net, kind)

    def run(net: nn.Module, proximal: Proximal, numbers: range) -> None:
        for number in numbers:
            proximal.zero_grad()
            net(images(number).to(dtype)).square().mean().backward()
            proximal.step()

    straight, whole = fresh()
    run(straight, whole, range(6))
    first, half = fresh()
    run(first, half, range(3))
    file = io.BytesIO()
    torch.save({"net": first.state_dict(), "optimizer": half.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second, rest = fresh()
    second.load_state_dict(saved["net"])
    rest.load_state_dict(saved["optimizer"])
    run(second, rest, range(3, 6))
    for one, other in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_state_of_the_bare_optimiser_can_be_taken_over():
    net = net_of()
    plain = AdamW(net.parameters(), 1e-2)
    steps(net, plain, range(3))
    proximal = proximal_of(net)
    proximal.load_state_dict(plain.state_dict())
    assert proximal.strength == 1e-2
    assert proximal.support is None
    assert float(proximal.state[net[0].weight]["step"]) == 3
    steps(net, proximal, range(1))
    assert float(proximal.state[net[0].weight]["step"]) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_copy_trains_its_own_model(kind: str):
    net = net_of()
    proximal = proximal_of(net, kind)
    CosineAnnealingLR(proximal, 10)
    steps(net, proximal, range(2))
    other, twin = copy.deepcopy((net, proximal))
    before = net[0].weight.clone()
    steps(other, twin, range(2, 4))
    assert torch.equal(net[0].weight, before)
    assert twin.banks[0].parameters[0] is other[0].weight
    steps(net, proximal, range(2, 4))
    assert torch.equal(net[0].weight, other[0].weight)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_and_a_wrapped_model_train_alike():
    one, two, three = net_of(), net_of(), net_of()
    compiled = torch.compile(two, backend="eager")
    for net, model in ((one, one), (two, compiled), (three, nn.DataParallel(three))):
        steps(model, proximal_of(net), range(3))
    assert torch.equal(one[0].weight, two[0].weight)
    assert torch.equal(one[0].weight, three[0].weight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("taken", [0, 2])
def test_a_model_that_moves_to_another_type_is_followed(kind: str, taken: int):
    net = net_of()
    proximal = proximal_of(net, kind)
    steps(net, proximal, range(taken))
    net.double()
    for number in range(3):
        proximal.zero_grad()
        net(images(number).double()).square().mean().backward()
        proximal.step()
    assert all(norms.dtype == torch.float64 for norms in proximal.norms)
    assert all(state["exp_avg"].dtype == torch.float64 for state in proximal.state.values() if "exp_avg" in state)


@pytest.mark.parametrize("kind", ["output", "coupled"])
def test_a_group_may_span_param_groups_that_differ_in_decay_alone(kind: str):
    def trained(split: bool) -> Tensor:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
        x = torch.randn(2, 3, 8, 8)
        decayed, others = ([p for p in net.parameters() if (p.dim() > 1) == many] for many in (True, False))
        told = [{"params": decayed, "weight_decay": 0.0}, {"params": others}]
        groups = output_groups(net, x) if kind == "output" else coupled_groups(net, x)
        optimizer = AdamW(told if split else net.parameters(), 1e-2, weight_decay=0.0)
        proximal = Proximal(optimizer, groups, GroupLasso(1e-2))
        for _ in range(3):
            proximal.zero_grad()
            net(x).square().mean().backward()
            proximal.step()
        return torch.cat([p.detach().flatten() for p in net.parameters()])

    assert torch.equal(trained(True), trained(False))


def test_members_with_rates_of_their_own_solve_the_general_prox():
    """SGD: the result minimises ½ Σ_m ‖z_m − w_m‖²/s_m + λ‖z‖, w_m the weights after torch's own step."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4, dtype=torch.float64), nn.Linear(4, 2, dtype=torch.float64))
    rates = (0.3, 0.05)
    told = [{"params": [net[0].weight], "lr": rates[0]}, {"params": [net[0].bias], "lr": rates[1]}]
    groups = [group for group in output_groups(net) if group.layer == "0"]
    proximal = Proximal(SGD(told, 0.1), groups, GroupLasso(0.4, "none"))
    start = [p.detach().clone() for p in (net[0].weight, net[0].bias)]
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    moved = [w - s * p.grad for w, s, p in zip(start, rates, (net[0].weight, net[0].bias), strict=True)]
    proximal.step()
    found = [net[0].weight.detach(), net[0].bias.detach()]
    norms = (found[0].square().sum(1) + found[1].square()).sqrt()
    alive = norms > 0
    assert int(alive.sum()) > 0
    for w, z, s in zip(moved, found, rates, strict=True):
        spread = norms[:, None] if z.dim() > 1 else norms
        pull = (z - w) / s + 0.4 * z / spread
        torch.testing.assert_close(pull[alive], torch.zeros_like(pull[alive]), rtol=0, atol=1e-12)


def test_a_penalty_without_a_general_prox_is_refused_before_anything_moves():
    net = net_of()
    told = [{"params": [net[0].weight, net[2].weight]}, {"params": [net[0].bias, net[2].bias]}]
    optimizer = SGD(told, 0.1)
    proximal = Proximal(optimizer, output_groups(net), GroupMCP(0.1))
    proximal.param_groups[1]["lr"] = 0.2
    net(images(0)).sum().backward()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(NotImplementedError, match="`penalty` must not be GroupMCP where the members"):
        proximal.step()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_parameter_that_was_replaced_is_refused_before_anything_moves():
    net = net_of()
    proximal = proximal_of(net)
    proximal.param_groups[0]["params"].pop(0)
    net(images(0)).sum().backward()
    before = net[2].weight.clone()
    with pytest.raises(ValueError, match="`optimizer` must hold the groups of 0"):
        proximal.step()
    assert torch.equal(net[2].weight, before)


def test_shards_are_refused_by_name(tmp_path):
    from torch.distributed.tensor import Shard, distribute_tensor

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mesh = torch.distributed.init_device_mesh("cpu", (1,))
            net = nn.Linear(6, 4)
            net.weight = nn.Parameter(distribute_tensor(net.weight.detach(), mesh, [Shard(0)]))
            with pytest.raises(TypeError, match="got a shard .*fully_shard"):
                Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    finally:
        torch.distributed.destroy_process_group()


def test_no_group_is_refused():
    with pytest.raises(ValueError, match="`groups` must hold at least one group, got none"):
        Proximal(SGD(net_of().parameters(), 0.1), [], GroupLasso(0.1))


def _two() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


class _Mine(torch.optim.AdamW):
    """A user's optimiser."""


SAID = {
    "optimizer must be one whose metric is known": [
        (lambda n, g: (torch.optim.LBFGS(n.parameters()), g, LASSO), "got LBFGS. .* Take SGD or AdamW"),
        (lambda n, g: (torch.optim.SGD, g, LASSO), r"got the class SGD. Make one: SGD\(net.parameters\(\), lr=0.01\)"),
        (lambda n, g: (n.parameters(), g, LASSO), "got generator. Make one: torch.optim.AdamW"),
        (lambda n, g: (Proximal(_sgd(n), g, LASSO), g, LASSO), "got Proximal. Give it the optimiser inside: prox"),
        (lambda n, g: (_Mine(n.parameters()), g, LASSO), "got _Mine. A subclass may step otherwise"),
        (lambda n, g: (torch.optim.RMSprop(n.parameters()), g, LASSO), "got RMSprop. The proximal step .* Take one"),
        (lambda n, g: (torch.optim.SGD(n.parameters(), 0.1, maximize=True), g, LASSO), "True: .* Minimise"),
    ],
    "groups, penalty and kept are what they are called": [
        (lambda n, g: (_sgd(n), n, LASSO), "must be a list of groups, got Sequential. Make them .* inp"),
        (lambda n, g: (_sgd(n), g[0], LASSO), "`groups` must be a list of groups, got Group"),
        (lambda n, g: (_sgd(n), list(n.parameters()), LASSO), "`groups` must be a list of groups, got Parameter"),
        (lambda n, g: (_sgd(n), g, 0.1), r"`penalty` must be a penalty such as GroupLasso\(0.01\), got float"),
        (lambda n, g: (_sgd(n), g, GroupLasso), "got the class GroupLasso"),
        (lambda n, g: (_sgd(n), g, LASSO, 0.1), r"`kept` must be Kept or None, got float. Write Kept\(floor=0.05\)"),
        (lambda n, g: (_sgd(n), g, GroupLasso("0.1")), "`strength` must be a finite number ≥ 0, got '0.1'"),
    ],
    "parameters are real numbers with a shape": [
        (lambda n, g: (_sgd(m := nn.LazyLinear(3)), input_groups(m), LASSO), "an uninitialised Lazy"),
        (lambda n, g: (_sgd(m := nn.Linear(3, 3, dtype=torch.cfloat)), input_groups(m), LASSO), "got complex64 in lin"),
    ],
}  # fmt: skip
LASSO = GroupLasso(0.1)


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1)


@pytest.mark.parametrize(("arguments", "said"), [case for cases in SAID.values() for case in cases])
def test_what_proximal_does_not_take_is_refused_with_what_to_give(arguments: Any, said: str) -> None:
    net = _two()
    with pytest.raises((TypeError, ValueError), match=said):
        Proximal(*arguments(net, input_groups(net)))


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_rate_that_a_scheduler_sets_wrongly_moves_nothing(rate: float) -> None:
    net = _two()
    proximal = Proximal(_sgd(net), input_groups(net), LASSO)
    net(torch.ones(1, 6)).sum().backward()
    before = [own.detach().clone() for own in net.parameters()]
    proximal.param_groups[0]["lr"] = rate
    with pytest.raises(ValueError, match="`lr` must be a finite number ≥ 0, got .* scheduler"):
        proximal.step()
    assert all(torch.equal(own, old) for own, old in zip(net.parameters(), before, strict=True))


def test_a_state_of_other_groups_is_refused() -> None:
    net, other = _two(), nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    state = Proximal(_sgd(net), input_groups(net), LASSO).state_dict()
    with pytest.raises(
        ValueError,
        match=r"`state_dict` must be that of the same groups in the same order, 0 \(6\), 2 \(5\), got 0 \(6\), 2 \(8",
    ):
        Proximal(_sgd(other), input_groups(other), LASSO).load_state_dict(state)


def test_a_state_of_the_same_groups_in_another_order_is_refused() -> None:
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(2)))
    groups = input_groups(net)
    state = Proximal(SGD(net.parameters(), 0.1), groups, GroupLasso(0.1)).state_dict()
    other = Proximal(SGD(net.parameters(), 0.1), groups[::-1], GroupLasso(0.1))
    with pytest.raises(ValueError, match=r"in the same order, 1 \(4\), 0 \(4\), got 0 \(4\), 1 \(4\)"):
        other.load_state_dict(state)


def test_a_state_of_another_kind_of_optimiser_is_refused_before_anything_changes() -> None:
    net = net_of()
    adam = Proximal(Adam(net.parameters(), 1e-2), input_groups(net), GroupLasso(0.1))
    plain = Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    for into, state, name in ((plain, adam.state_dict(), "momentum"), (adam, plain.state_dict(), "betas")):
        with pytest.raises(ValueError, match=f"without {name}"):
            into.load_state_dict(state)


@pytest.mark.parametrize("lengths", [[6], [6, 7], []])
def test_a_support_of_other_groups_is_refused(lengths: list[int]) -> None:
    net = net_of()
    proximal = Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    with pytest.raises(ValueError, match="`support` must hold one vector per bank"):
        proximal.freeze([torch.ones(length) for length in lengths])
    assert proximal.support is None


def test_the_penalty_of_what_is_frozen_altogether_is_zero() -> None:
    net = net_of()
    proximal = Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    net.requires_grad_(False)
    assert float(proximal.value()) == 0


def test_a_state_of_parameters_in_another_order_is_refused() -> None:
    net = _two()
    proximal = Proximal(Adam(net.parameters()), input_groups(net), LASSO)
    net(torch.randn(4, 6)).square().mean().backward()
    proximal.step()
    other = Proximal(Adam(list(net.parameters())[::-1]), input_groups(net), LASSO)
    with pytest.raises(ValueError, match="the same parameters in the same order, got exp_avg of shape"):
        other.load_state_dict(proximal.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_of_the_optimiser_inside_see_all_gradients_and_the_final_weights(kind: str) -> None:
    """A hook that clips, given before wrapping or after, clips what is penalised too."""

    def clip(optimizer: Optimizer, *_: Any) -> None:
        torch.nn.utils.clip_grad_value_(optimizer.param_groups[0]["params"], 1e-3)

    nets = [net_of(), net_of()]
    hooked, by_hand = (proximal_of(net, kind) for net in nets)
    hooked.optimizer.register_step_pre_hook(clip)
    seen: list[Tensor] = []
    hooked.optimizer.register_step_post_hook(lambda *_: seen.append(nets[0][0].weight.detach().clone()))
    by_hand.register_step_pre_hook(clip)
    for net, proximal in zip(nets, (hooked, by_hand), strict=True):
        steps(net, proximal, range(4))
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(one, other)
    assert len(seen) == 4
    assert torch.equal(seen[-1], nets[0][0].weight)


def test_one_optimiser_is_not_stepped_by_two() -> None:
    """Penalties for parts of a network in a Proximal each, around one optimiser: everything would move twice."""
    net = net_of()
    optimizer = SGD(net.parameters(), 0.1)
    first = Proximal(optimizer, input_groups(net[0]), GroupLasso(0.01))
    second = Proximal(optimizer, input_groups(net[2]), GroupLasso(0.01))
    steps(net, second, range(1))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(RuntimeError, match="must be in one Proximal, got a SGD that was given to another one later"):
        steps(net, first, range(1))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_frozen_with_gradients_of_zeros_is_not_moved_by_momentum(kind: str) -> None:
    net = net_of()
    proximal = proximal_of(net, kind)
    steps(net, proximal, range(3))
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    proximal.zero_grad(set_to_none=False)
    net(images(3)).square().mean().backward()
    proximal.step()
    assert torch.equal(net[0].weight, before)


def test_a_step_without_any_gradient_is_said() -> None:
    """As where network and optimiser were copied one by one, or `load_state_dict(assign=True)` replaced parameters."""
    net = net_of()
    proximal = proximal_of(net)
    net.load_state_dict(copy.deepcopy(net.state_dict()), assign=True)
    with pytest.warns(UserWarning, match="no gradient in any parameter of its optimiser, so it moves nothing"):
        steps(net, proximal, range(1))


def test_a_strength_of_several_numbers_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="`strength` must be a finite number ≥ 0, got tensor"):
        proximal_of(net_of()).strength = torch.ones(2)  # type: ignore[assignment]
