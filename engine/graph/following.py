"""One operation followed: sizes pass, structures are taken apart, tensors go to their rule, the rest is refused."""

from typing import Any

from torch import Tensor
from torch.fx.node import map_aggregate

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.movement import unchanged
from winnow.engine.graph.operation import Operation, carriers_in, tensors_in
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.rules import WEIGHTED, rule_of

SIZES = {
    "size", "shape", "dim", "ndim", "ndimension", "numel", "nelement", "stride", "dtype", "device", "layout",
    "type", "is_floating_point", "is_complex", "is_cuda", "is_contiguous", "requires_grad", "element_size",
    "itemsize", "nbytes", "get_device", "storage_offset", "is_leaf", "is_sparse",
}  # fmt: skip
UNKNOWN = "the channel graph does not know it, so use operations that it knows, or keep it out of the model"
TAKEN_OUT = "a number taken out of a tensor cannot be followed, so keep it a tensor"


def followed(recording: Recording, operation: Operation, overwritten: list[Carrier]) -> Any:
    """Return the carriers of the result, in its structure.

    Raises:
        NotTraceable: channels of a layer reach an operation that has no rule.

    """
    if not tensors_in((operation.result,)):
        if operation.carriers() and operation.name not in SIZES:
            raise operation.refusal(TAKEN_OUT)
        return operation.result
    if operation.name == "getitem" and not isinstance(operation.args[0], Tensor):
        return operation.carried_args[0][operation.args[1]]
    if operation.name == "getattr":
        return _part(operation)
    carried = _by_rule(recording, operation)
    recording.pin(operation)
    results = {carrier.index for carrier in carriers_in((carried,))}
    for carrier in overwritten:
        recording.spoil(carrier, results)
    return carried


def _part(operation: Operation) -> Any:
    """Return the carrier of a named part, such as the values of a maximum."""
    for place, part in enumerate(operation.args[0]):
        if part is operation.result:
            return operation.carried_args[0][place]
    raise operation.refusal(UNKNOWN)


def _by_rule(recording: Recording, operation: Operation) -> Any:
    bears = any(carrier.bears for carrier in operation.carriers())
    rule = rule_of(operation)
    if rule not in WEIGHTED:
        recording.meets(operation)
    if rule is not None and operation.carriers():
        try:
            return rule(recording, operation)
        except NotTraceable:
            if bears:
                raise
    if not bears:
        return map_aggregate(operation.result, lambda leaf: _fixed(recording, operation, leaf))
    if any(operation.result is value for value in operation.args):
        return unchanged(recording, operation)
    raise operation.refusal(UNKNOWN)


def _fixed(recording: Recording, operation: Operation, leaf: Any) -> Any:
    return recording.fixed(operation.node, leaf) if isinstance(leaf, Tensor) else leaf
