"""Bytes of the tensors that live at once in a forward pass, also of a network that nobody has made yet.

Live memory only grows when an operation returns, so the largest sum after an operation is the peak. The peak of a
smaller network is that of its program run on shapes alone (torch's `meta` device): nothing is computed.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import evaluating
from winnow.engine.pruning.fitting import settle_shapes
from winnow.engine.pruning.naming import Naming, named_numbers, namings, rewrite
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.shrinking import shrunk
from winnow.engine.pruning.sizes import fit_layers

WIDE = 2  # dimensions of a weight before its kernel


class AliveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Counts the bytes of the tensors that are alive after each operation, and keeps the largest sum."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside, so torch need not load its compiler (seconds) to leave this class out."""
        return False

    def add(self, tensors: list[Tensor]) -> None:
        """Count new tensors, and drop those that were freed."""
        self.alive = {key: entry for key, entry in self.alive.items() if not _freed(entry[0])}
        for tensor in tensors:
            storage = tensor.untyped_storage()
            reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            self.alive.setdefault(reference.cdata, (reference, storage.nbytes()))
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = tensors_of(result)
        shapes_alone = made and made[0].is_meta and "batch_norm" in str(func)
        self.add(made[:1] if shapes_alone else made)  # there a batch norm returns vectors that it does not on a CPU
        return result


def _freed(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]


def tensors_of(structure: Any) -> list[Tensor]:
    """Return the tensors in any container that torch knows."""
    return [leaf for leaf in _pytree.tree_leaves(structure) if isinstance(leaf, Tensor)]


def activation_bytes(model: nn.Module, call: Call) -> int:
    """Return the peak of inputs and activations [bytes] in evaluation mode, without weights and buffers."""
    given = [tensor for _, tensor in call.tensors()]
    known = {tensor.untyped_storage()._cdata for tensor in [*model.parameters(), *model.buffers()]}
    watch = AliveBytes()
    with evaluating(model), torch.no_grad(), watch:
        watch.add([tensor for tensor in given if tensor.untyped_storage()._cdata not in known])
        run(model, call)
    return watch.peak


class Footprint:
    """The peak of activations of a network without the channels of a plan, in its own class.

    Raises:
        ValueError: the network does not run on shapes alone, or takes another peak there than in earnest.

    """

    def __init__(self, graph: ChannelGraph) -> None:
        self._call = graph.calls[0].changed(lambda leaf: leaf.to("meta"))
        self._shapes = {name: tuple(parameter.shape) for name, parameter in graph.model.named_parameters()}

    def bytes(self, plan: Plan) -> int:
        """Return the peak [bytes] of one pass of the graph's first call.

        Raises:
            ValueError: the smaller network does not run on shapes alone.

        """
        plan, reason = plan.running("all"), ""
        for naming in namings(plan):
            try:
                return activation_bytes(self._smaller(plan, naming), self._call)
            except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
                reason = reason or str(error).partition("\n")[0]
        raise ValueError(
            f"`memory` must be predicted from shapes alone, but this network does not run on them: {reason}. Choose a "
            "share of MACs or of parameters."
        )

    @torch.no_grad()
    def _smaller(self, plan: Plan, naming: Naming) -> nn.Module:
        twin, cuts = shrunk(plan.graph.model, plan.liveness, plan.readings())
        fit_layers(twin, plan.graph.model)
        settle_shapes(plan.graph, twin, plan.liveness.kept)
        rewrite(twin, named_numbers(plan, naming))
        planned = dict(plan.graph.model.named_parameters())
        shapes = {
            id(cut.after): _whole_kernels(tuple(cut.after.shape), tuple(planned[name].shape), self._shapes[name])
            for name, cut in cuts.items()
            if name in planned
        }
        _on_shapes(twin, shapes)
        return twin


def _whole_kernels(left: tuple[int, ...], planned: tuple[int, ...], real: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what is left of a weight, where the plan's has one entry in the place of each kernel."""
    if len(left) != len(real):
        return left
    kernel = zip(left[WIDE:], planned[WIDE:], real[WIDE:], strict=True)
    return (*left[:WIDE], *(own if was == size else size for own, was, size in kernel))


def _on_shapes(model: nn.Module, shapes: Mapping[int, tuple[int, ...]]) -> None:
    """Put a model on the meta device, its parameters with these shapes, by their identity."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                shape = shapes.get(id(parameter), tuple(parameter.shape))
                module._parameters[name] = nn.Parameter(
                    torch.empty(shape, device="meta", dtype=parameter.dtype), requires_grad=False
                )
    model.to("meta")
