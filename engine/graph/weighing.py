"""Multiply-accumulates by the weight that makes them, counted while a model runs.

Torch's own formulas (`torch.utils.flop_counter`) give the floating-point operations of each operation; half of them are
MACs. An operation belongs to the parameter that it multiplies with, wherever the call stands: `F.conv2d` in a module of
one's own, the packed projections of an attention layer that never calls them. A weight that is computed from others
(weight norm, a standardised kernel, autocast) counts for the largest of them. Of several factors that weights alone
made, the parameter itself counts before what is computed, a weight before the result of a product, and of two alike the
last, as in x Wᵀ: in a small network that runs on a buffer of coordinates, each layer has its own. What no weight makes
(queries with keys) is in the total alone.

Kernels that hide what they multiply are switched off while it counts: torch's fast path of attention layers, fused
attention, and recurrent layers of oneDNN and cuDNN. A weight that an operation without a formula multiplies with what
the inputs gave has NaN; such operations between weights and constants alone (an inverse, say) are not counted.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from winnow.engine.graph.calls import calls, length_of, on_copies, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.modes import in_mode, modules_called
from winnow.engine.graph.preserving import preserved
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


_aten = torch.ops.aten
ADDING = (_aten.addmm, _aten.addbmm, _aten.baddbmm, _aten.addmv)  # to their first argument
VECTORS = (_aten.dot, _aten.vdot, _aten.mv, _aten.addmv)


@dataclass(frozen=True)
class _Made:
    """What a tensor made of weights counts for, and how many products lie between the two."""

    name: str
    products: int


class _Weighing(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Counts every operation that runs, for the parameter that it multiplies with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0
        self.by_weight = {name: 0.0 for name, parameter in model.named_parameters() if parameter.dim() > 1}
        self._sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        self._made_of = {_memory(parameter): _Made(name, 0) for name, parameter in model.named_parameters()}
        self._parameters = set(self._made_of)
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
        memories = [_memory(tensor) for tensor in given]
        weights = [memory for memory in memories if memory in self._made_of]
        constant = sum(memory in self._constants and memory not in self._made_of for memory in memories)
        alone = bool(weights) and len(weights) + constant == len(given)
        factors = memories[1:] if func._overloadpacket in ADDING else memories
        if formula is not None:
            self._count(formula(*args, **kwargs, out_val=result) / 2, factors)
        elif (plain := _counted(func, given)) is not None:
            self._count(plain, factors)
        elif weights and not alone and not _free(func):
            self._count(math.nan, memories)
        if alone:
            self._followed(result, weights, product=not _free(func))
        elif given and constant == len(given):
            self._constants |= set(map(_memory, self._new(result)))
        else:
            self._overwritten(_written(func, args, kwargs))
        return result

    def _count(self, macs: float, factors: list[int]) -> None:
        """Count for the factor that is a parameter, else for the least computed; of several alike, for the last."""
        self.total += macs
        found = [(own not in self._parameters, self._made_of[own]) for own in factors if own in self._made_of]
        ranks = [(made, of.products, -i, of.name) for i, (made, of) in enumerate(found) if of.name in self.by_weight]
        if ranks:
            self.by_weight[min(ranks)[-1]] += macs

    def _followed(self, result: Any, weights: list[int], *, product: bool) -> None:
        """Remember that a tensor is made of weights alone: of the largest matrix, else of the largest."""
        found = [self._made_of[memory] for memory in weights]
        largest = max(found, key=lambda of: (of.name in self.by_weight, self._sizes[of.name]))
        made = _Made(largest.name, largest.products + product)
        self._made_of |= dict.fromkeys(map(_memory, self._new(result)), made)

    def _new(self, result: Any) -> list[Tensor]:
        found = [own for _, own in flatten((result,)) if _memory(own) not in self._made_of]
        self._held += found
        return found

    def _overwritten(self, tensors: list[Tensor]) -> None:
        """Forget what a memory was made of, now that what the inputs gave is in it."""
        for memory in map(_memory, tensors):
            self._constants.discard(memory)
            if memory not in self._parameters:
                self._made_of.pop(memory, None)


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """Return the tensors that an operation writes into."""
    if not func._schema.is_mutable:
        return []
    arguments = func._schema.arguments
    values = dict(zip((own.name for own in arguments), args, strict=False)) | kwargs
    written = [values.get(own.name) for own in arguments if own.alias_info is not None and own.alias_info.is_write]
    return [leaf for _, leaf in flatten(written)]


def _counted(func: Any, given: list[Tensor]) -> float | None:
    """Return the MACs of an operation of which torch has no formula, None where they are not known."""
    if func._overloadpacket is torch.ops.aten._trilinear:
        return float(len(given[0]) * given[1].numel())  # each image with each entry
    return float(max(own.numel() for own in given)) if func._overloadpacket in VECTORS else None


def weigh(model: nn.Module, example_inputs: Any) -> tuple[float, dict[str, float]]:
    """Return the MACs of one image: of the whole model, and by the name of the parameter that makes them.

    `example_inputs` is whatever `engine.graph.calls.calls` takes; of several calls, the first, in its mode or else in
    evaluation mode. The model is afterwards what it was. Parameters without MACs (biases, norms) are left out; one
    that an operation without a formula multiplies with what the inputs gave has NaN, and so has the total. Names are
    those inside a wrapper, such as DistributedDataParallel.

    Raises:
        ValueError: the parameters are sharded over processes (FSDP), so that no weight is whole.

    """
    model, _ = unwrapped(model)
    call = on_copies(calls(model, example_inputs)[0])
    recurrent = any(isinstance(module, RECURRENT) for module in model.modules())
    with contextlib.ExitStack() as stack:
        for context in (
            preserved(model), in_mode(model, bool(call.training)), torch.no_grad(), _plain_kernels(recurrent)
        ):  # fmt: skip
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
