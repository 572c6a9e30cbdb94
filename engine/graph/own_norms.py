"""Norms over channels in classes of the user's own: channels first, as ConvNeXt's, by hand, as Llama's, subclasses.

Whether a module is such a norm is tried, not read: a copy of it with random weights must give what a layer norm or an
RMS norm gives, on several inputs. While a model is watched, such a module is one operation, so that channels of the
stream can go through it as through torch's own norms.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.copies import deep_copy
from winnow.engine.graph.modes import calling
from winnow.engine.graph.narrow_norms import own_norm

PLACES: tuple[tuple[int, tuple[int, ...]], ...] = ((-1, (2, 3, 0)), (-1, (2, 2, 3, 0)), (-3, (2, 0, 3, 2)))
CLOSE = 1e-4
MOST = 2**16  # channels


@dataclass(frozen=True)
class OwnNorm:
    """What a module does: its kind, the axis of the channels from the end, ε, and the names of γ and β."""

    kind: Literal["layer", "rms"]
    axis: int
    eps: float
    scale: str
    shift: str | None


def own_norms(model: nn.Module) -> dict[str, OwnNorm]:
    """Return the norms of a model that are none of torch's own classes, by their paths."""
    known: dict[Any, OwnNorm | None] = {}
    found: dict[str, OwnNorm] = {}
    for path, module in model.named_modules():
        if not path or not _could_be(module):
            continue
        key = (
            type(module),
            *((name, len(tensor)) for name, tensor in module._parameters.items() if tensor is not None),
        )
        key += tuple((name, value) for name, value in vars(module).items() if isinstance(value, int | float | str))
        if key not in known:
            known[key] = norm_of_module(module)
        if (norm := known[key]) is not None:
            found[path] = norm
    return found


@contextmanager
def as_norms(model: nn.Module, but: type[nn.Module] | tuple[type[nn.Module], ...] = ()) -> Iterator[None]:
    """Let such norms of a model run as one operation each, as `engine.graph.narrow_norms.own_norm`."""
    with ExitStack() as stack:
        for path, norm in own_norms(model).items():
            module = model.get_submodule(path)
            if not isinstance(module, but):
                stack.enter_context(calling(module, _as_one(module, norm)))
        yield


def _as_one(module: nn.Module, norm: OwnNorm) -> Callable[..., Any]:
    plain = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        alone = len(args) == 1 and not kwargs and isinstance(args[0], Tensor) and not isinstance(args[0], fx.Proxy)
        if not alone or args[0].dim() < max(2, -norm.axis) or (norm.axis == -3 and args[0].dim() != 4):
            return plain(*args, **kwargs)
        parameters: Mapping[str, Any] = module._parameters
        shift = None if norm.shift is None else parameters[norm.shift]
        return own_norm(args[0], parameters[norm.scale], shift, norm.axis, plain)

    return forward


def _could_be(module: nn.Module) -> bool:
    """Whether a module has a γ, at most a β, and nothing else."""
    own = [tensor for tensor in module._parameters.values() if tensor is not None]
    plain = all(isinstance(tensor, nn.Parameter) and tensor.dim() == 1 for tensor in own) and 0 < len(own) < 3
    torch_own = type(module).__module__.startswith(("torch.", "winnow."))
    hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
    alone = not module._modules and not any(buffer is not None for buffer in module._buffers.values())
    return bool(plain and alone and not torch_own and not hooked and 1 < len(own[0]) <= MOST)


def norm_of_module(module: nn.Module) -> OwnNorm | None:
    """Return what norm a module is, None if it is none."""
    try:
        twin = deep_copy(module).to(device="cpu", dtype=torch.float32)
    except Exception:  # noqa: BLE001 - what cannot be copied is none of ours
        return None
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        names = [name for name, parameter in twin._parameters.items() if parameter is not None]
        for name in names:
            nn.init.uniform_(twin.get_parameter(name), 0.5, 1.5)
        if len({len(twin.get_parameter(name)) for name in names}) > 1:
            return None
        found = [norm for norm in _candidates(twin, names) if _is(twin, norm)]
    return found[0] if len(found) == 1 else None


def _candidates(module: nn.Module, names: list[str]) -> Iterator[OwnNorm]:
    eps = {float(value) for value in vars(module).values() if type(value) is float and 0 < value < 0.1} | {1e-5, 1e-6}
    orders = [(names[0], None)] if len(names) == 1 else [(names[0], names[1]), (names[1], names[0])]
    for scale, shift in orders:
        for axis in (-1, -3):
            for one in sorted(eps):
                yield OwnNorm("layer", axis, one, scale, shift)
                yield OwnNorm("rms", axis, one, scale, shift)


def _is(module: nn.Module, norm: OwnNorm) -> bool:
    """Whether a module gives what a norm gives, on inputs of which some are so small that ε decides."""
    width, tried = len(module.get_parameter(norm.scale)), 0
    parameters: Mapping[str, Any] = module._parameters
    for axis, shape in PLACES:
        if axis != norm.axis:
            continue
        for size in (1.0, 1e-3, 30.0):
            x = torch.randn([width if n == 0 else n for n in shape]) * size + size
            try:
                given = module(x.clone())
            except Exception:  # noqa: BLE001 - whatever it does not take, it is not this norm
                return False
            expected = normed(x, norm, parameters)
            if not isinstance(given, Tensor) or given.shape != x.shape or given.dtype != x.dtype:
                return False
            if not torch.allclose(given, expected, rtol=CLOSE, atol=CLOSE * float(expected.abs().max())):
                return False
            tried += 1
    return tried > 0


def normed(x: Tensor, norm: OwnNorm, parameters: Mapping[str, Any]) -> Tensor:
    """Return (x − μ)/√(σ² + ε)·γ + β, or x/√(mean x² + ε)·γ (+ β), over one axis."""
    moved = x.movedim(norm.axis, -1)
    mean = moved.mean(-1, keepdim=True) if norm.kind == "layer" else 0.0
    squares = (moved - mean).square().mean(-1, keepdim=True)
    found: Tensor = (moved - mean) * torch.rsqrt(squares + norm.eps) * parameters[norm.scale]
    found = found if norm.shift is None else found + parameters[norm.shift]
    return found.movedim(-1, norm.axis)
