"""One operation followed: sizes pass, structures are taken apart, tensors go to their rule, the rest is pinned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.fx.node import map_aggregate

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.contracting import contracted
from winnow.engine.graph.functions import flipped_from
from winnow.engine.graph.grids import all_closed
from winnow.engine.graph.operation import Operation, carriers_in, tensors_in
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.recurrent import stays_whole
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.rules import GRIDS, WEIGHTED, rule_of

SIZES = {
    "size", "shape", "dim", "ndim", "ndimension", "numel", "nelement", "stride", "dtype", "device", "layout",
    "type", "is_floating_point", "is_complex", "is_cuda", "is_contiguous", "requires_grad", "element_size",
    "itemsize", "nbytes", "get_device", "storage_offset", "is_leaf", "is_sparse",
}  # fmt: skip
ZEROS = ("zeros", "new_zeros", "zeros_like")
UNKNOWN = "is not known to the channel graph"
MISFIT = "is used in a way that the channel graph does not follow"


@dataclass(frozen=True, eq=False)
class Effects:
    """What else is known of an operation: the tensors whose memory it wrote to, and its operands, weights included."""

    written: Sequence[Carrier] = ()
    whole: Callable[[], tuple[Any, Any]] | None = None


def followed(recording: Recording, operation: Operation, effects: Effects) -> Any:
    """Return the carriers of the result, in its structure; what is not understood is pinned."""
    if operation.name == "getitem" and not isinstance(operation.args[0], Tensor):
        return operation.carried_args[0][operation.args[1]]
    if operation.name == "getattr":
        return _part(operation)
    carried = _by_rule(recording, operation, effects)
    recording.pin(operation)
    results = {carrier.index for carrier in carriers_in((carried,))}
    for carrier in effects.written:
        recording.spoil(carrier, results, operation.place)
    return carried


def _part(operation: Operation) -> Any:
    """Return the carrier of a named part, such as the values of a maximum."""
    for place, part in enumerate(operation.args[0]):
        if part is operation.result:
            return operation.carried_args[0][place]
    raise operation.refusal(UNKNOWN)


def _by_rule(recording: Recording, operation: Operation, effects: Effects) -> Any:
    rule = rule_of(operation)
    whole = flipped_from(operation.result)
    if rule not in (*WEIGHTED, contracted) and whole is None:  # a product with a parameter may be a layer
        recording.meets(operation)
    reason = UNKNOWN
    if rule is not None and operation.carriers():
        try:
            carried = rule(recording, operation if rule in GRIDS else all_closed(recording, operation))
            if _fits(operation.result, carried):
                return carried if whole is None else recording.as_named(carried, whole)
            reason = MISFIT
        except NotTraceable as error:
            reason = error.advice
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            reason = MISFIT
    stays_whole(recording, operation)
    if effects.whole is not None:
        args, kwargs = effects.whole()
        operation = replace(operation, carried_args=args, carried_kwargs=kwargs)
    if rule in WEIGHTED or any(carrier.bears for carrier in operation.carriers()):
        return recording.pinned(operation, reason, layer=rule in WEIGHTED)
    recording.meets(operation)
    return map_aggregate(operation.result, lambda leaf: _fixed(recording, operation, leaf))


def _fits(result: Any, carried: Any) -> bool:
    """Whether a rule gave a carrier for every tensor, with labels that lie on it."""
    tensors, carriers = tensors_in((result,)), list(carriers_in((carried,)))
    return len(tensors) == len(carriers) and all(
        carrier.labels.ndim == tensor.dim()
        and all(n in (1, size) for n, size in zip(carrier.labels.shape, tensor.shape, strict=True))
        for tensor, carrier in zip(tensors, carriers, strict=True)
    )


def _fixed(recording: Recording, operation: Operation, leaf: Any) -> Any:
    zero = operation.name in ZEROS
    return recording.fixed(operation.node, leaf, zero) if isinstance(leaf, Tensor) else leaf
