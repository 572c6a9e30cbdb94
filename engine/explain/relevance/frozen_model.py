"""A frozen model: evaluation mode, weights without gradients, norms folded, and channels of zero weight not read.

Gradients then cost no more than those of the activations. In evaluation mode a batch norm is the scale s = γ/√(σ² + ε)
and the shift β − μs, so that norm(W ∗ x) = (sW) ∗ x + (β − μs), up to rounding; its own backward pass would cost half
of a convolution's. Only pairs are folded that follow one another in an `nn.Sequential` and are used nowhere else, so
that nothing can read the tensor between them. Zeros of W stay zeros.

A sparse network multiplies many of its channels by weights that are all zero. Layers of torch, called as such, leave
these out where that saves time: the outputs are the same up to rounding, and the gradient at such a channel is 0.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import calling, evaluating, modules_called, requiring_grad
from winnow.engine.graph.preserving import Preserved, preserved
from winnow.engine.graph.refusal import NotTraceable

LAYERS: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
FEW = 0.75  # of the inputs: where more are read, taking them out costs what it saves
PAIRS = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))


@contextmanager
def frozen_model(model: nn.Module) -> Iterator[Preserved]:
    """Hold a model frozen for a while; afterwards it is what it was, with what its passes store, count or write.

    Its state is given, for who wants each pass to begin from it.

    Raises:
        NotTraceable: a pass wrote into a weight of a layer that was folded or left out zeros of, and so was not heard.

    """
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(modules_called())
        stack.enter_context(requiring_grad(model.parameters(), wanted=False))
        replaced: list[nn.Module] = []
        folding = {id(convolution): (convolution, norm) for convolution, norm in folded_pairs(model)}
        for module in model.modules():
            if id(module) in folding:
                convolution, norm = folding[id(module)]
                stack.enter_context(calling(convolution, _forward(convolution, *folded_weights(convolution, norm))))
                stack.enter_context(calling(norm, _unchanged))
                replaced += [convolution, norm]
            elif (weight := plain_weight(module)) is not None and read_inputs(module, weight) is not None:
                own: Any = module
                stack.enter_context(calling(module, _forward(own, weight.detach(), own.bias)))
                replaced.append(module)
        state = stack.enter_context(preserved(model))  # as it runs here: it may be put back between passes
        yield state
        state.restore()
        _refuse_unheard(model, state, replaced)


def _refuse_unheard(model: nn.Module, state: Preserved, replaced: Sequence[nn.Module]) -> None:
    """Refuse passes that wrote into weights of which a copy was in use."""
    own = {id(parameter) for module in replaced for parameter in module.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        if name in state.rewritten and id(parameter) in own:
            wrote = f"a forward pass that writes into `{name}`, which is folded or read in part here,"
            raise NotTraceable(name.rpartition(".")[0], wrote, "change parameters outside of the forward pass")


def plain_weight(module: nn.Module) -> Tensor | None:
    """Return the weight of a layer of torch that is called as such, (outputs, inputs of a group, …); None of others."""
    if not any(type(module).forward is kind.forward for kind in LAYERS) or "forward" in vars(module):
        return None
    return module._parameters.get("weight")


@torch.no_grad()
def read_inputs(module: nn.Module, weight: Tensor) -> Tensor | None:
    """Return the input channels that a weight reads, in order, where leaving out the others saves time; else None."""
    if getattr(module, "groups", 1) != 1 or weight.dim() < 2:
        return None
    read = weight.ne(0).transpose(0, 1).flatten(1).any(1)
    if int(read.sum()) > FEW * len(read):
        return None
    found = read.nonzero().ravel()
    return found if len(found) else found.new_zeros(1)  # one that is zero: torch has no layer of no inputs


def applied(module: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return what a linear layer or a convolution gives with another weight and bias."""
    if weight.dim() == 2:
        return nn.functional.linear(x, weight, bias)
    result: Tensor = module._conv_forward(x, weight, bias)
    return result


def channel_axis(weight: Tensor) -> int:
    """Return the axis of the channels in what a weight reads, from the end."""
    return 1 - weight.dim() if weight.dim() > 2 else -1


def folded_pairs(model: nn.Module) -> Iterator[tuple[Any, Any]]:
    """Yield every convolution and batch norm where only that batch norm reads the convolution."""
    places = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    for parent in model.modules():
        if type(parent) is not nn.Sequential or places[parent] > 1:
            continue
        for one, other in pairwise(parent):
            alone = places[one] == places[other] == 1
            if alone and (type(one), type(other)) in PAIRS and other.running_var is not None:
                yield one, other


@torch.no_grad()
def folded_weights(convolution: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution that does what it and the batch norm behind it do together."""
    scale = torch.rsqrt(norm.running_var + norm.eps) * (1.0 if norm.weight is None else norm.weight)
    bias = 0.0 if convolution.bias is None else convolution.bias
    shift = (bias - norm.running_mean) * scale + (0.0 if norm.bias is None else norm.bias)
    return convolution.weight * scale.view(-1, *[1] * (convolution.weight.dim() - 1)), shift


def _forward(module: Any, weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return the function that replaces a layer's forward."""
    read = read_inputs(module, weight)
    if read is None:
        return lambda x: applied(module, x, weight, bias)
    few, axis = weight.index_select(1, read), channel_axis(weight)
    return lambda x: applied(module, x.index_select(axis, read), few, bias)


def _unchanged(x: Tensor) -> Tensor:
    return x
