"""Multiply-accumulates by the weight that makes them, counted while a model runs.

Torch's own formulas (`torch.utils.flop_counter`) give the floating-point operations of each operation; half of them are
MACs. An operation belongs to the parameter that it multiplies with, wherever the call stands: `F.conv2d` in a module of
one's own, the packed projections of an attention layer that never calls them. A weight that is computed from others
(weight norm, a standardised kernel, autocast) counts for the largest of them. What no weight makes (queries with keys)
is in the total alone.

Kernels that hide what they multiply are switched off while it counts: torch's fast path of attention layers, fused
attention, and recurrent layers of oneDNN and cuDNN. A weight that an operation without a formula multiplies has NaN.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from winnow.engine.graph.calls import calls, length_of, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.modes import evaluating, modules_called
from winnow.engine.graph.preserving import Writes, preserved
from winnow.engine.graph.recurrent import RECURRENT
from winnow.engine.graph.wrappers import unwrapped

FREE = (  # the starts of names of operations whose multiplications are not counted, by torch neither
    "native_batch_norm", "_native_batch_norm", "cudnn_batch_norm", "_batch_norm", "native_layer_norm", "rms_norm",
    "native_group_norm", "instance_norm", "embedding", "_embedding_bag", "index", "gather", "take", "scatter",
    "cat", "stack", "sum", "mean", "var", "std", "norm", "amax", "amin", "clone", "copy", "_to_copy", "repeat",
    "expand", "pad", "roll", "flip", "select", "slice", "prelu", "_prelu_kernel", "weight_norm", "softmax",
    "_softmax", "_local_scalar", "equal", "is_", "fill", "zero", "constant_pad_nd", "upsample",
    "linalg_vector_norm", "_weight_norm",
)  # fmt: skip


VECTORS = (torch.ops.aten.dot, torch.ops.aten.vdot, torch.ops.aten.mv, torch.ops.aten.addmv)


class _Weighing(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Counts every operation that runs, for the parameter that it multiplies with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0
        self.by_weight = {name: 0.0 for name, parameter in model.named_parameters() if parameter.dim() > 1}
        self._sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        self._made_of = {_memory(parameter): name for name, parameter in model.named_parameters()}
        self._constants = {_memory(buffer) for buffer in model.buffers()}
        self._held: list[Tensor] = []  # so that no memory is used again for something else

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        kwargs, formula = kwargs or {}, flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        given = [leaf for _, leaf in flatten((args, kwargs))]
        weights = [self._made_of[_memory(tensor)] for tensor in given if _memory(tensor) in self._made_of]
        constant = sum(_memory(own) in self._constants and _memory(own) not in self._made_of for own in given)
        alone = bool(weights) and len(weights) + constant == len(given)
        if formula is not None:
            self._count(formula(*args, **kwargs, out_val=result) / 2, weights)
        elif (plain := _counted(func, given)) is not None:
            self._count(plain, weights)
        elif weights and not alone and not _free(func):
            self._count(math.nan, weights)
        self._followed(result, weights if alone else [], constants=len(given) > 0 and constant == len(given))
        return result

    def _count(self, macs: float, weights: list[str]) -> None:
        self.total += macs
        matrices = [name for name in weights if name in self.by_weight]
        if matrices:
            self.by_weight[max(matrices, key=self._sizes.__getitem__)] += macs

    def _followed(self, result: Any, weights: list[str], constants: bool) -> None:
        """Remember that a tensor is made of weights alone, or of constants alone."""
        made = [own for _, own in flatten((result,)) if _memory(own) not in self._made_of]
        if weights:
            self._made_of |= dict.fromkeys(map(_memory, made), max(weights, key=self._sizes.__getitem__))
        elif constants:
            self._constants |= set(map(_memory, made))
        self._held += made if weights or constants else []


def _counted(func: Any, given: list[Tensor]) -> float | None:
    """Return the MACs of an operation of which torch has no formula, None where they are not known."""
    if func._overloadpacket is torch.ops.aten._trilinear:
        return float(len(given[0]) * given[1].numel())  # each image with each entry
    return float(max(own.numel() for own in given)) if func._overloadpacket in VECTORS else None


def weigh(model: nn.Module, example_inputs: Any) -> tuple[float, dict[str, float]]:
    """Return the MACs of one image: of the whole model, and by the name of the parameter that makes them.

    `example_inputs` is whatever `engine.graph.calls.calls` takes; of several calls, the first counts. The model is
    afterwards what it was. Parameters without MACs (biases, norms) are left out; one that an operation without a
    formula multiplies has NaN, and so has the total. Names are those inside a wrapper, such as
    DistributedDataParallel.

    Raises:
        ValueError: the parameters are sharded over processes (FSDP), so that no weight is whole.

    """
    model, _ = unwrapped(model)
    call = calls(model, example_inputs)[0]
    recurrent = any(isinstance(module, RECURRENT) for module in model.modules())
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(preserved(model))
        for context in (evaluating(model), torch.no_grad(), _plain_kernels(recurrent), Writes(state)):
            stack.enter_context(context)
        found = stack.enter_context(_Weighing(model))
        run(model, call)
    count = max(length_of(call), 1)
    return found.total / count, {name: macs / count for name, macs in found.by_weight.items()}


@contextlib.contextmanager
def _plain_kernels(recurrent: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(modules_called())
        stack.enter_context(sdpa_kernel([SDPBackend.MATH]))
        if recurrent:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")  # not touched here
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def _memory(tensor: Tensor) -> int:
    memory: int = tensor.untyped_storage()._cdata
    return memory


def _free(func: Any) -> bool:
    name = func._overloadpacket.__name__
    return torch.Tag.pointwise in func.tags or func.is_view or name.startswith(FREE)
