"""A frozen model: evaluation mode, weights without gradients, batch norms folded into the convolutions before them.

Gradients then cost no more than those of the activations. In evaluation mode a batch norm is the scale s = γ/√(σ² + ε)
and the shift β − μs, so that norm(W ∗ x) = (sW) ∗ x + (β − μs), up to rounding; its own backward pass would cost half
of a convolution's. Only pairs are folded that follow one another in an `nn.Sequential` and are used nowhere else, so
that nothing can read the tensor between them. Zeros of W stay zeros.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import calling, evaluating, modules_called, requiring_grad

PAIRS = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))


@contextmanager
def frozen_model(model: nn.Module) -> Iterator[None]:
    """Hold a model frozen for a while; afterwards its modes, weights and modules are what they were."""
    with evaluating(model), modules_called(), requiring_grad(model.parameters(), wanted=False), ExitStack() as stack:
        for convolution, norm in folded_pairs(model):
            stack.enter_context(calling(convolution, _folded(convolution, norm)))
            stack.enter_context(calling(norm, _unchanged))
        yield


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


def _folded(convolution: Any, norm: Any) -> Callable[[Tensor], Tensor]:
    weight, shift = folded_weights(convolution, norm)

    def forward(x: Tensor) -> Tensor:
        result: Tensor = convolution._conv_forward(x, weight, shift)
        return result

    return forward


def _unchanged(x: Tensor) -> Tensor:
    return x
