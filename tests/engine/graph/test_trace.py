"""Tracing: what is seen, what is refused by name, and that the model is left as it was."""

import copy
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.flop_counter import FlopCounterMode

from tests.engine.graph.zoo import ZOO, Program, build, conv
from winnow.engine.graph.calls import Call
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.sized import Context
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.trace import trace

X = torch.randn(2, 3, 16, 16)


@pytest.mark.parametrize("name", ZOO)
def test_the_model_is_left_as_it_was(name: str):
    net, x = build(name)
    net.train()
    next(net.children()).eval()
    modes = [module.training for module in net.modules()]
    state, attributes = copy.deepcopy(net.state_dict()), set(vars(net))
    random = torch.get_rng_state()
    trace(net, x)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert set(vars(net)) == attributes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("name", ZOO)
def test_macs_are_those_of_torchs_counter(name: str):
    net, x = build(name)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x)
    found = trace(net, x).savings()
    assert found.macs.iloc[-1] == pytest.approx(counter.get_total_flops() / 2 / len(x))
    assert found.parameters.iloc[-1] == sum(parameter.numel() for parameter in net.parameters())
    assert (found[["removable_parameters", "removable_macs", "gathered_macs"]] == 0).all(axis=None)


def test_savings_per_component():
    net, x = build("ours basic")
    graph = trace(net, x)
    whole = graph.savings().set_index("component")
    with torch.no_grad():
        net.heads["seg"].out.weight[:, :3] = 0
        net.trunk.stages[0][1].conv1[0].weight[:, 0] = 0
    found = graph.savings().set_index("component")
    assert list(found.index) == ["trunk", "heads.seg", "heads.depth", "heads.kind", "total"]
    assert (found[["parameters", "macs"]] == whole[["parameters", "macs"]]).all(axis=None)
    seg = found.loc["heads.seg"]
    assert seg.removable_parameters == 3 * (8 * 9 + 2 + 4)  # filters, γ and β, columns
    assert seg.removable_macs == seg.gathered_macs == 3 * 8 * 8 * (8 * 9 + 4) * 1.0
    trunk = found.loc["trunk"]  # the stream has other readers: only a gather saves
    assert (trunk.removable_parameters, trunk.removable_macs) == (0, 0)
    assert trunk.gathered_macs == 6 * 9 * 8 * 8
    totals = found.drop(index="total").sum()
    assert (totals == found.loc["total"]).all()


def refused(program: Callable[[nn.Module, Tensor], Tensor], **parts: nn.Module | Tensor) -> NotTraceable:
    with pytest.raises(NotTraceable) as caught:
        trace(Program(program, a=conv(3, 6), out=conv(6, 2), **parts), X)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith("`model` must be one whose channels can be followed, got ")
    return caught.value


REFUSED = {
    "item": (lambda m, x: m.out(m.a(x) * m.a(x).max().item()), {}),
    "flow of control": (lambda m, x: m.out(m.a(x)) if m.a(x).mean() > 0 else x, {}),
    "torch.func": (lambda m, x: m.out(torch.vmap(lambda image: 2 * image)(m.a(x))), {}),
    "without a tensor": (lambda m, x: 1.0, {}),
    "without a shape": (lambda m, x: m.out(m.a(x)), {"l": nn.LazyLinear(2)}),
}


@pytest.mark.parametrize("operation", REFUSED)
def test_what_would_make_the_whole_wrong_is_refused_by_name(operation: str):
    program, parts = REFUSED[operation]
    assert operation in str(refused(program, **parts))


def test_inference_mode_is_refused_by_name():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return m.out(m.a(x).relu_())

    assert "use torch.no_grad" in str(refused(program))


NOT_UNDERSTOOD = {
    "fft_fft2": (lambda m, x: m.out(torch.fft.fft2(m.a(x)).real), {}),
    "im2col": (lambda m, x: F.unfold(m.a(x), 2), {}),
    "b.conv2d": (lambda m, x: m.out(m.b(m.a(x))), {"b": weight_norm(conv(6, 6))}),
    "conv2d": (lambda m, x: F.conv2d(m.a(x), m.w - m.w.mean()), {"w": nn.Parameter(torch.randn(4, 6, 1, 1))}),
    "linear": (
        lambda m, x: F.linear(F.linear(m.a(x).mean((2, 3)), m.w), 2 * m.w),
        {"w": nn.Parameter(torch.randn(6, 6))},
    ),
    "grid_sampler": (lambda m, x: m.out(F.grid_sample(m.a(x), torch.zeros(2, 4, 4, 2), align_corners=False)), {}),
    "mul": (lambda m, x: (lambda v: v[:, :, None] * v[:, None])(m.a(x).mean((2, 3))), {}),
    "getitem": (lambda m, x: m.out(m.a(x)[:, m.a(x).mean((0, 2, 3)).argsort()]), {}),
    "scatter_add": (lambda m, x: m.a(x).scatter_add(2, torch.zeros(2, 6, 1, 16, dtype=torch.int64), m.a(x)), {}),
    "cummax": (lambda m, x: m.out(m.a(x).cummax(1)[0]), {}),
    "special_i0": (lambda m, x: m.out(torch.ops.aten.special_i0(m.a(x))), {}),
}


@pytest.mark.parametrize("place", NOT_UNDERSTOOD)
def test_what_is_not_understood_pins_its_channels_and_nothing_else(place: str):
    program, parts = NOT_UNDERSTOOD[place]

    def whole(m: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        return program(m, x), m.after(m.before(x))

    net = Program(whole, a=conv(3, 6), out=conv(6, 2), before=conv(3, 8), after=conv(8, 2), **parts)
    graph = trace(net, X)
    assert place in [found for found, _ in graph.pinned]
    spaces = {space.name: space for space in graph.spaces}
    assert not spaces["a"].removable
    assert any(place in pin or "used in two ways" in pin for pin in spaces["a"].pins)
    assert spaces["before"].removable
    assert graph.liveness().kept[spaces["a"].channels].all()


def test_a_pin_names_the_module():
    net = nn.Sequential(conv(3, 6), nn.Sequential(nn.ReLU(), Program(lambda m, x: m.a(x.cummax(1)[0]), a=conv(6, 6))))
    assert trace(net, X).pinned == (("1.1.cummax", "is not known to the channel graph"),)


def test_a_hook_is_followed_and_named():
    net = nn.Sequential(conv(3, 6), conv(6, 2))
    assert trace(net, X).contexts == ()
    net[0].register_forward_hook(lambda module, inputs, output: output.cummax(1)[0])
    graph = trace(net, X)
    assert graph.contexts == (Context("0", "hook"),)
    assert graph.pinned == (("cummax", "is not known to the channel graph"),)
    with pytest.raises(NotTraceable, match="look for hooks"):
        trace(net, X, program=True).fx_graph  # noqa: B018 - torch.fx runs no hooks


def test_contexts_are_named_with_their_line():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = m.a(x)
        with torch.autocast("cpu"):
            z = y + 1
        return m.out(z.float())

    found = trace(Program(program, a=conv(3, 6), out=weight_norm(conv(6, 2))), X).contexts
    assert [(context.module, context.kind) for context in found] == [
        ("out", "parametrization"),
        ("", "no_grad"),
        ("", "autocast"),
    ]
    assert found[1].place.startswith("test_trace.py:")


def test_what_any_call_reads_is_needed():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = conv(3, 6)
            self.heads = nn.ModuleList([conv(6, 2), conv(6, 2), conv(6, 2)])

        def forward(self, x: Tensor, task: int = 0) -> dict[str, Tensor]:
            y = self.trunk(x)
            return {str(task): self.heads[task](y)} | ({"aux": self.heads[2](y)} if self.training else {})

    net = Net()
    with torch.no_grad():
        for place, head in enumerate(net.heads):
            head.weight.zero_()
            head.weight[:, place] = 1
    kept = lambda graph: [int(i) for i in np.flatnonzero(graph.liveness().kept[_space(graph, "trunk").channels])]  # noqa: E731
    one = trace(net, X)
    assert kept(one) == [0, 2]
    assert one.unused == ("heads.1.weight", "heads.1.bias")
    assert list(one.outputs) == ["0", "aux"]
    assert one.calls[0].options(net) == {"task": "left at 0"}
    both = trace(net, [Call((X,), {"task": task}) for task in (0, 1)])
    assert kept(both) == [0, 1, 2]
    assert both.unused == ()
    assert kept(trace(net, Call((X,), training=False))) == [0]


def test_a_mode_that_does_not_run_is_named():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = conv(3, 6)

        def forward(self, x: Tensor, targets: Tensor | None = None) -> Tensor:
            if self.training and targets is None:
                raise ValueError("targets are missing")
            return self.a(x)

    (note,) = trace(Net(), X).notes
    assert note == (
        "training mode was not run (ValueError: targets are missing), so it is unknown what is used in training mode "
        "only"
    )
    with pytest.raises(ValueError, match="targets are missing"):
        trace(Net(), Call((X,), training=True))


def test_a_number_of_channels_used_as_a_number_keeps_them():
    for program in (
        lambda m, x: m.out(m.a(x) * m.a(x).shape[1] ** -0.5),
        lambda m, x: m.out(m.a(x) / m.a(x).size(1)),
        lambda m, x: m.out(m.a(x) if m.a(x).shape[1] == 6 else -m.a(x)),
        lambda m, x: m.out(m.a(x) + torch.full((1,), m.a(x).shape[1])),
        lambda m, x: m.out(m.a(x) * (1 / m.a.weight.shape[0])),
    ):
        space = _space(trace(Program(program, a=conv(3, 6), out=conv(6, 2)), X), "a")
        assert any("used as a number" in pin for pin in space.pins)
    free = Program(lambda m, x: m.out(m.a(x).reshape(2, m.a(x).shape[1], -1).view(x.shape[0], -1, 16, 16)),
                   a=conv(3, 6), out=conv(6, 2))  # fmt: skip
    assert _space(trace(free, X), "a").removable


def test_a_package_beside_torch_is_no_code_of_torch():
    beside = f"{Path(torch.__file__).parent}_more/net.py"
    scope: dict[str, Callable[..., Tensor]] = {}
    exec(compile("def program(m, x):\n    return m.a(x) if (x > 0).any() else x", beside, "exec"), scope)
    (found,) = trace(Program(scope["program"], a=conv(3, 6)), X).decisions
    assert (found.place, found.kind) == ("net.py:2", "value")


def test_decisions_by_values_of_inputs_are_named():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        if (x > 0).any():
            return m.out(m.a(x))
        return m.out(x)

    (found,) = trace(Program(program, a=conv(3, 6), out=conv(6, 2)), X).decisions
    assert (found.module, found.kind) == ("", "value")
    assert found.place.endswith("if (x > 0).any()")


def test_wrappers_are_taken_off_and_said():
    net = nn.Sequential(conv(3, 6), conv(6, 2))
    graph = trace(nn.DataParallel(net), X)
    assert graph.model is net
    assert graph.notes == ("DataParallel was removed: everything else here refers to its `module`.",)


def _space(graph: ChannelGraph, name: str) -> Space:
    return next(space for space in graph.spaces if space.name == name)


def test_an_unknown_operation_before_any_layer_may_pass():
    net = Program(lambda m, x: m.out(m.a(torch.fft.fft2(x).real)), a=conv(3, 6), out=conv(6, 2))
    space = next(space for space in trace(net, X).spaces if space.name == "a")
    assert space.removable


PINNED = {
    "group norm mixes": (lambda m, x: m.out(m.n(m.a(x))), {"n": nn.GroupNorm(3, 6, affine=False)}),
    "local response norm": (lambda m, x: m.out(m.n(m.a(x))), {"n": nn.LocalResponseNorm(3)}),
    "softmax mixes": (lambda m, x: m.out(m.a(x).softmax(1)), {}),
    "normalize mixes": (lambda m, x: m.out(F.normalize(m.a(x))), {}),
    "mean mixes": (lambda m, x: m.out(m.a(x) - m.a(x).mean(1, keepdim=True)), {}),
    "matmul mixes": (lambda m, x: m.a(x).flatten(2) @ m.a(x).flatten(2).mT, {}),
    "fixed number of channels": (lambda m, x: m.out(m.a(x) + torch.ones(6, 1, 1)), {}),
    "spreads one channel over many": (
        lambda m, x: m.o((m.a(x).mean((2, 3))[:, :, None] * m.p).flatten(1)),
        {"p": nn.Parameter(torch.ones(6, 4)), "o": nn.Linear(24, 2)},
    ),
    "used in two ways": (
        lambda m, x: F.linear(m.a(x).mean((2, 3)), m.w) + m.a.weight.sum(),
        {"w": nn.Parameter(torch.ones(2, 6))},
    ),
}


@pytest.mark.parametrize("reason", PINNED)
def test_what_mixes_channels_pins_them_with_a_reason(reason: str):
    program, parts = PINNED[reason]
    graph = trace(Program(program, a=conv(3, 6), out=conv(6, 2), **parts), X)
    space = next(space for space in graph.spaces if space.name == "a")
    assert any(reason in pin for pin in space.pins)
    assert not space.removable
    frame = graph.channels().query("space == 'a'")
    assert frame.blocked.str.contains(reason).all()


def test_a_stream_under_a_layer_norm_is_a_space_that_can_shrink():
    net, x = build("convnext")
    spaces = {space.name: space for space in trace(net, x).spaces}
    assert spaces["add"].removable
    assert spaces["wide"].removable
    roles = {(part.parameter, part.role) for part in spaces["add"].slices}
    assert {("scale", "constant"), ("depthwise.weight", "depthwise"), ("norm.weight", "norm")} <= roles


def test_inputs_and_outputs_by_their_keys():
    class Paired(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.a, self.b = conv(3, 6), conv(6, 2), conv(6, 4)

        def forward(self, image: Tensor, scale: Tensor, flag: bool = False) -> dict[str, tuple[Tensor, ...]]:
            y = self.trunk(image) * scale
            return {"one": (self.a(y), self.b(y)), "two": (y if flag else self.b(y),)}

    net = Paired()
    for inputs in ((X, torch.ones(2, 1, 1, 1)), {"image": X, "scale": torch.ones(2, 1, 1, 1), "flag": False}):
        graph = trace(net, inputs)
        assert list(graph.inputs) == ["image", "scale"]
        assert list(graph.outputs) == ["one.0", "one.1", "two.0"]
        spaces = {space.name: space for space in graph.spaces}
        assert spaces["trunk"].reaches == ("one.0", "one.1", "two.0")
        assert spaces["b"].outputs == ("one.1", "two.0")
    assert trace(net, (X, torch.ones(2, 1, 1, 1), True)).outputs["two.0"].size == 6


def test_sizes_may_decide_and_stay_sizes_of_the_input():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = m.a(x)
        b, c, h, w = y.shape
        for _ in range(len(y.shape) - 3):
            y = torch.relu(y)
        if c == 6 and h > 4:
            y = y.reshape(b, c, h * w).mean(-1)
        return m.out(y[:, :, None, None])

    net = Program(program, a=conv(3, 6), out=conv(6, 2))
    graph = trace(net, X)
    (found,) = graph.decisions
    assert (found.kind, found.place.rpartition(": ")[2]) == ("size", "if c == 6 and h > 4")
    assert trace(net, X, program=True).fixed_sizes
    assert [space.name for space in graph.spaces] == ["x", "a", "out"]
    ramp = Program(lambda m, x: m.a(x) + torch.linspace(0, 1, 16).expand(x.size(0), 1, 16, 16), a=conv(3, 6))
    assert trace(ramp, X, program=True).fixed_sizes  # a tensor made of sizes: fx needs plain numbers there


@pytest.mark.parametrize("name", ZOO)
def test_the_drawn_program_is_the_model(name: str):
    net, x = build(name)
    program = fx.GraphModule(net, trace(net, x, program=True).fx_graph)
    wide = torch.cat([x, x], -1) if name in ("ours basic", "u-net", "densenet", "channel shuffle") else x
    for inputs in (x, wide[:1]):
        pairs = zip(*(torch.utils._pytree.tree_leaves(f(inputs)) for f in (net, program)), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_a_layer_used_twice_keeps_the_constraints_of_both_uses():
    net, x = build("shared")
    spaces = {space.name: space for space in trace(net, x).spaces}
    stream = next(space for space in spaces.values() if any(part.layer == "twice" for part in space.writers))
    assert {part.layer for part in stream.writers} == {"stem.0", "twice"}
    assert {part.parameter for part in stream.readers} == {"twice.weight", "one.weight"}


def test_slices_after_concatenation_flattening_shuffle_and_blocks():
    def reader(name: str, parameter: str, space: str) -> list[tuple[int, int, int]]:
        net, x = build(name)
        found = next(s for s in trace(net, x).spaces if s.name == space)
        return [(part.start, part.length, part.repeat) for part in found.slices if part.parameter == parameter]

    assert reader("densenet", "transition.2.weight", "layers.1.conv2") == [(10, 4, 1)]
    assert reader("vgg", "classifier.0.weight", "features.3") == [(0, 8, 9)]
    assert reader("pixel shuffle", "wide.weight", "wide") == [(0, 6, 4)]
    assert reader("grouped", "first.0.weight", "first.0") == [(0, 6, 1), (6, 6, 1)]
    assert reader("splits", "right.weight", "stem[4:6]") == [(0, 2, 1)]


def test_every_parameter_entry_of_a_known_axis_has_a_channel():
    net, x = build("ours bottleneck, D-stem, ASPP")
    graph = trace(net, x)
    shapes = {name: p.shape for name, p in [*net.named_parameters(), *net.named_buffers()]}
    for site in graph.sites:
        assert len(site.channels) == shapes[site.parameter][site.axis]
        assert (site.channels > 0).all()
    channels = np.concatenate([space.channels for space in graph.spaces])
    assert len(np.unique(channels)) == len(channels) == graph.count - 1


def test_tensors_of_a_node_tell_their_channels():
    net, x = build("splits")
    graph = trace(net, x)
    parts = graph.tensors(next(event.node for event in graph.events if event.name == "split"))
    assert [part.shape[1] for part in parts] == [4, 8]
    stem = next(site for site in graph.sites if site.parameter == "stem.weight" and site.role == "writer")
    assert np.array_equal(np.concatenate([part.labels.ravel() for part in parts]), stem.channels)


def test_no_activation_stays_behind():
    net, x = build("ours basic")
    kept = []
    handle = net.trunk.stages[0].register_forward_hook(lambda m, i, output: kept.append(output))
    graph = trace(net, x)
    handle.remove()
    watched = [weakref.ref(tensor.concrete if hasattr(tensor, "concrete") else tensor) for tensor in kept]
    kept.clear()
    gc.collect()
    assert graph is not None
    assert all(reference() is None for reference in watched)
