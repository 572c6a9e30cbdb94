"""Models on which a method would silently give wrong numbers: they are refused by name before anything is computed.

DeepLift has a rule for each non-linearity, and Captum has these rules for some modules only. For the others (SiLU,
GELU, hard-swish), and for a ReLU that is a function or a tensor's method, it silently takes the plain gradient, and the
sums come out wrong; with max-pooling they are wrong by up to a factor. A module that is called twice breaks its hooks.

Where a model stops gradients (`torch.no_grad`, `detach`, `argmax`), what lies before has no gradient though outputs
depend on it, and before a function of steps (`round`, `sign`, `floor`) one that is 0 everywhere: its relevance would be
0, so such layers are left out by name.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge
from torch.overrides import TorchFunctionMode

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.sites import Site, recorded
from winnow.engine.graph.containers import flatten

STOPPED = (
    "outputs depend on it and no gradient tells how much, as under torch.no_grad or behind detach; let gradients "
    "through it in evaluation mode"
)
STEPPED = (
    "outputs depend on it through steps alone (round, sign, floor), whose gradient is 0; let a gradient past "
    "them in evaluation mode: x + (x.round() - x).detach()"
)
STEPS = re.compile(r"(Round|Sign|Sgn|Floor|Ceil|Trunc)Backward\d+")  # torch's own: a user's has no digit there
TRIES = 8  # tensors in a layer's place, each twice as far away, until outputs change
EXACT = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Softplus,
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Flatten, nn.Unflatten, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Upsample, nn.ZeroPad2d, nn.ReflectionPad2d,
)  # fmt: skip
NON_LINEAR = {
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "celu", "selu", "silu", "gelu", "mish",
    "hardswish", "hardtanh", "hardsigmoid", "sigmoid", "sigmoid_", "tanh", "tanh_", "softplus", "softmax",
    "log_softmax", "clamp", "clamp_", "clamp_min", "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d",
    "exp", "log", "sqrt", "square", "pow", "abs", "maximum", "minimum", "layer_norm", "group_norm", "normalize",
}  # fmt: skip


class NotAttributableError(ValueError):
    """A method would silently give wrong numbers on this model; the message says why."""


def stopped(model: nn.Module, sites: Sequence[Site], images: Tensor) -> dict[str, str]:
    """Return why sites cannot be explained on which outputs depend, but which no gradient reaches, by name.

    Raises:
        NotAttributableError: the model's backward pass does not run.

    """
    with frozen_model(model), recorded(sites) as kept, torch.enable_grad():
        outputs = _numbers(model, images)
        ends = [leaf for leaf in outputs if leaf.requires_grad]
        reached, sloped = _reached(kept, ends), _sloped(kept, ends)
    silent = [site for site in sites if kept[site.name] and site.name not in reached & sloped]
    return {
        site.name: STEPPED if site.name in reached else STOPPED
        for site in silent
        if _matters(model, site, images, outputs)
    }


def _numbers(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return a model's outputs, with the same random numbers each time."""
    gpus = sorted({parameter.device for parameter in model.parameters() if parameter.is_cuda}, key=str)
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(0)
        return [leaf for _, leaf in flatten(model(images)) if leaf.is_floating_point()]


def _reached(kept: Mapping[str, Sequence[Tensor]], outputs: Sequence[Tensor]) -> set[str]:
    """Return the names of the sites that the gradient of some output reaches."""
    named = [(name, tensor) for name, calls in kept.items() for tensor in calls if tensor.requires_grad]
    if not named or not outputs:
        return set()
    total = torch.stack([leaf.double().sum().cpu() for leaf in outputs]).sum()
    try:
        grads = torch.autograd.grad(total, [tensor for _, tensor in named], allow_unused=True)
    except RuntimeError as error:
        raise NotAttributableError(
            f"`model` must have a backward pass, got: {error} Mend this in its forward pass, and explain it then."
        ) from error
    return {name for (name, _), grad in zip(named, grads, strict=True) if grad is not None}


def _sloped(kept: Mapping[str, Sequence[Tensor]], outputs: Sequence[Tensor]) -> set[str]:
    """Return the names of the sites from which a way leads to some output that no function of steps is on."""
    waiting, seen = [get_gradient_edge(leaf).node for leaf in outputs], set[Node]()
    while waiting:
        node = waiting.pop()
        if node not in seen and not _steps(node):
            seen.add(node)
            waiting += [before for before, _ in node.next_functions if before is not None]
    tensors = [(name, tensor) for name, calls in kept.items() for tensor in calls if tensor.requires_grad]
    return {name for name, tensor in tensors if get_gradient_edge(tensor).node in seen}


def _steps(node: Node) -> bool:
    return bool(STEPS.fullmatch(node.name())) or getattr(node, "_saved_rounding_mode", None) is not None


def _matters(model: nn.Module, site: Site, images: Tensor, outputs: Sequence[Tensor]) -> bool:
    """Return whether another tensor at a site gives other outputs; few signs may well stay as they are by chance."""
    return any(_changes(model, site, images, outputs, seed) for seed in range(TRIES))


@torch.no_grad()
def _changes(model: nn.Module, site: Site, images: Tensor, outputs: Sequence[Tensor], seed: int) -> bool:
    generator = torch.Generator().manual_seed(seed)

    def other(x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator).to(x)
        return x + 2.0**seed * noise * (1 + x.abs().max())

    with frozen_model(model), site.changing(other):
        found = _numbers(model, images)
    return any(not torch.equal(one, two) for one, two in zip(outputs, found, strict=True))


def refuse_reuse(model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, method: str) -> None:
    """Raise where a layer to be explained is called more than once: Captum would see one call only."""
    calls = _calls(model, images)
    for name, layer in layers.items():
        if calls.get(layer, 0) > 1:
            raise NotAttributableError(
                f"`method` must be taylor for layer {name}, which is called {calls[layer]} times, got {method}."
            )


def refuse_deep_lift(model: nn.Module, images: Tensor) -> None:
    """Raise `NotAttributableError` where Captum's DeepLift would silently be incomplete on this model."""
    names = {module: name for name, module in model.named_modules()}
    for module, count in _calls(model, images).items():
        if any(module.children()):
            continue
        if count > 1:
            raise _deep_lift(f"module {names[module]} is called {count} times")
        if type(module) not in EXACT:
            raise _deep_lift(f"no rule is known for {names[module]}, a {type(module).__name__}")
    if function := _functions(model, images):
        raise _deep_lift(f"the non-linear function {function} is called outside of a module")


def _deep_lift(reason: str) -> NotAttributableError:
    return NotAttributableError(
        f"`method` must not be deep_lift here: {reason}, so its sums would be wrong. Take taylor."
    )


@torch.no_grad()
def _calls(model: nn.Module, images: Tensor) -> dict[nn.Module, int]:
    """Return how often each module is called in one pass."""
    found: dict[nn.Module, int] = {}

    def count(module: nn.Module, _: Any) -> None:
        found[module] = found.get(module, 0) + 1

    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(count).remove)
        model(images[:1])
    return found


class _Watch(TorchFunctionMode):
    """Notes the functions that are called while no module without children runs."""

    def __init__(self, inside: list[nn.Module]) -> None:
        super().__init__()
        self.inside = inside
        self.found: list[str] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        leaf = bool(self.inside) and not any(self.inside[-1].children())
        if name in NON_LINEAR and not (leaf and type(self.inside[-1]) in EXACT):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def _functions(model: nn.Module, images: Tensor) -> str | None:
    """Return the name of the first non-linear function that is called outside of a module, None if there is none."""
    inside: list[nn.Module] = []
    with _tracking(model, inside), _Watch(inside) as watch:
        model(images[:1])
    return watch.found[0] if watch.found else None


@contextmanager
def _tracking(model: nn.Module, inside: list[nn.Module]) -> Iterator[None]:
    """Keep in `inside` which modules are running."""
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(lambda m, _: inside.append(m)).remove)
            stack.callback(module.register_forward_hook(lambda m, given, result: _leave(inside)).remove)
        yield


def _leave(inside: list[nn.Module]) -> None:
    inside.pop()
